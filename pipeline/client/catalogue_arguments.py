"""What the commands about the catalogue have in common: their options, and how answers are printed."""

import argparse
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console

from pipeline.client.arguments import Commands, add_command, ask_server, at_least_one
from pipeline.client.asynchronous import AsyncClient
from pipeline.client.catalogue import AsyncCatalogue
from pipeline.client.catalogue_output import print_changed
from pipeline.client.catalogue_results import Head
from pipeline.client.listing import AsyncListing
from pipeline.client.verbs import Verb

Print = Callable[[Console, Any], None]

_PAGE = 1_000

Ask = Callable[[AsyncCatalogue, argparse.Namespace, Console], Awaitable[None]]


def add_below(below: Commands, name: str, purpose: str, ask: Ask) -> argparse.ArgumentParser:
    """Add a command about the catalogue; `ask` asks the server and prints what it answers."""
    command = add_command(below, name, purpose, _run)
    command.set_defaults(ask=ask)
    command.add_argument("--catalogue", metavar="NAME", help="which one; without it, your own")
    command.add_argument("--json", action="store_true", help="print JSON with every field")
    return command


def add_list(below: Commands, name: str, purpose: str, filters: tuple[str, ...], show: Print) -> None:
    """Add a command that lists what the client's method of its name does, with an option for each filter."""

    async def ask(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
        wanted = {filter_: getattr(parsed, filter_) for filter_ in filters}
        listing = getattr(catalogue, name.replace("-", "_"))(**wanted, page_size=page_size(parsed))
        await show_list(listing, parsed, out, show)

    command = add_below(below, name, purpose, ask)
    add_limit(command)
    for filter_ in filters:
        numbers = filter_ in ("individual", "annotation", "encounter", "since")
        option = f"--{filter_.replace('_', '-')}"
        if numbers:
            command.add_argument(option, type=at_least_one, metavar="NUMBER", help=_FILTER_HELP[filter_])
        elif filter_ == "within":
            command.add_argument(option, type=float, metavar="SPREADS", help=_FILTER_HELP[filter_])
        else:
            command.add_argument(option, metavar="TEXT", help=_FILTER_HELP[filter_])


def add_limit(command: argparse.ArgumentParser) -> None:
    """Let a command that lists end early."""
    command.add_argument("--limit", type=at_least_one, metavar="N", help="so many at most; without it, all")


def page_size(parsed: argparse.Namespace) -> int:
    """Return how many entries are asked for at a time."""
    return min(parsed.limit or _PAGE, _PAGE)


_FILTER_HELP = {
    "search": "part of a name or an alias",
    "species": "only of this species",
    "sex": "only of this sex",
    "body_part": "only with this body part",
    "within": "how many times the spread of one they may be apart, 0.1 to 10; without it, once",
    "individual": "only about this individual",
    "annotation": "only about this annotation",
    "encounter": "only of this encounter",
    "side": "only of this side",
    "quality": "only of this quality",
    "since": "only after this version",
}


def add_change(
    below: Commands, name: str, purpose: str, verb: Callable[[argparse.Namespace], Verb]
) -> argparse.ArgumentParser:
    """Add a command that changes the catalogue as `verb` makes of its arguments."""

    async def ask(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
        changed = await catalogue.change(verb(parsed), known=parsed.known, reason=parsed.reason, key=parsed.key)
        show_result(changed, parsed, out, print_changed)

    command = add_below(below, name, purpose, ask)
    command.add_argument("--reason", metavar="TEXT", help="kept with the change")
    command.add_argument(
        "--known", type=_head, metavar="STATE", help="that you decided on, as lists show it: refused if it has changed"
    )
    command.add_argument("--key", metavar="TEXT", help="your name for this change: repeated with it, it is done once")
    return command


async def _run(parsed: argparse.Namespace, out: Console, err: Console) -> int:
    async def ask(client: AsyncClient) -> None:
        catalogue = client.catalogue if parsed.catalogue is None else client.catalogue.named(parsed.catalogue)
        await parsed.ask(catalogue, parsed, out)

    return await ask_server(parsed, err, ask)


async def show_list(listing: AsyncListing[Any], parsed: argparse.Namespace, out: Console, show: Print) -> None:
    """Print a list, as far as the arguments want it."""
    entries = []
    async for entry in listing:
        entries.append(entry)
        if len(entries) == parsed.limit:
            break
    assert listing.head is not None  # a page was read
    if parsed.json:
        listed = {"head": asdict(listing.head), "total": listing.total, "entries": [asdict(entry) for entry in entries]}
        print(json.dumps(listed, default=_as_json))
        return
    show(out, entries)
    of_all = "" if listing.total is None else f" of {listing.total}"
    out.print(f"{len(entries)}{of_all}, in state {listing.head}")


def show_result(result: Any, parsed: argparse.Namespace, out: Console, show: Print) -> None:
    """Print one answer."""
    if parsed.json:
        print(json.dumps(asdict(result), default=_as_json))
    else:
        show(out, result)


def _as_json(value: object) -> str:
    assert isinstance(value, datetime)  # all else is JSON's own
    return value.isoformat()


def _head(text: str) -> Head:
    version, _, nonce = text.partition(":")
    if not version.isdecimal():
        raise argparse.ArgumentTypeError("must be a state as lists show it, such as 12:9f86d081")
    return Head(int(version), nonce)

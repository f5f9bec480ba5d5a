"""The commands about the catalogue: `python -m pipeline.client catalogue individuals|decide|merge|...`."""

import argparse
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console

from pipeline.client.arguments import Commands, add_command, ask_server, at_least_one
from pipeline.client.asynchronous import AsyncClient
from pipeline.client.catalogue import AsyncCatalogue, AsyncListing
from pipeline.client.catalogue_output import (
    print_annotations,
    print_changed,
    print_events,
    print_individual,
    print_individuals,
    print_suggestions,
)
from pipeline.client.catalogue_results import Head
from pipeline.client.verbs import (
    Aliases,
    Decide,
    Decision,
    Describe,
    Merge,
    Move,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
)

Print = Callable[[Console, Any], None]

_PAGE = 1_000
_NUMBERS = ("latitude", "longitude", "uncertainty_m")
_THINGS = ("individual", "annotation", "sighting")
_INDIVIDUAL_FILTERS = ("search", "species", "sex", "body_part")
_HISTORY_FILTERS = ("individual", "annotation", "since")
_PAIR_FILTERS = ("body_part", "within")
_ANNOTATION_FILTERS = ("individual", "encounter", "body_part", "side", "quality")


def add_catalogue_command(commands: Commands) -> None:
    """Add `catalogue` and the commands below it."""
    purpose = "look at the catalogue, and change it"
    below = commands.add_parser("catalogue", help=purpose, description=purpose).add_subparsers(
        dest="about", required=True
    )
    _add_lists(below)
    _add_changes_of_individuals(below)
    _add_changes_of_annotations(below)


def _add_lists(below: Commands) -> None:
    _add_list(below, "individuals", "list individuals by name", _INDIVIDUAL_FILTERS, print_individuals)
    individual = _add(below, "individual", "show one individual with its encounters", _show_individual)
    individual.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL", help="its number")
    _add_list(below, "annotations", "list annotations", _ANNOTATION_FILTERS, print_annotations)
    _add_list(below, "review", "list annotations that wait for a person", _ANNOTATION_FILTERS, print_annotations)
    _add_list(below, "suggest-merges", "list individuals that may be one", _PAIR_FILTERS, print_suggestions)
    _add_list(below, "history", "list who said what and when, newest first", _HISTORY_FILTERS, print_events)


def _add_changes_of_individuals(below: Commands) -> None:
    rename = _add_change(below, "rename", "give an individual another name", _rename)
    rename.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL")
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("--keep", action="store_true", help="keep the old name as an alias")
    alias = _add_change(below, "alias", "add and take away other names of an individual", _alias)
    alias.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL")
    alias.add_argument("--add", action="append", default=[], metavar="NAME", help="add this name; may be repeated")
    alias.add_argument("--remove", action="append", default=[], metavar="NAME", help="take it away; may be repeated")
    merge = _add_change(below, "merge", "say that individuals are one", _merge)
    merge.add_argument("into", type=at_least_one, metavar="INDIVIDUAL", help="who all of them are")
    merge.add_argument("others", type=at_least_one, nargs="+", metavar="OTHER", help="who becomes that one")
    describe = _add_change(below, "describe", "set what is known of an individual, annotation or sighting", _describe)
    describe.add_argument("thing", choices=_THINGS)
    describe.add_argument("number", type=at_least_one, metavar="NUMBER")
    describe.add_argument("values", nargs="+", type=_value, metavar="NAME=VALUE", help="NAME= takes the value away")
    undo = _add_change(below, "undo", "take back what an event did", _undo)
    undo.add_argument("version", type=at_least_one, metavar="VERSION", help="of the event, as history has it")


def _add_changes_of_annotations(below: Commands) -> None:
    decide = _add_change(below, "decide", "say who annotations show", _decide)
    decide.add_argument("verdict", choices=("match", "new", "unsure", "not_comparable"))
    _add_annotations(decide)
    decide.add_argument("--individual", type=at_least_one, metavar="NUMBER", help="of match: who it is")
    decide.add_argument("--name", metavar="NAME", help="of new: how the individual is called")
    decide.add_argument("--confidence", metavar="TEXT", help="in your own words")
    split = _add_change(below, "split", "say that annotations of one individual show another", _split)
    _add_annotations(split)
    target = split.add_mutually_exclusive_group(required=True)
    target.add_argument("--individual", type=at_least_one, metavar="NUMBER", help="whom they show")
    target.add_argument("--name", metavar="NAME", help="of the new individual that they show")
    move = _add_change(below, "move", "group annotations into one encounter", _move)
    _add_annotations(move)
    place = move.add_mutually_exclusive_group()
    place.add_argument("--encounter", type=at_least_one, metavar="NUMBER", help="a known one; else one is made")
    place.add_argument("--sighting", type=at_least_one, metavar="NUMBER", help="of the encounter that is made")
    _add_annotations(_add_change(below, "remove", "withdraw annotations", _remove))


def _add_annotations(command: argparse.ArgumentParser) -> None:
    command.add_argument("annotations", type=at_least_one, nargs="+", metavar="ANNOTATION", help="numbers")


Ask = Callable[[AsyncCatalogue, argparse.Namespace, Console], Awaitable[None]]


def _add(below: Commands, name: str, purpose: str, ask: Ask) -> argparse.ArgumentParser:
    command = add_command(below, name, purpose, _run)
    command.set_defaults(ask=ask)
    command.add_argument("--catalogue", metavar="NAME", help="which one; without it, your own")
    command.add_argument("--json", action="store_true", help="print JSON with every field")
    return command


def _add_list(below: Commands, name: str, purpose: str, filters: tuple[str, ...], show: Print) -> None:
    async def ask(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
        page_size = min(parsed.limit or _PAGE, _PAGE)
        wanted = {filter_: getattr(parsed, filter_) for filter_ in filters}
        listing = getattr(catalogue, name.replace("-", "_"))(**wanted, page_size=page_size)
        await _show_list(listing, parsed, out, show)

    command = _add(below, name, purpose, ask)
    command.add_argument("--limit", type=at_least_one, metavar="N", help="so many at most; without it, all")
    for filter_ in filters:
        numbers = filter_ in ("individual", "annotation", "encounter", "since")
        option = f"--{filter_.replace('_', '-')}"
        if numbers:
            command.add_argument(option, type=at_least_one, metavar="NUMBER", help=_FILTER_HELP[filter_])
        elif filter_ == "within":
            command.add_argument(option, type=float, metavar="SPREADS", help=_FILTER_HELP[filter_])
        else:
            command.add_argument(option, metavar="TEXT", help=_FILTER_HELP[filter_])


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


def _add_change(
    below: Commands, name: str, purpose: str, verb: Callable[[argparse.Namespace], Verb]
) -> argparse.ArgumentParser:
    async def ask(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
        changed = await catalogue.change(verb(parsed), known=parsed.known, reason=parsed.reason, key=parsed.key)
        _show(changed, parsed, out, print_changed)

    command = _add(below, name, purpose, ask)
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


async def _show_individual(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
    _show(await catalogue.individual(parsed.individual), parsed, out, print_individual)


async def _show_list(listing: AsyncListing[Any], parsed: argparse.Namespace, out: Console, show: Print) -> None:
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


def _show(result: Any, parsed: argparse.Namespace, out: Console, show: Print) -> None:
    if parsed.json:
        print(json.dumps(asdict(result), default=_as_json))
    else:
        show(out, result)


def _as_json(value: object) -> str:
    assert isinstance(value, datetime)  # all else is JSON's own
    return value.isoformat()


def _decide(parsed: argparse.Namespace) -> Verb:
    said = (parsed.verdict, parsed.individual, parsed.name, parsed.confidence)
    return Decide(tuple(Decision(annotation, *said) for annotation in parsed.annotations))


def _rename(parsed: argparse.Namespace) -> Verb:
    return Rename(parsed.individual, parsed.name, parsed.keep)


def _alias(parsed: argparse.Namespace) -> Verb:
    return Aliases(parsed.individual, tuple(parsed.add), tuple(parsed.remove))


def _merge(parsed: argparse.Namespace) -> Verb:
    return Merge(parsed.into, tuple(parsed.others))


def _split(parsed: argparse.Namespace) -> Verb:
    return Split(tuple(parsed.annotations), parsed.individual, parsed.name)


def _move(parsed: argparse.Namespace) -> Verb:
    return Move(tuple(parsed.annotations), parsed.encounter, parsed.sighting)


def _remove(parsed: argparse.Namespace) -> Verb:
    return Remove(tuple(parsed.annotations))


def _describe(parsed: argparse.Namespace) -> Verb:
    return Describe(dict(parsed.values), **{parsed.thing: parsed.number})


def _undo(parsed: argparse.Namespace) -> Verb:
    return Undo(parsed.version)


def _value(text: str) -> tuple[str, str | float | None]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    if not value:
        return name, None
    try:
        return name, float(value) if name in _NUMBERS else value
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name}: {value} is not a number") from None


def _head(text: str) -> Head:
    version, _, nonce = text.partition(":")
    if not version.isdecimal():
        raise argparse.ArgumentTypeError("must be a state as lists show it, such as 12:9f86d081")
    return Head(int(version), nonce)

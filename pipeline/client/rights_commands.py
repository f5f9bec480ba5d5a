"""The commands about rights: `python -m pipeline.client rights catalogues|create|members|grant|revoke`."""

import argparse
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, get_args

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.client.arguments import Commands, add_command, ask_server
from pipeline.client.asynchronous import AsyncClient
from pipeline.client.output import shown
from pipeline.client.rights import CatalogueEntry, Members, Place, Right

Ask = Callable[[AsyncClient, argparse.Namespace], Awaitable[Any]]

_COLUMNS = ("Catalogue", "Institution", "Species", "Your right", "Places", "Version", "Individuals", "Photos")


def add_rights_command(commands: Commands) -> None:
    """Add `rights` and the commands below it."""
    purpose = "see which catalogues there are for you, and say who may do what in yours"
    below = commands.add_parser("rights", help=purpose, description=purpose).add_subparsers(dest="about", required=True)
    _add(below, "catalogues", "list the catalogues that you may know of", lambda client, _: client.rights.catalogues())
    create = _add(below, "create", "make an empty catalogue of your institution", _create)
    create.add_argument("name", metavar="NAME")
    create.add_argument("--species", metavar="SPECIES")
    members = _add(below, "members", "list who holds what in a catalogue", _members)
    grant = _add(below, "grant", "give a right, in place of the one that they have", _grant)
    grant.add_argument("right", choices=get_args(Right))
    grant.add_argument("--place", choices=get_args(Place), help="what an institution sees of places (default: none)")
    revoke = _add(below, "revoke", "take a right back", _revoke)
    for command in (grant, revoke):
        command.add_argument("institution", metavar="INSTITUTION")
        command.add_argument("--user", metavar="NAME", help="of your institution; without it, all of the institution")
    for command in (members, grant, revoke):
        command.add_argument("--catalogue", metavar="NAME", help="which one; without it, your own")


def _add(below: Commands, name: str, purpose: str, ask: Ask) -> argparse.ArgumentParser:
    async def run(parsed: argparse.Namespace, out: Console, err: Console) -> int:
        async def show(client: AsyncClient) -> None:
            _show(await ask(client, parsed), parsed.json, out)

        return await ask_server(parsed, err, show)

    command = add_command(below, name, purpose, run)
    command.add_argument("--json", action="store_true", help="print JSON with every field")
    return command


def _create(client: AsyncClient, parsed: argparse.Namespace) -> Awaitable[Any]:
    return client.rights.create(parsed.name, parsed.species)


def _members(client: AsyncClient, parsed: argparse.Namespace) -> Awaitable[Any]:
    return client.rights.members(parsed.catalogue)


def _grant(client: AsyncClient, parsed: argparse.Namespace) -> Awaitable[Any]:
    place, catalogue = parsed.place, parsed.catalogue
    return client.rights.grant(parsed.right, parsed.institution, parsed.user, place=place, catalogue=catalogue)


def _revoke(client: AsyncClient, parsed: argparse.Namespace) -> Awaitable[Any]:
    return client.rights.revoke(parsed.institution, parsed.user, catalogue=parsed.catalogue)


def _show(result: Any, as_json: bool, out: Console) -> None:
    if as_json:
        print(json.dumps([asdict(each) for each in result] if isinstance(result, tuple) else asdict(result)))
    elif isinstance(result, Members):
        rows = [(each.institution, each.user, each.right, "exact") for each in result.members]
        rows += [(each.institution, "(all)", each.right, each.place) for each in result.grants]
        _print(out, ("Institution", "User", "Right", "Places"), rows)
    else:
        entries = (result,) if isinstance(result, CatalogueEntry) else result
        _print(out, _COLUMNS, [_row(each) for each in entries])


def _row(entry: CatalogueEntry) -> tuple[object, ...]:
    name = f"{entry.name} (your own)" if entry.default else entry.name
    told = (entry.institution, entry.species, entry.right, entry.place)
    return (name, *told, entry.version, entry.individuals, entry.photos)


def _print(out: Console, columns: tuple[str, ...], rows: list[Any]) -> None:
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(shown("" if value is None else str(value)) for value in row))
    out.print(table)

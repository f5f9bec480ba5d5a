"""The command line: `python -m pipeline.admin users|tokens|catalogues|grants`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.catalogue.giving import Gift
from pipeline.catalogue.people import People, open_people
from pipeline.errors import ChangeRefusedError, StartupError, WhaleVisionError
from pipeline.records import OPERATOR, Actor
from pipeline.rights import Place, Right
from pipeline.settings import load_settings

DONE, REFUSED = 0, 1

_EXAMPLE = """the first admin, with a catalogue of their institution:
  python -m pipeline.admin users add Maya --institution WDC
  python -m pipeline.admin catalogues add azores --institution WDC --admin Maya
  python -m pipeline.admin tokens add Maya --institution WDC --label "Maya's laptop"

Changes hold at once, also on connections that are open."""

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Names of columns, and the rows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parsed = parser().parse_args(arguments)
    try:
        people = open_people(_url(parsed))
        try:
            parsed.run(people, parsed)
        finally:
            people.close()
    except WhaleVisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    return DONE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    top = argparse.ArgumentParser(
        prog="python -m pipeline.admin",
        description="Say who may do what with a Whale Vision service, in its database.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = top.add_mutually_exclusive_group()
    default = Path("serve_config.yaml")
    where.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help=f"the service's; default: {default}"
    )
    where.add_argument("--catalogue-url", metavar="URL", help="of the database, in place of a config file")
    subjects = top.add_subparsers(dest="subject", required=True)
    _add_users(subjects.add_parser("users", help="people and programs of institutions"))
    _add_tokens(subjects.add_parser("tokens", help="by which users are known to the service"))
    _add_catalogues(subjects.add_parser("catalogues", help="each belongs to an institution"))
    _add_grants(subjects.add_parser("grants", help="who may do what in which catalogue"))
    return top


def _add_users(users: argparse.ArgumentParser) -> None:
    commands = users.add_subparsers(dest="command", required=True)
    _lists(commands, "everybody who may speak or ever spoke", _list_users)
    add = _command(commands, "add", "add somebody, and their institution", _add_user)
    add.add_argument("name", metavar="NAME")
    _of_institution(add)
    add.add_argument("--program", action="store_true", help="not a person: what it says counts as a program's word")


def _add_tokens(tokens: argparse.ArgumentParser) -> None:
    commands = tokens.add_subparsers(dest="command", required=True)
    _lists(commands, "all tokens, also those that were revoked", _list_tokens)
    add = _command(commands, "add", "make a token and show it, this once", _add_token)
    add.add_argument("name", metavar="NAME", help="of the user")
    _of_institution(add)
    add.add_argument("--label", required=True, metavar="TEXT", help="what it is for")
    add.add_argument("--days", type=int, metavar="N", help="after which it is no longer valid; default: it stays valid")
    revoke = _command(commands, "revoke", "take tokens back, for good", _revoke_tokens)
    revoke.add_argument("beginnings", nargs="+", metavar="SHA256", help="its first digits, as the list shows them")


def _add_catalogues(catalogues: argparse.ArgumentParser) -> None:
    commands = catalogues.add_subparsers(dest="command", required=True)
    _lists(commands, "all catalogues", _list_catalogues)
    add = _command(commands, "add", "make an empty catalogue", _add_catalogue)
    add.add_argument("name", metavar="NAME")
    _of_institution(add)
    add.add_argument("--admin", required=True, metavar="USER", help="of that institution, who says who may do what")
    add.add_argument("--species", metavar="SPECIES")


def _add_grants(grants: argparse.ArgumentParser) -> None:
    commands = grants.add_subparsers(dest="command", required=True)
    listed = _lists(commands, "the rights that stand", _list_grants)
    listed.add_argument("--catalogue", metavar="NAME", help="only in this one")
    give = _command(commands, "give", "give a right, in place of the one that they have", _give)
    give.add_argument("right", choices=[right.value for right in Right])
    give.add_argument("--place", choices=("exact", "coarse", "none"), default="none", help="for institutions")
    revoke = _command(commands, "revoke", "take a right back", _take_back)
    for command in (give, revoke):
        command.add_argument("--catalogue", required=True, metavar="NAME")
        _of_institution(command)
        command.add_argument("--user", metavar="NAME", help="of the institution; default: all of them")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    purpose: str,
    run: Callable[[People, argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=purpose, description=purpose)
    command.set_defaults(run=run)
    return command


def _lists(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    purpose: str,
    read: Callable[[People, argparse.Namespace], Rows],
) -> argparse.ArgumentParser:
    def run(people: People, parsed: argparse.Namespace) -> None:
        _print(read(people, parsed), parsed.json)

    command = _command(commands, "list", purpose, run)
    command.add_argument("--json", action="store_true", help="for scripts")
    return command


def _of_institution(command: argparse.ArgumentParser) -> None:
    command.add_argument("--institution", required=True, metavar="NAME")


# --- lists ---


def _list_users(people: People, _: argparse.Namespace) -> Rows:
    return ("institution", "name", "kind"), [(user.institution, user.name, user.kind) for user in people.users()]


def _list_tokens(people: People, _: argparse.Namespace) -> Rows:
    columns = ("sha256", "institution", "name", "label", "created", "expires", "revoked")
    return columns, [
        (
            *(entry.sha256[:12], entry.owner.institution, entry.owner.name, entry.label),
            *map(_shown, (entry.created, entry.expires, entry.revoked)),
        )
        for entry in people.tokens()
    ]


def _list_catalogues(people: People, _: argparse.Namespace) -> Rows:
    found = people.catalogues()
    return ("name", "institution", "species"), [(each.name, each.institution, each.species or "") for each in found]


def _list_grants(people: People, parsed: argparse.Namespace) -> Rows:
    rows: list[tuple[str, ...]] = []
    for gift in people.gifts(parsed.catalogue):
        whose = (gift.to.institution, gift.to.name) if isinstance(gift.to, Actor) else (gift.to, "(all)")
        rows.append((gift.catalogue, *whose, gift.right.value, gift.place))
    return ("catalogue", "institution", "user", "right", "place"), rows


def _print(rows: Rows, as_json: bool) -> None:
    columns, content = rows
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in content], ensure_ascii=False))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in content:
        table.add_row(*map(escape, row))
    Console(soft_wrap=True).print(table)


def _shown(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


# --- changes ---


def _add_user(people: People, parsed: argparse.Namespace) -> None:
    people.add_user(Actor(parsed.institution, parsed.name, "program" if parsed.program else "person"))


def _add_token(people: People, parsed: argparse.Namespace) -> None:
    if parsed.days is not None and parsed.days < 1:
        raise ChangeRefusedError("--days: must be 1 or more")
    owner = people.find_user(parsed.institution, parsed.name)
    lasts = None if parsed.days is None else timedelta(days=parsed.days)
    print(people.make_token(owner, parsed.label, lasts))


def _revoke_tokens(people: People, parsed: argparse.Namespace) -> None:
    for beginning in parsed.beginnings:
        print(f"revoked {people.revoke_token(beginning)[:12]}")


def _add_catalogue(people: People, parsed: argparse.Namespace) -> None:
    admin = people.find_user(parsed.institution, parsed.admin)
    people.add_catalogue(parsed.name, admin, parsed.species, OPERATOR)


def _give(people: People, parsed: argparse.Namespace) -> None:
    of = _whom(people, parsed)
    place: Place = "exact" if isinstance(of, Actor) else parsed.place
    people.give(Gift(parsed.catalogue, of, Right(parsed.right), place), OPERATOR)


def _take_back(people: People, parsed: argparse.Namespace) -> None:
    people.take_back(parsed.catalogue, _whom(people, parsed), OPERATOR)


def _whom(people: People, parsed: argparse.Namespace) -> Actor | str:
    return parsed.institution if parsed.user is None else people.find_user(parsed.institution, parsed.user)


def _url(parsed: argparse.Namespace) -> str:
    if parsed.catalogue_url is not None:
        return str(parsed.catalogue_url)
    if not parsed.config.exists():
        raise StartupError(f"{parsed.config}: there is no such file; name the service's with --config")
    return load_settings(parsed.config).with_absolute_paths().catalogue_url

"""The command line `python -m pipeline.admin`; here its commands about people and their rights."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pipeline.admin.arguments import (
    DONE,
    REFUSED,
    Commands,
    Rows,
    add_json,
    add_place,
    database_url,
    print_json,
    print_rows,
)
from pipeline.admin.backup_commands import add_backup_commands
from pipeline.admin.database_commands import add_database_commands
from pipeline.admin.photo_commands import add_photo_commands
from pipeline.admin.purge_command import add_purge_command
from pipeline.admin.reembed_command import add_reembed_command
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.people import People, open_people
from pipeline.errors import ChangeRefusedError, WhaleVisionError
from pipeline.records import OPERATOR, Actor
from pipeline.rights import Place, Right

_EXAMPLE = """the first admin, with a catalogue of their institution:
  python -m pipeline.admin users add Maya --institution WDC
  python -m pipeline.admin catalogues add azores --institution WDC --admin Maya
  python -m pipeline.admin tokens add Maya --institution WDC --label "Maya's laptop"

Changes hold at once, also on connections that are open."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except WhaleVisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    top = argparse.ArgumentParser(
        prog="python -m pipeline.admin",
        description="Look after the database of a Whale Vision service: its catalogues, and who may do what in them.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_place(top)
    subjects = top.add_subparsers(dest="subject", required=True)
    _add_users(subjects.add_parser("users", help="people and programs of institutions"))
    _add_tokens(subjects.add_parser("tokens", help="by which users are known to the service"))
    _add_catalogues(subjects.add_parser("catalogues", help="each belongs to an institution"))
    _add_grants(subjects.add_parser("grants", help="who may do what in which catalogue"))
    add_database_commands(subjects)
    add_backup_commands(subjects)
    add_photo_commands(subjects)
    add_purge_command(subjects)
    add_reembed_command(subjects)
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
    commands: Commands,
    name: str,
    purpose: str,
    run: Callable[[People, argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=purpose, description=purpose)
    command.set_defaults(run=lambda parsed: _with_people(run, parsed))
    return command


def _with_people(run: Callable[[People, argparse.Namespace], None], parsed: argparse.Namespace) -> int:
    people = open_people(database_url(parsed))
    try:
        run(people, parsed)
    finally:
        people.close()
    return DONE


def _lists(
    commands: Commands,
    purpose: str,
    read: Callable[[People, argparse.Namespace], Rows],
) -> argparse.ArgumentParser:
    def run(people: People, parsed: argparse.Namespace) -> None:
        columns, content = read(people, parsed)
        if parsed.json:
            print_json([dict(zip(columns, row, strict=True)) for row in content])
        else:
            print_rows((columns, content))

    command = _command(commands, "list", purpose, run)
    add_json(command)
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

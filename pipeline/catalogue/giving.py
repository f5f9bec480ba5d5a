"""What changes who may do what: institutions, users, tokens, sessions, catalogues, roles and grants.

Every function works in a writing transaction. Saying again what stands changes nothing, so that each may be repeated.
"""

import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, delete, insert, select, update

from pipeline.catalogue.events import actor_id, is_actor
from pipeline.catalogue.people_tables import grants, institutions, roles, sessions, tokens
from pipeline.catalogue.schema import actors, catalogues
from pipeline.catalogue.scope import digest
from pipeline.errors import ChangeRefusedError
from pipeline.names import is_unprintable
from pipeline.records import Actor
from pipeline.rights import Place, Right

TOKEN_PREFIX = "wv_"
"""Begins every token, so that people and programs that look for leaked secrets know one when they see it."""

MAX_NAME_CHARS = 100

_CATALOGUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Gift:
    """A right in a catalogue: to an actor, or to everybody of an institution.

    Attributes:
        catalogue: its name.
        to: an actor, or an institution's name.
        right: of an institution it is not `ADMIN`.
        place: what an institution sees of places; actors see all.
    """

    catalogue: str
    to: Actor | str
    right: Right
    place: Place = "exact"


def add_institution(connection: Connection, name: str) -> None:
    """Write an institution down, unless it is there.

    Raises:
        ChangeRefusedError: the name cannot be one.
    """
    name = _plain(name, "institution")
    if connection.execute(select(institutions.c.name).where(institutions.c.name == name)).scalar() is None:
        connection.execute(insert(institutions).values(name=name))


def add_user(connection: Connection, actor: Actor) -> None:
    """Write a person or program of an institution down, unless they are there.

    Raises:
        ChangeRefusedError: there is no such institution, or it has somebody of another kind with that name.
    """
    actor = Actor(_plain(actor.institution, "institution"), _plain(actor.name, "name"), actor.kind)
    require_institution(connection, actor.institution)
    named = and_(actors.c.institution == actor.institution, actors.c.name == actor.name)
    kinds = set(connection.execute(select(actors.c.kind).where(named)).scalars())
    if kinds - {actor.kind}:
        raise ChangeRefusedError(f"{actor.name!r} of {actor.institution!r} is a {kinds.pop()}: choose another name")
    actor_id(connection, actor)


def find_user(connection: Connection, institution: str, name: str) -> Actor:
    """Return a person or program.

    Raises:
        ChangeRefusedError: the institution has nobody of that name.
    """
    institution, name = _plain(institution, "institution"), _plain(name, "name")
    named = select(actors.c.institution, actors.c.name, actors.c.kind)
    found = connection.execute(named.where(actors.c.institution == institution, actors.c.name == name)).first()
    if found is None:
        raise ChangeRefusedError(f"{institution!r} has no user {name!r}: add them first, or check the spelling")
    return Actor(*found)


def make_token(connection: Connection, actor: Actor, label: str, now: datetime, expires: datetime | None) -> str:
    """Make a token for a user who is written down, and return the secret, which is kept nowhere."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    values = {"sha256": digest(secret), "actor_id": actor_id(connection, actor), "label": _plain(label, "label")}
    connection.execute(insert(tokens).values(**values, created=now, expires=expires))
    return secret


def revoke_token(connection: Connection, beginning: str, now: datetime) -> Row[Any]:
    """Take a token back for good, and return its row as it was.

    Args:
        connection: in a writing transaction.
        beginning: of its sha256, as much as tells it from the others.
        now: aware UTC time.

    Raises:
        ChangeRefusedError: none, or several, begin so.
    """
    if re.fullmatch(r"[0-9a-f]{4,64}", beginning) is None:
        raise ChangeRefusedError(f"{beginning!r}: give the first digits of the token's sha256, as the list shows them")
    found = connection.execute(select(tokens).where(tokens.c.sha256.startswith(beginning))).all()
    if len(found) != 1:
        raise ChangeRefusedError(f"{len(found) or 'no'} tokens have a sha256 that begins with {beginning}")
    stands = tokens.c.revoked.is_(None)
    connection.execute(update(tokens).where(tokens.c.sha256 == found[0].sha256, stands).values(revoked=now))
    return found[0]


def begin_session(connection: Connection, token: str, now: datetime, expires: datetime) -> str:
    """Begin a session of whoever holds a token (its sha256), and return its secret; what has expired is forgotten."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    connection.execute(insert(sessions).values(id=digest(secret), token=token, expires=expires))
    return secret


def end_session(connection: Connection, secret: str) -> None:
    """End a session, unless it has ended."""
    connection.execute(delete(sessions).where(sessions.c.id == digest(secret)))


def add_catalogue(
    connection: Connection, name: str, admin: Actor, species: str | None, now: datetime, by: Actor
) -> None:
    """Make an empty catalogue of an actor's institution, in which they are the admin.

    Raises:
        ChangeRefusedError: the name cannot be one, or another catalogue has it.
    """
    if _CATALOGUE_NAME.fullmatch(name) is None:
        raise ChangeRefusedError(
            "name: a catalogue's has 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit"
        )
    require_institution(connection, admin.institution)
    found = connection.execute(select(catalogues).where(catalogues.c.name == name)).one_or_none()
    if found is None:
        values = {"name": name, "head": 0, "institution": admin.institution, "species": species}
        connection.execute(insert(catalogues).values(values))
        give(connection, Gift(name, admin, Right.ADMIN), now, by)
        return
    is_admin = _standing(roles, found.id).where(_role_of(admin), roles.c.role == Right.ADMIN)
    if found.species != species or connection.execute(is_admin).one_or_none() is None:
        raise ChangeRefusedError(f"name: {name!r} is in use; choose another one")


def give(connection: Connection, gift: Gift, now: datetime, by: Actor) -> None:
    """Give a right, in place of what the same actor or institution was given before.

    Raises:
        ChangeRefusedError: the catalogue or institution does not exist, or the right cannot be given so.
    """
    catalogue_id = lock_catalogue_of(connection, gift.catalogue)
    if isinstance(gift.to, Actor):
        table, whose = roles, _role_of(gift.to)
        values = {"actor_id": actor_id(connection, gift.to), "role": gift.right}
    else:
        require_institution(connection, gift.to)
        if gift.right is Right.ADMIN:
            raise ChangeRefusedError("right: an institution gets match, view or confirm; admin is for its people")
        table, whose = grants, grants.c.institution == gift.to
        values = {"institution": gift.to, "level": gift.right, "place": gift.place}
    standing = connection.execute(_standing(table, catalogue_id).where(whose)).one_or_none()
    if standing is not None and all(standing._mapping[column] == value for column, value in values.items()):
        return
    if gift.right is not Right.ADMIN:
        _keep_an_admin(connection, catalogue_id, table, standing)
    _end(connection, table, standing, now, by)
    given = {"catalogue_id": catalogue_id, "given": now, "given_by": actor_id(connection, by)}
    connection.execute(insert(table).values(**values, **given))


def take_back(connection: Connection, catalogue: str, of: Actor | str, now: datetime, by: Actor) -> None:
    """Take back what an actor or an institution was given in a catalogue; what they have otherwise stays.

    Raises:
        ChangeRefusedError: the catalogue does not exist, or would have no admin.
    """
    catalogue_id = lock_catalogue_of(connection, catalogue)
    if isinstance(of, Actor):
        table, whose = roles, _role_of(of)
    else:
        table, whose = grants, grants.c.institution == of
    standing = connection.execute(_standing(table, catalogue_id).where(whose)).one_or_none()
    _keep_an_admin(connection, catalogue_id, table, standing)
    _end(connection, table, standing, now, by)


def require_institution(connection: Connection, name: str) -> None:
    """Refuse an institution that does not exist.

    Raises:
        ChangeRefusedError: it does not.
    """
    if connection.execute(select(institutions.c.name).where(institutions.c.name == name)).scalar() is None:
        raise ChangeRefusedError(
            f"institution: there is no {name!r}; check the spelling, or ask the operator to add it"
        )


def lock_catalogue_of(connection: Connection, name: str) -> int:
    """Return the number of a catalogue, whose rights nobody else changes until the transaction ends.

    Raises:
        ChangeRefusedError: there is none of this name.
    """
    found = connection.execute(select(catalogues.c.id).where(catalogues.c.name == name).with_for_update()).scalar()
    if found is None:
        raise ChangeRefusedError(f"there is no catalogue {name!r}")
    return int(found)


def _role_of(actor: Actor) -> ColumnElement[bool]:
    return roles.c.actor_id.in_(select(actors.c.id).where(is_actor(actor)))


def _standing(table: Table, catalogue_id: int) -> Select[Any]:
    return select(table).where(table.c.catalogue_id == catalogue_id, table.c.revoked.is_(None))


def _keep_an_admin(connection: Connection, catalogue_id: int, table: Table, ending: Row[Any] | None) -> None:
    """Refuse to end the role of the last admin: nobody could say any more who may do what."""
    if table is roles and ending is not None and ending.role == Right.ADMIN:
        admins = connection.execute(_standing(roles, catalogue_id).where(roles.c.role == Right.ADMIN)).all()
        if len(admins) == 1:
            raise ChangeRefusedError("the catalogue would have no admin any more: make somebody else one first")


def _end(connection: Connection, table: Table, standing: Row[Any] | None, now: datetime, by: Actor) -> None:
    if standing is not None:
        ended = {"revoked": now, "revoked_by": actor_id(connection, by)}
        connection.execute(update(table).where(table.c.id == standing.id).values(ended))


def _plain(name: str, field: str) -> str:
    """Return a name as it is kept: composed, trimmed, on one line."""
    kept = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(kept) <= MAX_NAME_CHARS or any(map(is_unprintable, kept)):
        raise ChangeRefusedError(
            f"{field}: must have 1 to {MAX_NAME_CHARS} characters, none of them a control character"
        )
    return kept

"""Who speaks, and what they may do in which catalogue: what every request is looked up by."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from pipeline.catalogue.change import chunks
from pipeline.catalogue.events import is_actor
from pipeline.catalogue.people_tables import grants, roles, sessions, tokens
from pipeline.catalogue.schema import actors, catalogues
from pipeline.catalogue.vectors import storable_text
from pipeline.records import Actor
from pipeline.rights import Held, Place, Right, Standing, default_catalogue


def scope(actor: Actor, right: Right) -> ColumnElement[bool]:
    """Return the condition over `catalogues` that an actor holds a right there.

    They hold it by a role of their own, or because it was granted to their institution.
    """
    return or_(_by_role(actor, right), _by_grant(actor, right))


def _by_role(actor: Actor, right: Right) -> ColumnElement[bool]:
    theirs = select(roles.c.catalogue_id).join_from(roles, actors, actors.c.id == roles.c.actor_id)
    enough = roles.c.role.in_(right.sufficient)
    return catalogues.c.id.in_(theirs.where(is_actor(actor), roles.c.revoked.is_(None), enough))


def _by_grant(actor: Actor, right: Right) -> ColumnElement[bool]:
    to_all = and_(grants.c.institution == storable_text(actor.institution), grants.c.revoked.is_(None))
    return catalogues.c.id.in_(select(grants.c.catalogue_id).where(to_all, grants.c.level.in_(right.sufficient)))


def read_standing(connection: Connection, actor: Actor) -> Standing:
    """Return what an actor holds in every catalogue that they may know of."""
    place = (
        select(grants.c.place)
        .where(grants.c.catalogue_id == catalogues.c.id, grants.c.revoked.is_(None))
        .where(grants.c.institution == storable_text(actor.institution))
        .scalar_subquery()
    )
    query = (
        select(
            *(catalogues.c.name, catalogues.c.institution, catalogues.c.species, place.label("place")),
            _by_role(actor, Right.MATCH).label("is_member"),
            *(scope(actor, right).label(right) for right in Right),
        )
        .where(scope(actor, Right.MATCH))
        .order_by(catalogues.c.name)
    )
    held: dict[str, Held] = {}
    for row in connection.execute(query):
        highest = [right for right in Right if getattr(row, right)][-1]
        seen: Place = "exact" if row.is_member else row.place
        held[row.name] = Held(highest, row.institution, seen, row.species)
    return Standing(actor, held, default_catalogue(actor.institution, held))


def read_owner(connection: Connection, sha256: str, now: datetime) -> Actor | None:
    """Return who speaks with a token; None where it is not known, was revoked or has expired."""
    whose = select(actors.c.institution, actors.c.name, actors.c.kind).join_from(tokens, actors)
    found = connection.execute(whose.where(tokens.c.sha256 == sha256, _is_valid(now))).one_or_none()
    return None if found is None else Actor(*found)


def read_valid(connection: Connection, sha256s: Iterable[str], now: datetime) -> set[str]:
    """Return those tokens among these that somebody may still speak with."""
    valid: set[str] = set()
    for some in chunks(sorted(sha256s)):
        valid |= set(
            connection.execute(select(tokens.c.sha256).where(tokens.c.sha256.in_(some), _is_valid(now))).scalars()
        )
    return valid


def read_session(connection: Connection, secret: str, now: datetime) -> str | None:
    """Return the sha256 of the token that a session was begun with; None where there is no such session any more."""
    query = select(sessions.c.token).where(sessions.c.id == digest(secret), sessions.c.expires > now)
    return connection.execute(query).scalar()


def digest(secret: str) -> str:
    """Return the sha256 (hex) of a secret, which is all that is kept of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _is_valid(now: datetime) -> ColumnElement[bool]:
    return and_(tokens.c.revoked.is_(None), or_(tokens.c.expires.is_(None), tokens.c.expires > now))

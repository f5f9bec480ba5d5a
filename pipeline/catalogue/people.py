"""People and their rights in the database of the catalogues: looked up by the ingress, changed by admins."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from pipeline.catalogue import giving
from pipeline.catalogue.database import Database, open_existing
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.people_tables import grants, institutions, roles, tokens
from pipeline.catalogue.schema import actors, catalogues
from pipeline.catalogue.scope import read_owner, read_session, read_standing, read_valid
from pipeline.catalogue.sql_store import utc_now
from pipeline.records import Actor
from pipeline.rights import Right, Standing


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token in a list.

    Attributes:
        sha256: hex, of the secret.
        owner: who speaks with it.
        label: what it is for, in its maker's words.
        created: when it was made; times are aware UTC.
        expires: None where it does not.
        revoked: None where it was not.
    """

    sha256: str
    owner: Actor
    label: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class CatalogueDescription:
    """A catalogue in a list: its name, whose it is and of which species."""

    name: str
    institution: str
    species: str | None


class People:
    """Institutions, their users and tokens, and what these may do; safe to call from several threads.

    Every method raises CatalogueUnavailableError where the database cannot be read or written; those that change
    something raise ChangeRefusedError where it cannot be so.

    Args:
        database: with prepared tables.
        clock: gives the time, aware, in UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    # --- looking up ---

    def owner(self, sha256: str) -> Actor | None:
        """Return who speaks with a token; None where it is not known, was revoked or has expired."""
        with self._database.reading() as connection:
            return read_owner(connection, sha256, self._clock())

    def valid(self, sha256s: Iterable[str]) -> set[str]:
        """Return those tokens among these that somebody may still speak with."""
        with self._database.reading() as connection:
            return read_valid(connection, sha256s, self._clock())

    def standing(self, actor: Actor) -> Standing:
        """Return what somebody may do in every catalogue that they may know of."""
        with self._database.reading() as connection:
            return read_standing(connection, actor)

    def session(self, secret: str) -> str | None:
        """Return the sha256 of the token that a session was begun with; None where it has ended."""
        with self._database.reading() as connection:
            return read_session(connection, secret, self._clock())

    # --- lists ---

    def users(self) -> Sequence[Actor]:
        """Return everybody who ever spoke or may speak, by institution."""
        query = select(actors.c.institution, actors.c.name, actors.c.kind)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(actors.c.institution, actors.c.name)).all()
        return [Actor(*row) for row in rows]

    def institutions(self) -> Sequence[str]:
        """Return the names of all institutions."""
        with self._database.reading() as connection:
            return list(connection.execute(select(institutions.c.name).order_by(institutions.c.name)).scalars())

    def tokens(self) -> Sequence[TokenEntry]:
        """Return every token that was made, oldest first."""
        whose = (actors.c.institution, actors.c.name, actors.c.kind)
        query = select(tokens, *whose).join_from(tokens, actors).order_by(tokens.c.created, tokens.c.sha256)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            TokenEntry(
                row.sha256, Actor(row.institution, row.name, row.kind), row.label, row.created, row.expires, row.revoked
            )
            for row in rows
        ]

    def catalogues(self) -> Sequence[CatalogueDescription]:
        """Return every catalogue of the database."""
        query = select(catalogues.c.name, catalogues.c.institution, catalogues.c.species).order_by(catalogues.c.name)
        with self._database.reading() as connection:
            return [CatalogueDescription(*row) for row in connection.execute(query)]

    def gifts(self, catalogue: str | None = None) -> Sequence[Gift]:
        """Return the rights that stand, of actors before those of institutions; in one catalogue or in all."""
        to_actors = (
            select(catalogues.c.name, actors.c.institution, actors.c.name, actors.c.kind, roles.c.role)
            .select_from(roles.join(actors, actors.c.id == roles.c.actor_id).join(catalogues))
            .where(roles.c.revoked.is_(None))
            .order_by(catalogues.c.name, actors.c.institution, actors.c.name)
        )
        to_all = (
            select(catalogues.c.name, grants.c.institution, grants.c.level, grants.c.place)
            .join_from(grants, catalogues)
            .where(grants.c.revoked.is_(None))
            .order_by(catalogues.c.name, grants.c.institution)
        )
        if catalogue is not None:
            to_actors = to_actors.where(catalogues.c.name == catalogue)
            to_all = to_all.where(catalogues.c.name == catalogue)
        with self._database.reading() as connection:
            given = [Gift(name, Actor(*of), Right(role)) for name, *of, role in connection.execute(to_actors)]
            granted = [Gift(name, of, Right(level), place) for name, of, level, place in connection.execute(to_all)]
        return [*given, *granted]

    # --- changes ---

    def add_user(self, actor: Actor) -> None:
        """Add a person or program, and their institution; who is there already stays as they are."""
        with self._database.writing() as connection:
            giving.add_institution(connection, actor.institution)
            giving.add_user(connection, actor)

    def find_user(self, institution: str, name: str) -> Actor:
        """Return a person or program of an institution."""
        with self._database.reading() as connection:
            return giving.find_user(connection, institution, name)

    def make_token(self, owner: Actor, label: str, lasts: timedelta | None = None) -> str:
        """Make a token of a user and return it: nobody can read it anywhere later."""
        now = self._clock()
        with self._database.writing() as connection:
            return giving.make_token(connection, owner, label, now, None if lasts is None else now + lasts)

    def revoke_token(self, beginning: str) -> str:
        """Take back the token whose sha256 begins so, for good; return all of its sha256."""
        with self._database.writing() as connection:
            return str(giving.revoke_token(connection, beginning, self._clock()).sha256)

    def add_catalogue(self, name: str, admin: Actor, species: str | None, by: Actor) -> None:
        """Make an empty catalogue of an actor's institution, in which they are the admin."""
        with self._database.writing() as connection:
            giving.add_catalogue(connection, name, admin, species, self._clock(), by)

    def give(self, gift: Gift, by: Actor) -> None:
        """Give a right, in place of what the same actor or institution was given before."""
        with self._database.writing() as connection:
            giving.give(connection, gift, self._clock(), by)

    def take_back(self, catalogue: str, of: Actor | str, by: Actor) -> None:
        """Take back what an actor or an institution was given in a catalogue."""
        with self._database.writing() as connection:
            giving.take_back(connection, catalogue, of, self._clock(), by)

    def begin_session(self, token: str, lasts: timedelta) -> str:
        """Begin a session of who holds a token (its sha256), and return its secret."""
        now = self._clock()
        with self._database.writing() as connection:
            return giving.begin_session(connection, token, now, now + lasts)

    def end_session(self, secret: str) -> None:
        """End a session, unless it has ended."""
        with self._database.writing() as connection:
            giving.end_session(connection, secret)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._database.close()


def open_people(url: str) -> People:
    """Open the people of a database that exists.

    Raises:
        CatalogueOpenError: it holds no catalogue, cannot be opened, or has the layout of another release.
        CatalogueUnavailableError: its file was replaced at this moment.
    """
    return People(open_existing(url))

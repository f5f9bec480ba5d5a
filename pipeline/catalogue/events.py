"""The catalogue's events: the header of each transaction, with who spoke, and what the key of a request came with."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.catalogue.change import Change
from pipeline.catalogue.rows import EMPTY, Confirmation, Head
from pipeline.catalogue.schema import actors, catalogues, event_confirmations, events
from pipeline.catalogue.vectors import pack_vector, storable_text
from pipeline.errors import BadIdentityError, CatalogueUnavailableError, KeyReusedError
from pipeline.records import Actor

_DIGEST_BYTES = 16

_LAST_EVENT = and_(events.c.catalogue_id == catalogues.c.id, events.c.version == catalogues.c.head)
_HEAD = (  # asked at every call of every matcher, so it is put together once
    select(catalogues.c.head, events.c.nonce)
    .outerjoin_from(catalogues, events, _LAST_EVENT)
    .where(catalogues.c.id == bindparam("of"))
)
_known = events.alias()
_HEAD_SINCE = _HEAD.add_columns(
    select(_known.c.nonce)
    .where(_known.c.catalogue_id == bindparam("of"), _known.c.version == bindparam("known"))
    .scalar_subquery()
    .label("known_nonce")
)


def read_head(connection: Connection, catalogue_id: int) -> Head:
    """Return the state that the last event left.

    Raises:
        CatalogueUnavailableError: the database holds no such catalogue any more.
    """
    found = connection.execute(_HEAD, {"of": catalogue_id}).one_or_none()
    if found is None:
        raise _gone()
    return Head(found.head, found.nonce or "")


def read_heads(connection: Connection) -> dict[str, Head]:
    """Return the state of every catalogue of the database, by its name."""
    query = select(catalogues.c.name, catalogues.c.head, events.c.nonce).outerjoin_from(catalogues, events, _LAST_EVENT)
    return {name: Head(version, nonce or "") for name, version, nonce in connection.execute(query)}


def read_head_since(connection: Connection, catalogue_id: int, known: Head) -> tuple[Head, bool]:
    """Return the state that the last event left, and whether a reader's state is one that this catalogue was in.

    Raises:
        CatalogueUnavailableError: the database holds no such catalogue any more.
    """
    found = connection.execute(_HEAD_SINCE, {"of": catalogue_id, "known": known.version}).one_or_none()
    if found is None:
        raise _gone()
    return Head(found.head, found.nonce or ""), known == EMPTY or found.known_nonce == known.nonce


def lock_catalogue(connection: Connection, catalogue_id: int) -> Change:
    """Keep other writers out until the transaction ends, and begin what the next event changes.

    Raises:
        CatalogueUnavailableError: the database holds no such catalogue any more.
    """
    columns = (catalogues.c.head, catalogues.c.next_row)
    query = select(*columns).where(catalogues.c.id == catalogue_id).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        raise _gone()
    return Change(connection, catalogue_id, found.head + 1, found.next_row)


def is_history(connection: Connection, catalogue_id: int, known: Head) -> bool:
    """Tell whether a reader's state is one that this catalogue was in."""
    if known == EMPTY:
        return True
    query = select(events.c.nonce).where(events.c.catalogue_id == catalogue_id, events.c.version == known.version)
    return connection.execute(query).scalar() == known.nonce


@dataclass(frozen=True, slots=True)
class Header:
    """What an event says of itself.

    Attributes:
        kind: "confirm", "import", "migrate" or that of a verb.
        actor: who speaks.
        at: aware UTC time.
        key: of the request, the client's or the service's.
        digest: of the verb that the key came with.
        reason: free text.
        undoes: version of the event that this one takes back.
    """

    kind: str
    actor: Actor
    at: datetime
    key: str | None = None
    digest: str | None = None
    reason: str | None = None
    undoes: int | None = None


def commit(change: Change, header: Header) -> Head:
    """Write a change and its event; the transaction's end makes them last."""
    change.write()
    counted = update(catalogues).where(catalogues.c.id == change.catalogue_id)
    change.connection.execute(counted.values(head=change.version, next_row=change.next_row))
    return write_event(*change.place, change.version, header, change.payload())


def write_event(connection: Connection, catalogue_id: int, version: int, header: Header, payload: str = "{}") -> Head:
    """Write an event alone; its rows and `catalogues.head` are the caller's."""
    head = Head(version, secrets.token_hex(16))
    values = {
        "catalogue_id": catalogue_id,
        "version": version,
        "nonce": head.nonce,
        "key": header.key,
        "digest": header.digest,
        "kind": header.kind,
        "actor_id": actor_id(connection, header.actor),
        "at": header.at,
        "reason": header.reason,
        "payload": payload,
        "undoes": header.undoes,
    }
    connection.execute(insert(events).values(values))
    return head


def remember_confirmations(
    connection: Connection,
    catalogue_id: int,
    version: int,
    confirmations: Sequence[Confirmation],
    refused: Mapping[int, BadIdentityError],
) -> None:
    """Keep what an event's key came with, and which of it was refused."""
    refusals = {
        _digest(confirmation): refused[place].message if place in refused else None
        for place, confirmation in enumerate(confirmations)
    }
    event = {"catalogue_id": catalogue_id, "version": version}
    rows = [event | {"digest": digest, "refusal": refusal} for digest, refusal in refusals.items()]
    connection.execute(insert(event_confirmations), rows)


def event_of_key(connection: Connection, catalogue_id: int, actor: Actor, key: str) -> Row[int, str, str, str] | None:
    """Return version, nonce, digest and payload of the event that an actor's key made; None where the key is new."""
    of_key = and_(events.c.catalogue_id == catalogue_id, events.c.key == key)
    by_actor = events.join(actors, and_(actors.c.id == events.c.actor_id, is_actor(actor)))
    columns = (events.c.version, events.c.nonce, events.c.digest, events.c.payload)
    return connection.execute(select(*columns).select_from(by_actor).where(of_key)).one_or_none()


def answer_repeat(
    connection: Connection, catalogue_id: int, actor: Actor, key: str, confirmations: Sequence[Confirmation]
) -> dict[int, BadIdentityError] | None:
    """Return what was refused when an actor's key came first, by place in its repeat; None where the key is new.

    Raises:
        KeyReusedError: the key came with other confirmations.
    """
    event = event_of_key(connection, catalogue_id, actor, key)
    if event is None:
        return None
    said = event_confirmations.c
    query = select(said.digest, said.refusal).where(said.catalogue_id == catalogue_id, said.version == event.version)
    refusals = {row.digest: row.refusal for row in connection.execute(query)}
    digests = [_digest(confirmation) for confirmation in confirmations]
    if not refusals.keys() >= set(digests):
        raise key_reused()
    return {place: BadIdentityError(refusals[digest]) for place, digest in enumerate(digests) if refusals[digest]}


def undone_by(connection: Connection, catalogue_id: int, since: int) -> dict[int, int]:
    """Return which events from version `since` on are undone, each with the version of the undo that stands."""
    query = select(events.c.version, events.c.undoes).where(events.c.catalogue_id == catalogue_id)
    query = query.where(events.c.undoes >= since).order_by(events.c.version.desc())
    undone: dict[int, int] = {}
    for version, undoes in connection.execute(query):
        if version not in undone:  # else this undo is undone itself
            undone[undoes] = version
    return undone


def key_reused() -> KeyReusedError:
    """Return the error of a key that came before with something else."""
    return KeyReusedError(
        "the key came before with something else, so nothing was stored: give each request a key of its own"
    )


def actor_id(connection: Connection, actor: Actor) -> int:
    """Return the number of an actor, who is written down where they are not known."""
    known = select(actors.c.id).where(is_actor(actor))
    found = connection.execute(known).scalar()
    if found is not None:
        return int(found)
    try:
        with connection.begin_nested():
            inserted = insert(actors).values(_actor_values(actor)).returning(actors.c.id)
            return int(connection.execute(inserted).scalar_one())
    except IntegrityError:  # a writer of another catalogue, who holds another lock, was first
        return int(connection.execute(known).scalar_one())


def is_actor(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that a row of `actors` is this one."""
    return and_(*(actors.c[column] == value for column, value in _actor_values(actor).items()))


def _actor_values(actor: Actor) -> dict[str, str]:
    return {
        "institution": storable_text(actor.institution),
        "name": storable_text(actor.name),
        "kind": actor.kind,
    }


def _digest(confirmation: Confirmation) -> str:
    said = confirmation
    text = repr((said.key.photo, said.key.animal, said.body_part, said.individual, said.model))
    return hashlib.sha256(text.encode() + pack_vector(said.values)).hexdigest()[: 2 * _DIGEST_BYTES]


def _gone() -> CatalogueUnavailableError:
    return CatalogueUnavailableError("the database holds this catalogue no longer: restart the service")

"""Answers clients' requests about catalogues, each where it may be carried out and as far as its client may see."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.access import Permit
from pipeline.catalogue import answers
from pipeline.catalogue.answers import Answer
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.errors import ChangeRefusedError, ForbiddenError
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import ChangeRequest
from pipeline.protocol.rights_requests import (
    CatalogueCreate,
    Catalogues,
    Grant,
    Members,
    Revoke,
    RightsChange,
)
from pipeline.records import LOCAL_USER, Actor
from pipeline.rights import Held, Right

Handler = Callable[[LoadedCatalogues, Any, Permit], Answer]
"""Takes the catalogues, the message and what its sender may do."""


def answer(loaded: LoadedCatalogues, message: Request, permit: Permit) -> Answer:
    """Return the `data` of the answer to a request that changes nothing.

    Raises:
        RequestError: as `pipeline.catalogue.answers.answer`.
    """
    handler = OF_RIGHTS.get(type(message))
    if handler is not None:
        return handler(loaded, message, permit)
    assert permit.catalogue is not None
    return answers.answer(loaded.catalogue(permit.catalogue), message, permit.held.place)


def change(
    loaded: LoadedCatalogues, message: ChangeRequest | RightsChange, permit: Permit, only_changes: bool = False
) -> Answer:
    """Carry out a request that changes something, and return the `data` of its answer; safe to repeat.

    Args:
        loaded: the catalogues.
        message: what is said.
        permit: of its sender.
        only_changes: the message's key is the service's own (`pipeline.catalogue.port.EditableCatalogue.change`).

    Raises:
        RequestError: as `pipeline.catalogue.answers.change`, and where a right cannot be given so; nothing was stored.
    """
    if isinstance(message, RightsChange):
        return OF_RIGHTS[type(message)](loaded, message, permit)
    assert permit.catalogue is not None
    return answers.change(loaded.catalogue(permit.catalogue), message, permit.actor, only_changes)


def _catalogues(loaded: LoadedCatalogues, _: Catalogues, permit: Permit) -> Answer:
    entries = [_entry(loaded, name, held, permit) for name, held in permit.standing.held.items()]
    return {"catalogues": entries}


def _entry(loaded: LoadedCatalogues, name: str, held: Held, permit: Permit) -> Answer:
    """Describe a catalogue; who may rank only is not told what it holds."""
    entry: Answer = {"name": name}
    if held.right.includes(Right.VIEW):
        head, counts = loaded.counts(name)
        entry |= {"version": head.version, "individuals": counts.individuals, "photos": counts.photos}
    entry |= {"institution": held.institution, "species": held.species, "right": held.right.value}
    return entry | {"place": held.place, "default": name == permit.standing.default}


def _members(loaded: LoadedCatalogues, _: Request, permit: Permit) -> Answer:
    members, granted = [], []
    for gift in loaded.people.gifts(permit.catalogue):
        right = gift.right.value
        if isinstance(gift.to, Actor):
            who = {"institution": gift.to.institution, "user": gift.to.name, "kind": gift.to.kind}
            members.append({**who, "right": right})
        else:
            granted.append({"institution": gift.to, "right": right, "place": gift.place})
    return {"members": members, "grants": granted}


def _grant(loaded: LoadedCatalogues, message: Grant, permit: Permit) -> Answer:
    assert permit.catalogue is not None
    gift = Gift(permit.catalogue, _whom(loaded, message, permit), Right(message.right), message.place or "none")
    loaded.people.give(gift, permit.actor)
    return _members(loaded, message, permit)


def _revoke(loaded: LoadedCatalogues, message: Revoke, permit: Permit) -> Answer:
    assert permit.catalogue is not None
    loaded.people.take_back(permit.catalogue, _whom(loaded, message, permit), permit.actor)
    return _members(loaded, message, permit)


def _whom(loaded: LoadedCatalogues, message: Grant | Revoke, permit: Permit) -> Actor | str:
    """Find the user whom a request names; who works for another institution is its own business."""
    if message.user is None:
        return message.institution
    if message.institution != permit.held.institution:
        raise ChangeRefusedError(
            f"user: the catalogue is of {permit.held.institution!r}: give a right to all of another institution, or "
            "ask the operator to give one to somebody of it"
        )
    return loaded.people.find_user(message.institution, message.user)


def _catalogue_create(loaded: LoadedCatalogues, message: CatalogueCreate, permit: Permit) -> Answer:
    actor = permit.actor
    if actor == LOCAL_USER:
        raise ForbiddenError("with local access there is one catalogue: set access: tokens for several")
    own = [held for held in permit.standing.held.values() if held.institution == actor.institution]
    if not any(held.right is Right.ADMIN for held in own):
        raise ForbiddenError("only who is the admin of a catalogue of their institution may make another one")
    loaded.people.add_catalogue(message.name, actor, message.species, actor)
    made = loaded.people.standing(actor)
    return _entry(loaded, message.name, made.held[message.name], Permit(made, message.name))


OF_RIGHTS: Mapping[type[Request], Handler] = {
    Catalogues: _catalogues,
    Members: _members,
    Grant: _grant,
    Revoke: _revoke,
    CatalogueCreate: _catalogue_create,
}
"""What carries out each request about who may do what."""

"""Ranking of the known individuals for query embeddings, over a catalogue that others change at the same time."""

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.guesses import LastAnswers, is_guess
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rows import EMPTY, Confirmation, Head
from pipeline.catalogue.vectors import embedding_problem, length_problem, storable_key, storable_text
from pipeline.errors import BadEmbeddingError, BadItemError, ItemError, OtherModelError, UnknownBodyPartError
from pipeline.names import normalise_identity
from pipeline.records import UNKNOWN, UNKNOWN_DISTANCE, Actor, Candidate, Failure, Query, Ranking

_AT_ONCE = 64  # confirmations that are ranked before others have their turn
_MAX_ANIMAL = 2**31 - 1  # what a database's integer holds
_MAX_DISTANCES = 4_000_000  # computed at once: 32 MB, and as much again for their order


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The embedder that is loaded for one body part.

    Attributes:
        body_part: name from models.yaml.
        model: short hash of its weights.
        dimension: how many numbers its embeddings have.
        normalised: they have length 1, as those of every network that the service loads.
    """

    body_part: str
    model: str
    dimension: int
    normalised: bool = True


@dataclass(frozen=True, slots=True)
class MatcherStatus:
    """What a matcher answers from.

    Attributes:
        head: the catalogue's state.
        individuals: known individuals.
        photos: photos of them.
        other_model_rows: rows that are never ranked, because no loaded model made them.
    """

    head: Head
    individuals: int
    photos: int
    other_model_rows: int


@dataclass(frozen=True, slots=True)
class _Checked:
    """A query that can be answered, and the place of its answer."""

    index: int
    query: Query
    model: str


class CatalogueMatcher:
    """Confirms and ranks; every call answers with all that was committed to the catalogue before it.

    Safe to call from several threads. CatalogueUnavailableError is raised where the catalogue cannot be read or
    written.

    Args:
        catalogue: shared with other matchers.
        models: the loaded embedder of each body part.
        device: where distances are computed; needs float64.
    """

    def __init__(self, catalogue: Catalogue, models: Sequence[LoadedModel], device: torch.device | str = "cpu") -> None:
        self._catalogue = catalogue
        self._models = {model.body_part: model for model in models}
        self._device = torch.device(device)
        self._lock = threading.Lock()
        self._head = EMPTY
        self._status: MatcherStatus | None = None
        self._galleries = self._empty_galleries()
        self._last = LastAnswers()
        self._refresh()

    def confirm(
        self,
        queries: Sequence[Query],
        actor: Actor,
        key: str | None = None,
        only_changes: bool = False,
        may_guess: bool = False,
    ) -> list[Failure | None]:
        """Add the queries that carry an identity to the catalogue, in one event, on disk when this returns.

        Args:
            queries: of any body part.
            actor: who confirms.
            key: of the request, by which a repeat is known (`pipeline.catalogue.port.Catalogue.confirm`).
            only_changes: see there; the key is the service's own.
            may_guess: the client sends best candidates back as identities, which are then provisional
                (`pipeline.catalogue.guesses`).

        Returns:
            For each query, why it was refused; None where it is stored or carries no identity.

        Raises:
            KeyReusedError: the actor's key came with other confirmations; nothing is stored.
        """
        checked, failures = self._check(queries)
        said = [item for item in checked if item.query.identity is not None]
        if said:
            key = None if key is None else storable_text(key)
            guesses = self._guesses(said) if may_guess else set()
            words = [_as_confirmation(item, item.index not in guesses) for item in said]
            confirmed = self._catalogue.confirm(words, actor, key, only_changes)
            for place, error in confirmed.refused.items():
                failures[said[place].index] = Failure.of(error, said[place].query.path)
        return [failures.get(i) if query.identity is not None else None for i, query in enumerate(queries)]

    def rank(self, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
        """Rank the known individuals for each query, ascending by distance, "Unknown" at 1 among them.

        The distance is the Euclidean one to the mean of an individual's embeddings (float64, by subtraction); ties
        stand in the order "Unknown", then that of the catalogue. A query that carries an identity is matched as if its
        own row were not in the catalogue.

        Args:
            queries: of any body part.
            top_k: how many candidates, "Unknown" counted; None gives all.

        Returns:
            One ranking a query, in order; one with a failure and no candidates where the query cannot be answered.
        """
        checked, failures = self._check(queries)
        rankings = {index: Ranking((), failure) for index, failure in failures.items()}
        with self._lock:
            rankings |= self._rank(checked, top_k)
            for item in checked:
                self._last.note(item.query, rankings[item.index])
        return [rankings[index] for index in range(len(queries))]

    def _rank(self, checked: Sequence[_Checked], top_k: int | None) -> dict[int, Ranking]:
        """Return rankings by their places; the lock is held."""
        by_part: defaultdict[str, list[_Checked]] = defaultdict(list)
        for item in checked:
            by_part[item.query.body_part].append(item)
        self._refresh()
        rankings: dict[int, Ranking] = {}
        for body_part, items in by_part.items():
            ranked = rank_queries(self._galleries[body_part], [item.query for item in items], top_k)
            rankings.update({item.index: ranking for item, ranking in zip(items, ranked, strict=True)})
        return rankings

    def _guesses(self, said: Sequence[_Checked]) -> set[int]:
        """Return the places of confirmations that may be guesses of the client's."""
        guesses: set[int] = set()
        for start in range(0, len(said), _AT_ONCE):
            some = said[start : start + _AT_ONCE]
            with self._lock:
                now = self._rank([replace(item, query=replace(item.query, identity=None)) for item in some], 1)
                guesses |= {
                    item.index
                    for item in some
                    if is_guess(item.query, now[item.index], self._last, self._galleries[item.query.body_part])
                }
        return guesses

    def status(self) -> MatcherStatus:
        """Return what the catalogue holds; counted again only where it has changed, so health checks may ask often."""
        head = self._catalogue.head()
        status = self._status
        if status is None or status.head != head:
            status = self._status = self._count(head)
        return status

    def _count(self, head: Head) -> MatcherStatus:
        counts = self._catalogue.counts()
        ranked = {(model.body_part, model.model) for model in self._models.values()}
        return MatcherStatus(
            head=head,
            individuals=counts.individuals,
            photos=counts.photos,
            other_model_rows=sum(rows for made_by, rows in counts.rows.items() if made_by not in ranked),
        )

    def _empty_galleries(self) -> dict[str, Gallery]:
        return {
            part: Gallery(part, loaded.model, loaded.dimension, self._device) for part, loaded in self._models.items()
        }

    def _refresh(self) -> None:
        head = self._catalogue.head()
        if head == self._head:
            return
        changes = self._catalogue.changes_since(self._head)
        if changes.anew:  # another copy of the catalogue was put in place: nothing that is loaded holds
            self._galleries = self._empty_galleries()
        for gallery in self._galleries.values():
            gallery.update(changes)
        self._head = changes.head

    def _check(self, queries: Sequence[Query]) -> tuple[list[_Checked], dict[int, Failure]]:
        checked: list[_Checked] = []
        failures: dict[int, Failure] = {}
        for index, query in enumerate(queries):
            try:
                checked.append(self._check_query(index, query))
            except ItemError as error:
                failures[index] = Failure.of(error, query.path)
        return checked, failures

    def _check_query(self, index: int, query: Query) -> _Checked:
        loaded = self._models.get(query.body_part)
        if loaded is None:
            parts = ", ".join(sorted(self._models))
            raise UnknownBodyPartError(f"no model for body part {query.body_part!r}; there are: {parts}")
        if query.model is not None and query.model != loaded.model:
            raise OtherModelError(
                f"the embedding was made by model {query.model}, loaded is {loaded.model}: extract the photo again"
            )
        problem = embedding_problem(query.values, loaded.dimension)
        if problem is not None:
            raise BadEmbeddingError(f"the embedding {problem}: extract the photo again")
        # A query misleads nobody but its own answer; a confirmation stays.
        stays = loaded.normalised and query.identity is not None
        problem = length_problem(query.values) if stays else None
        if problem is not None:
            raise BadEmbeddingError(f"the embedding {problem}: confirm it as `extract` answered it")
        if query.key.animal > _MAX_ANIMAL:
            raise BadItemError(f"animal: must be at most {_MAX_ANIMAL}")
        identity = None if query.identity is None else normalise_identity(query.identity)
        key = replace(query.key, photo=storable_key(query.key.photo))
        return _Checked(index, replace(query, key=key, identity=identity), loaded.model)


def rank_queries(gallery: Gallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    """Rank one gallery's individuals; see `CatalogueMatcher.rank`. The queries have been checked."""
    at_once = max(1, _MAX_DISTANCES // (len(gallery.names) + 1))
    some = (queries[start : start + at_once] for start in range(0, len(queries), at_once))
    return [ranking for part in some for ranking in _rank_some(gallery, part, top_k)]


def _rank_some(gallery: Gallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    stacked = np.stack([query.values for query in queries]).astype(np.float64)
    values = torch.from_numpy(stacked).to(gallery.means.device)  # (q, d)
    distances = euclidean_distances(values, gallery.means)  # (q, m)
    _leave_out_own_photos(gallery, queries, values, distances)
    unknown = torch.full((len(queries), 1), UNKNOWN_DISTANCE, dtype=torch.float64, device=distances.device)
    # "Unknown" stands first, then the catalogue's order: a stable sort keeps that order among equals.
    ascending, order = torch.sort(torch.cat((unknown, distances), dim=1), dim=1, stable=True)
    names = (UNKNOWN, *gallery.names)
    columns = zip(ascending[:, :top_k].tolist(), order[:, :top_k].tolist(), strict=True)
    return [_as_ranking(names, *column) for column in columns]


def _leave_out_own_photos(
    gallery: Gallery, queries: Sequence[Query], values: torch.Tensor, distances: torch.Tensor
) -> None:
    """Measure confirmed queries against their individual's other photos; one that has none is infinitely far."""
    for row, query in enumerate(queries):
        own = gallery.without_photo(query.key) if query.identity is not None else None
        if own is not None:
            column, mean = own
            distances[row, column] = (
                torch.inf if mean is None else euclidean_distances(values[row : row + 1], mean.unsqueeze(0))
            )


def euclidean_distances(values: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Return (q, m) Euclidean distances by subtraction: the faster product form loses half of the digits."""
    return torch.cdist(values, means, compute_mode="donot_use_mm_for_euclid_dist")


def _as_ranking(names: Sequence[str], distances: Sequence[float], order: Sequence[int]) -> Ranking:
    pairs = zip(order, distances, strict=True)
    return Ranking(tuple(Candidate(names[place], distance) for place, distance in pairs if distance != math.inf))


def _as_confirmation(item: _Checked, reviewed: bool) -> Confirmation:
    query = item.query
    assert query.identity is not None
    return Confirmation(
        key=query.key,
        body_part=query.body_part,
        individual=query.identity,
        values=query.values.astype(np.float64),
        model=item.model,
        path=storable_text(query.path),
        box=query.box,
        reviewed=reviewed,
    )

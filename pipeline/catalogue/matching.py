"""Ranking of the known individuals for query embeddings, over a catalogue that others change at the same time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.catalogue.following import Galleries, LoadedModel, Rankable
from pipeline.catalogue.guesses import LastAnswers, is_guess
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.ranking import rank_queries
from pipeline.catalogue.references import Compared, Near, described, near_annotations, with_references
from pipeline.catalogue.rows import Confirmation, Head
from pipeline.catalogue.vectors import embedding_problem, length_problem, storable_key, storable_text
from pipeline.errors import BadEmbeddingError, BadItemError, ItemError, OtherModelError, UnknownBodyPartError
from pipeline.names import normalise_identity
from pipeline.protocol.filters import Detail, Filters
from pipeline.records import Actor, Failure, Query, Ranking

_AT_ONCE = 64  # confirmations that are ranked, at most, before others have their turn
_MAX_ANIMAL = 2**31 - 1  # what a database's integer holds
_DISTANCES_AT_ONCE = 1_000_000  # what takes less than twice the time of a single query, be there 100,000 individuals


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
        self._galleries = Galleries(catalogue, models, device)
        self._last = LastAnswers()
        self._status: MatcherStatus | None = None

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

    def rank(
        self,
        queries: Sequence[Query],
        top_k: int | None,
        detail: Detail | None = None,
        filtered: Rankable | None = None,
    ) -> list[Ranking]:
        """Rank the known individuals for each query, ascending by distance, "Unknown" at 1 among them.

        The distance is the Euclidean one to the mean of an individual's embeddings (float64, by subtraction); ties
        stand in the order "Unknown", then that of the catalogue. A query that carries an identity is matched as if its
        own row were not in the catalogue.

        Args:
            queries: of any body part.
            top_k: how many candidates, "Unknown" counted; None gives all.
            detail: what else the rankings hold, and which annotations count.
            filtered: of the detail's filters, where a call asks in portions: all are ranked in one state.

        Returns:
            One ranking a query, in order; one with a failure and no candidates where the query cannot be answered.
        """
        checked, failures = self._check(queries)
        filters, key = (None, None) if detail is None else (detail.filters, self._catalogue.signing_key())
        near: dict[int, dict[int, Near]] = {}
        with self._rankable(filters, filtered) as current:
            rankings = _rank_parts(current.galleries, checked, top_k)
            for item in checked:
                ranking = rankings[item.index]
                if filters is None:  # no client that guesses asks with filters
                    self._last.note(item.query, ranking)
                if detail is not None and key is not None:
                    rankings[item.index] = described(ranking, self._compared(item, current, top_k, detail), key)
                    if detail.references:
                        gallery = current.galleries[item.query.body_part]
                        near[item.index] = near_annotations(gallery, item.query, ranking)
        if detail is not None and near:
            rankings |= self._with_references(rankings, near, detail.references)
        rankings |= {index: Ranking((), failure) for index, failure in failures.items()}
        return [rankings[index] for index in range(len(queries))]

    def _rankable(self, filters: Filters | None, filtered: Rankable | None) -> AbstractContextManager[Rankable]:
        return self._galleries.current() if filters is None else nullcontext(filtered or self.filtered(filters))

    def _compared(self, item: _Checked, current: Rankable, top_k: int | None, detail: Detail) -> Compared:
        part = item.query.body_part
        individuals = current.galleries[part].individuals
        return Compared(self._catalogue.name, self._models[part], current.head, top_k, detail, individuals)

    def _guesses(self, said: Sequence[_Checked]) -> set[int]:
        """Return the places of confirmations that may be guesses of the client's."""
        guesses: set[int] = set()
        at_once = min(_AT_ONCE, self.at_once)
        for start in range(0, len(said), at_once):
            some = said[start : start + at_once]
            nameless = [replace(item, query=replace(item.query, identity=None)) for item in some]
            with self._galleries.current() as current:
                now = _rank_parts(current.galleries, nameless, 1)
                guesses |= {
                    item.index
                    for item in some
                    if is_guess(item.query, now[item.index], self._last, current.galleries[item.query.body_part])
                }
        return guesses

    def _with_references(
        self, rankings: Mapping[int, Ranking], near: Mapping[int, Mapping[int, Near]], count: int
    ) -> dict[int, Ranking]:
        numbers = {annotation for found in near.values() for rows in found.values() for _, annotation in rows}
        encounters = self._catalogue.encounters_of(sorted(numbers))
        return {index: with_references(rankings[index], found, encounters, count) for index, found in near.items()}

    @property
    def body_parts(self) -> list[str]:
        """For which there are models, in their order."""
        return sorted(self._models)

    def current(self) -> AbstractContextManager[Rankable]:
        """Hold what is ranked in the state of the catalogue's head; nobody else ranks meanwhile."""
        return self._galleries.current()

    def told_apart(self, pairs: Sequence[tuple[int, int]]) -> Set[tuple[int, int]]:
        """Return the pairs of individuals that people have told apart; see the port."""
        return self._catalogue.told_apart(pairs)

    @property
    def at_once(self) -> int:
        """How many queries to rank in one call: with more, whoever comes meanwhile would wait longer than for one."""
        return max(1, _DISTANCES_AT_ONCE // (self._galleries.individuals + 1))

    def filtered(self, filters: Filters) -> Rankable:
        """Return what filters let through, for `rank`: that may take seconds, in which others can rank."""
        return self._galleries.filtered(filters)

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


def _rank_parts(
    galleries: Mapping[str, RankableGallery], checked: Sequence[_Checked], top_k: int | None
) -> dict[int, Ranking]:
    """Return rankings by their places; the galleries are held."""
    by_part: defaultdict[str, list[_Checked]] = defaultdict(list)
    for item in checked:
        by_part[item.query.body_part].append(item)
    rankings: dict[int, Ranking] = {}
    for body_part, items in by_part.items():
        ranked = rank_queries(galleries[body_part], [item.query for item in items], top_k)
        rankings.update({item.index: ranking for item, ranking in zip(items, ranked, strict=True)})
    return rankings


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

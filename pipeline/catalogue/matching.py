"""Ranking of the known individuals for query embeddings, over a catalogue that others change at the same time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from pipeline.catalogue.following import Galleries, Rankable
from pipeline.catalogue.guesses import LastAnswers, is_guess
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.queries import Checked, LoadedModel, check_queries
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.ranking import rank_queries
from pipeline.catalogue.references import Compared, Near, described, near_annotations, with_references
from pipeline.protocol.filters import Detail
from pipeline.records import Query, Ranking

_AT_ONCE = 64  # queries, at most, before others have their turn: checking them takes time, too
_DISTANCES_AT_ONCE = 1_000_000  # what takes less than twice the time of a single query, be there 100,000 individuals


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rankings that want only what the database knows of their references.

    Attributes:
        rankings: one a query.
        near: by a query's place, the annotations of each of its candidates, by the individual's number.
        references: how many of them each candidate brings, one an encounter.
    """

    rankings: list[Ranking]
    near: Mapping[int, Mapping[int, Near]]
    references: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the database knows of a request's detail.

    Attributes:
        key: that descriptions are signed by.
        filtered: what its filters let through, for all portions of the request in one state; None without filters.
    """

    key: bytes
    filtered: Rankable | None


class CatalogueMatcher:
    """Ranks; every call of `rank` answers with all that was committed to the catalogue before it.

    Who has others wait for the same thread calls its three steps apart: `catch_up` and `finish` ask the database,
    `compare` computes. Safe to call from several threads. CatalogueUnavailableError is raised where the catalogue
    cannot be read.

    Args:
        catalogue: shared with whoever writes to it, and with other matchers.
        models: the loaded embedder of each body part.
        device: where distances are computed; needs float64.
    """

    def __init__(self, catalogue: Catalogue, models: Sequence[LoadedModel], device: torch.device | str = "cpu") -> None:
        self._catalogue = catalogue
        self._models = {model.body_part: model for model in models}
        self._galleries = Galleries(catalogue, models, device)
        self._last = LastAnswers()

    def rank(self, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None) -> list[Ranking]:
        """Rank the known individuals for each query, ascending by distance, "Unknown" at 1 among them.

        The distance is the Euclidean one to the mean of an individual's embeddings (float64, by subtraction); ties
        stand in the order "Unknown", then that of the catalogue. A query that carries an identity is matched as if its
        own row were not in the catalogue.

        Args:
            queries: of any body part.
            top_k: how many candidates, "Unknown" counted; None gives all.
            detail: what else the rankings hold, and which annotations count.

        Returns:
            One ranking a query, in order; one with a failure and no candidates where the query cannot be answered.
        """
        self.catch_up()
        return self.finish(self.compare(queries, top_k, detail, self.prepare(detail)))

    def catch_up(self) -> None:
        """Take in all that was committed; who ranks meanwhile does not wait for the database."""
        self._galleries.catch_up()

    def prepare(self, detail: Detail | None) -> Prepared | None:
        """Find what filters let through, which may take long; None where no detail is wanted."""
        if detail is None:
            return None
        filtered = None if detail.filters is None else self._galleries.filtered(detail.filters)
        return Prepared(self._catalogue.signing_key(), filtered)

    def compare(
        self, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None, made: Prepared | None = None
    ) -> Ranked:
        """Rank in the state that was caught up with.

        Args:
            queries: see `rank`.
            top_k: see there.
            detail: see there.
            made: by `prepare`, for this detail.
        """
        checked, failures = check_queries(queries, self._models)
        filtered = None if made is None else made.filtered
        near: dict[int, dict[int, Near]] = {}
        with self._galleries.current() if filtered is None else nullcontext(filtered) as current:
            rankings = _rank_parts(current.galleries, checked, top_k)
            for item in checked:
                ranking = rankings[item.index]
                if filtered is None:  # no client that guesses asks with filters
                    self._last.note(item.query, ranking)
                if detail is not None and made is not None:
                    rankings[item.index] = described(ranking, self._compared(item, current, top_k, detail), made.key)
                    if detail.references:
                        gallery = current.galleries[item.query.body_part]
                        near[item.index] = near_annotations(gallery, item.query, ranking)
        rankings |= {index: Ranking((), failure) for index, failure in failures.items()}
        in_order = [rankings[index] for index in range(len(queries))]
        return Ranked(in_order, near, 0 if detail is None else detail.references)

    def finish(self, ranked: Ranked) -> list[Ranking]:
        """Give candidates their references, of which the database knows the encounters."""
        rankings = list(ranked.rankings)
        if ranked.near:
            numbers = {number for found in ranked.near.values() for rows in found.values() for _, number in rows}
            encounters = self._catalogue.encounters_of(sorted(numbers))
            for index, found in ranked.near.items():
                rankings[index] = with_references(rankings[index], found, encounters, ranked.references)
        return rankings

    def guesses(self, queries: Sequence[Query]) -> set[int]:
        """Return the places of confirmations that may be guesses of a client that was told the names by a ranking.

        Args:
            queries: those without an identity are passed over; see `pipeline.catalogue.guesses`.
        """
        checked, _ = check_queries(queries, self._models)
        said = [item for item in checked if item.query.identity is not None]
        nameless = [replace(item, query=replace(item.query, identity=None)) for item in said]
        with self._galleries.current() as current:
            now = _rank_parts(current.galleries, nameless, 1)
            return {
                item.index
                for item in said
                if is_guess(item.query, now[item.index], self._last, current.galleries[item.query.body_part])
            }

    @property
    def body_parts(self) -> list[str]:
        """For which there are models, in their order."""
        return sorted(self._models)

    def current(self) -> AbstractContextManager[Rankable]:
        """Hold what is ranked in the state that was caught up with; nobody else ranks meanwhile."""
        return self._galleries.current()

    def told_apart(self, pairs: Sequence[tuple[int, int]]) -> Set[tuple[int, int]]:
        """Return the pairs of individuals that people have told apart; see the port."""
        return self._catalogue.told_apart(pairs)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self._galleries.size_bytes + self._last.size_bytes

    @property
    def at_once(self) -> int:
        """How many queries to rank in one call: with more, whoever comes meanwhile would wait longer than for one."""
        return max(1, min(_AT_ONCE, _DISTANCES_AT_ONCE // (self._galleries.individuals + 1)))

    def _compared(self, item: Checked, current: Rankable, top_k: int | None, detail: Detail) -> Compared:
        part = item.query.body_part
        gallery = current.galleries[part]
        counts = (gallery.individuals, gallery.photos)
        return Compared(self._catalogue.name, self._models[part], current.head, top_k, detail, *counts)


def _rank_parts(
    galleries: Mapping[str, RankableGallery], checked: Sequence[Checked], top_k: int | None
) -> dict[int, Ranking]:
    """Return rankings by their places; the galleries are held."""
    by_part: defaultdict[str, list[Checked]] = defaultdict(list)
    for item in checked:
        by_part[item.query.body_part].append(item)
    rankings: dict[int, Ranking] = {}
    for body_part, items in by_part.items():
        ranked = rank_queries(galleries[body_part], [item.query for item in items], top_k)
        rankings.update({item.index: ranking for item, ranking in zip(items, ranked, strict=True)})
    return rankings

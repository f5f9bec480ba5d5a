"""Which individuals may be one: pairs whose means are nearer than photos of one individual are to its own mean."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.catalogue.answers import Answer, page_answer
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.nearest import euclidean_distances
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.rows import Head
from pipeline.catalogue.vectors import Numbers
from pipeline.catalogue.views import MAX_PAGE, PAGE, Page
from pipeline.errors import MalformedMessageError
from pipeline.protocol.catalogue_requests import SuggestMerges

MAX_SEARCHED = 1_000
"""Individuals that one page looks for others of, at most: about a second's work in a catalogue of 100,000."""

SAMPLE = 200
"""Individuals whose spreads the typical one is the median of."""

MOST_SAMPLED = 10_000


@dataclass(frozen=True, slots=True)
class Likeness:
    """One individual of a pair.

    Attributes:
        id: its number.
        name: as rankings show it.
        annotations: how many are compared.
        spread: root of the mean squared distance of its annotations from their mean (n - 1 in place of n); None where
            there is one alone.
    """

    id: int
    name: str
    annotations: int
    spread: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two individuals that may be one.

    Attributes:
        body_part: that was compared.
        distance: between their means.
        ratio: of the distance to the larger of their spreads; the typical one stands for that of a single annotation.
        individuals: first the one within whose spread the other lies, or the lower number where each does.
    """

    body_part: str
    distance: float
    ratio: float
    individuals: tuple[Likeness, Likeness]

    @property
    def numbers(self) -> tuple[int, int]:
        """Those of the individuals."""
        return self.individuals[0].id, self.individuals[1].id


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the list of pairs, which is ordered by body part and by the numbers of both individuals."""

    body_part: str = ""
    first: int = 0
    second: int = 0

    @classmethod
    def read(cls, after: str) -> "Cursor":
        """Return the cursor that a page gave as `next`.

        Raises:
            MalformedMessageError: no page gave it.
        """
        try:
            values = json.loads(after)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, list) and [type(value) for value in values] == [str, int, int]:
            return cls(*values)
        raise MalformedMessageError("after: must be `next` of the page before")

    def __str__(self) -> str:
        return json.dumps([self.body_part, self.first, self.second])


class PairSearch:
    """One page of pairs, searched for in steps, between which others may rank.

    Attributes:
        done: nothing is left to search for.

    Args:
        matcher: of the catalogue.
        message: what is asked.

    Raises:
        MalformedMessageError: `after` is none that a page gave, or no loaded model is for the body part.
    """

    def __init__(self, matcher: CatalogueMatcher, message: SuggestMerges) -> None:
        self._matcher = matcher
        self._within = message.within
        self._at: Cursor | None = Cursor() if message.after is None else Cursor.read(message.after)
        self._room = min(message.limit or PAGE, MAX_PAGE)
        self._parts = matcher.body_parts
        if message.body_part is not None:
            if message.body_part not in self._parts:
                raise MalformedMessageError(f"bodyPart: no model is for it; there are: {', '.join(self._parts)}")
            self._parts = [message.body_part]
        self._head: Head | None = None
        self._typical: dict[str, float | None] = {}
        self._searched = 0
        self._pairs: list[Pair] = []

    @property
    def done(self) -> bool:
        """Whether the page is full, or its share of the work is done."""
        return self._at is None or self._searched >= MAX_SEARCHED or len(self._pairs) == self._room

    def go_on(self) -> None:
        """Take one step: look for others near a few individuals, in the state that was caught up with."""
        assert self._at is not None
        with self._matcher.current() as current:
            self._head = self._head or current.head
            parts = [part for part in self._parts if part >= self._at.body_part]
            self._at = self._search(current.galleries, parts) if parts else None

    def _search(self, galleries: Mapping[str, RankableGallery], parts: Sequence[str]) -> Cursor | None:
        """Take a step in the first of the parts that are left, and return where the next one begins."""
        assert self._at is not None
        part, gallery = parts[0], galleries[parts[0]]
        if part not in self._typical:
            self._typical[part] = typical_spread(gallery)
        at = self._at if part == self._at.body_part else Cursor(part)
        columns = gallery.columns_from(at.first, self._matcher.at_once)
        self._searched += len(columns)
        for pair in self._pairs_near(gallery, columns, at):
            self._pairs.append(pair)
            if len(self._pairs) == self._room:
                return Cursor(part, *pair.numbers)
        if len(columns):
            return Cursor(part, gallery.number(int(columns[-1])) + 1)
        return Cursor(parts[1]) if len(parts) > 1 else None

    def _pairs_near(self, gallery: RankableGallery, columns: Numbers, after: Cursor) -> Iterator[Pair]:
        """Yield the pairs behind a place whose first individuals are given, by their numbers."""
        if len(columns) == 0:
            return
        means = gallery.means.at(columns)
        firsts = [_likeness(gallery, column) for column in columns.tolist()]
        reaches = np.array([self._reach(after.body_part, first) for first in firsts])
        near = gallery.means.within(means, reaches)
        for row, first in enumerate(firsts):
            others = gallery.order if near is None else near[row]
            distances = euclidean_distances(means[row : row + 1], gallery.means.at(others))[0].cpu().numpy()
            within = np.flatnonzero((distances <= reaches[row]) & (others != columns[row]))
            numbers = [gallery.number(column) for column in others[within].tolist()]
            for number, place in sorted(zip(numbers, within.tolist(), strict=True)):
                if Cursor(after.body_part, first.id, number) > after:
                    yield from self._as_pair(
                        gallery, after.body_part, first, int(others[place]), float(distances[place])
                    )

    def _as_pair(
        self, gallery: RankableGallery, part: str, first: Likeness, column: int, distance: float
    ) -> Iterator[Pair]:
        """Yield the pair, unless the other individual has it as its own."""
        second = _likeness(gallery, column)
        if second.id > first.id or distance > self._reach(part, second):
            reach = max(self._reach(part, first), self._reach(part, second)) / self._within
            yield Pair(part, distance, distance / reach if reach else 0.0, (first, second))

    def _reach(self, part: str, individual: Likeness) -> float:
        spread = self._typical[part] if individual.spread is None else individual.spread
        return self._within * (spread or 0.0)

    def answer(self) -> Answer:
        """Return the `data` of the answer; pairs that people have told apart are left out."""
        assert self._head is not None
        numbers = [pair.numbers for pair in self._pairs]
        apart = self._matcher.told_apart(numbers)
        pairs = tuple(pair for pair, both in zip(self._pairs, numbers, strict=True) if both not in apart)
        cursor = None if self._at is None else str(self._at)
        return page_answer("pairs", Page(self._head, pairs, cursor, None))


def suggest_merges(matcher: CatalogueMatcher, message: SuggestMerges) -> Answer:
    """Search for a page of pairs in one go, in the state of the head, and return the `data` of the answer."""
    matcher.catch_up()
    search = PairSearch(matcher, message)
    while not search.done:
        search.go_on()
    return search.answer()


def typical_spread(gallery: RankableGallery) -> float | None:
    """Return the median spread of the first `SAMPLE` individuals that have several annotations; None of none.

    Where so few have several, no more than the first `MOST_SAMPLED` are looked at.
    """
    spreads: list[float] = []
    for column in gallery.columns_from(0, MOST_SAMPLED).tolist():
        spread = gallery.spread(column)
        spreads += [] if spread is None else [spread]
        if len(spreads) == SAMPLE:
            break
    return float(np.median(spreads)) if spreads else None


def _likeness(gallery: RankableGallery, column: int) -> Likeness:
    return Likeness(gallery.number(column), gallery.name(column), gallery.annotations(column), gallery.spread(column))

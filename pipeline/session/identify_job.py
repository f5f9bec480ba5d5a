"""An identify request at work: confirmations first and all at once, then rankings in portions."""

from collections.abc import Iterable
from functools import partial

from pipeline.errors import MalformedMessageError, UnknownBodyPartError
from pipeline.protocol.json_text import encode
from pipeline.protocol.replies import Entry, Replies
from pipeline.protocol.requests import Identify
from pipeline.records import Failure, Query, Ranking
from pipeline.session.actions import Action, Call, LetOthersGo, RankInSeveral, RankQueries, StoreConfirmations
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import SLICE_ELEMENTS, ListJob

PORTION_ITEMS = 64
"""Queries that the shell is asked to rank at once; bounds what a stream buffers and how long a matcher is held."""

_SHOWN_CHARACTERS = 40


class IdentifyJob(ListJob):
    """Asks for one portion, and for the next one when it has been answered."""

    def __init__(self, number: int, message: Identify, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        """See `Job`.

        Raises:
            MalformedMessageError: the filters name a body part that there is none of.
        """
        super().__init__(number, message, len(message.data), replies, config, clock)
        part = None if message.filters is None else message.filters.body_part
        if part is not None and part not in config.body_parts:
            raise MalformedMessageError(f"filters.bodyPart: {self._no_body_part(part)}")
        self._items = message.data
        self._top_k = message.top_k
        self._detail = message.detail
        self._key = message.key
        self._catalogue = message.catalogue
        self._catalogues = message.catalogues
        self._may_guess = config.may_guess and message.id is None
        self._next = 0
        self._done = 0
        self._not_stored: dict[int, Failure] = {}
        """Items whose confirmation the catalogue refused."""

    def _begin(self) -> list[Action]:
        queries = {index: self._query(index) for index in range(self._total)}
        confirmed = {i: q for i, q in queries.items() if isinstance(q, Query) and q.identity is not None}
        if not confirmed:
            return []
        places = self._detail is not None and self._detail.compares_places
        call = StoreConfirmations(tuple(confirmed.values()), self._key, self._catalogue, self._may_guess, places)
        return [self._ask(call, partial(self._stored, confirmed))]

    def _stored(self, indexes: Iterable[int], refused: tuple[Failure | None, ...]) -> list[Action]:
        """Go on with the rankings of all that were not refused."""
        answers = zip(indexes, refused, strict=True)
        self._not_stored = {index: failure for index, failure in answers if failure is not None}
        return []

    def _advance(self) -> list[Action]:
        if self.outstanding:
            return []
        actions: list[Action] = []
        indexes: list[int] = []
        queries: list[Query] = []
        until = self._next + SLICE_ELEMENTS
        while self._next < min(self._total, until) and len(queries) < PORTION_ITEMS and not self._answers.full:
            query = self._query(self._next)
            if isinstance(query, Failure):
                actions += self._done_with(self._next, Ranking((), query))
            else:
                indexes.append(self._next)
                queries.append(query)
            self._next += 1
        if queries:
            actions.append(self._ask(self._rank(tuple(queries)), partial(self._ranked, indexes)))
        elif self._next < self._total and not self._answers.full:
            actions.append(self._ask(LetOthersGo(), self._go_on))
        return actions

    def _rank(self, queries: tuple[Query, ...]) -> Call[tuple[Ranking, ...]]:
        if self._catalogues is None:
            return RankQueries(queries, self._top_k, self._catalogue, self._detail)
        return RankInSeveral(queries, self._top_k, self._catalogues, self._detail)

    def _ranked(self, indexes: list[int], rankings: tuple[Ranking, ...]) -> list[Action]:
        answered = (self._done_with(index, ranking) for index, ranking in zip(indexes, rankings, strict=True))
        return [action for actions in answered for action in actions]

    def _query(self, index: int) -> Query | Failure:
        """Return the query, or why it is refused here or was by the catalogue."""
        if index in self._not_stored:
            return self._not_stored[index]
        query = self._items[index].query
        if isinstance(query, Failure) or query.body_part in self._config.body_parts:
            return query
        return Failure.of(UnknownBodyPartError(f"type: {self._no_body_part(query.body_part)}"))

    def _no_body_part(self, name: str) -> str:
        known = ", ".join(self._config.body_parts)
        return f"{encode(name[:_SHOWN_CHARACTERS])} is no body part of the loaded models, which have {known}"

    def _done_with(self, index: int, ranking: Ranking) -> list[Action]:
        self._done += 1
        return [*self._progress("identifying", self._done), *self._answer(index, self._entry(index, ranking))]

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._entry(index, Ranking((), failure))

    def _entry(self, index: int, ranking: Ranking) -> tuple[Entry, ...]:
        return self._replies.ranking(index, self._items[index], ranking)

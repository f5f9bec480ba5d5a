"""An identify request at work: confirmations first and all at once, then rankings in portions."""

from collections.abc import Mapping

from pipeline.errors import UnknownBodyPartError, WhaleVisionError
from pipeline.protocol.json_text import encode
from pipeline.protocol.replies import Entry, Replies
from pipeline.protocol.requests import Identify, Kind
from pipeline.records import Failure, Query, Ranking
from pipeline.session.actions import Action, IdentifyItems, IndexedQuery, StoreConfirmations
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import Job, say

PORTION_ITEMS = 64
"""Queries that the shell is asked to rank at once; bounds what a stream buffers and how long a matcher is held."""

_SHOWN_CHARACTERS = 40


class IdentifyJob(Job):
    """Asks for one portion, and for the next one when it has been answered."""

    kind: Kind = "identify"

    def __init__(self, number: int, message: Identify, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        super().__init__(number, replies, len(message.items), config, clock)
        self._items = message.items
        self._top_k = message.top_k
        self._next = 0
        self._done = 0
        self._confirming = False
        self._not_stored: Mapping[int, Failure] = {}
        self._ranking: set[int] = set()

    @property
    def outstanding(self) -> bool:
        """Confirmations or rankings are with the shell."""
        return self._confirming or bool(self._ranking)

    def confirmations_stored(self, refused: Mapping[int, Failure]) -> list[Action]:
        """Go on with the rankings of all that were not refused."""
        if not self._confirming:
            return []
        self._confirming = False
        self._not_stored = refused
        return self.proceed()

    def item_identified(self, index: int, ranking: Ranking) -> list[Action]:
        """Note one ranking."""
        if index not in self._ranking:
            return []
        self._ranking.remove(index)
        return [*self._done_with(index, ranking), *self.proceed()]

    def shell_failed(self, error: WhaleVisionError) -> list[Action]:
        """End the request; the shell has nothing of it left to stop."""
        self._confirming = False
        self._ranking.clear()
        return self.fail(error)

    def _begin(self) -> list[Action]:
        queries = (self._query(index) for index in range(self._total))
        confirmed = tuple(
            IndexedQuery(index, query)
            for index, query in enumerate(queries)
            if isinstance(query, Query) and query.identity is not None
        )
        self._confirming = bool(confirmed)
        return [StoreConfirmations(self.number, confirmed)] if confirmed else []

    def _advance(self) -> list[Action]:
        if self.outstanding:
            return []
        actions: list[Action] = []
        portion: list[IndexedQuery] = []
        while self._next < self._total and len(portion) < PORTION_ITEMS and not self._answers.full:
            query = self._query(self._next)
            if isinstance(query, Failure):
                actions += self._done_with(self._next, Ranking((), query))
            else:
                portion.append(IndexedQuery(self._next, query))
            self._next += 1
        self._ranking.update(item.index for item in portion)
        return [*actions, IdentifyItems(self.number, tuple(portion), self._top_k)] if portion else actions

    def _query(self, index: int) -> Query | Failure:
        """Return the query, or why it is refused here or was by the catalogue."""
        if index in self._not_stored:
            return self._not_stored[index]
        query = self._items[index].query
        if isinstance(query, Failure) or query.body_part in self._config.body_parts:
            return query
        shown = encode(query.body_part[:_SHOWN_CHARACTERS])
        known = ", ".join(self._config.body_parts)
        return Failure.of(
            UnknownBodyPartError(f"type: {shown} is no body part of the loaded models, which have {known}")
        )

    def _done_with(self, index: int, ranking: Ranking) -> list[Action]:
        self._done += 1
        progress = say(self._replies.progress("identifying", self._done, self._total))
        return [*progress, *self._answer(index, self._entry(index, ranking))]

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._entry(index, Ranking((), failure))

    def _entry(self, index: int, ranking: Ranking) -> tuple[Entry, ...]:
        return self._replies.ranking(index, self._items[index], ranking)

"""A save request at work: one photo after the other, a line for each."""

from collections import deque
from functools import partial

from pipeline.protocol.replies import Entry, Replies
from pipeline.protocol.requests import Save
from pipeline.records import Failure, SaveOutcome
from pipeline.session.actions import Action, SavePhoto
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import ListJob, say


class SaveJob(ListJob):
    """Refuses what cannot be saved, then has the others saved in order."""

    def __init__(self, number: int, message: Save, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        super().__init__(number, message, len(message.items), replies, config, clock)
        self._items = message.items
        self._done = 0
        self._waiting: deque[tuple[int, SavePhoto]] = deque()

    def _begin(self) -> list[Action]:
        actions: list[Action] = []
        for index, item in enumerate(self._items):
            if item.failure is not None:
                actions += self._done_with(index, SaveOutcome(None, failure=item.failure))
            elif item.file is not None and item.identity is not None:
                self._waiting.append((index, SavePhoto(item.file, item.identity)))
        return actions

    def _advance(self) -> list[Action]:
        if self.outstanding or not self._waiting:
            return []
        index, call = self._waiting.popleft()
        return [self._ask(call, partial(self._done_with, index))]

    def _done_with(self, index: int, outcome: SaveOutcome) -> list[Action]:
        self._done += 1
        item = self._items[index]
        lines = say(self._replies.saving(item, outcome, self._done, self._total))
        return [*lines, *self._answer(index, self._replies.saved(index, item, outcome))]

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._replies.saved(index, self._items[index], SaveOutcome(None, failure=failure))

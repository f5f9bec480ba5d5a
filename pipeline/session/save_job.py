"""A save request at work: one photo after the other, a line for each."""

from collections import deque
from functools import partial

from pipeline.protocol.replies import Entry, Replies
from pipeline.protocol.requests import Save
from pipeline.records import Failure, SaveOutcome
from pipeline.session.actions import Action, LetOthersGo, SavePhoto
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import NO_PATHS, SLICE_ELEMENTS, ListJob, say


class SaveJob(ListJob):
    """Refuses what cannot be saved, then has the others saved in order."""

    def __init__(self, number: int, message: Save, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        super().__init__(number, message, len(message.items), replies, config, clock)
        self._items = message.items
        self._done = 0
        self._refusals: deque[tuple[int, Failure]] = deque()
        self._waiting: deque[tuple[int, SavePhoto]] = deque()

    def _begin(self) -> list[Action]:
        for index, item in enumerate(self._items):
            if item.failure is not None:
                self._refusals.append((index, item.failure))
            elif self._config.uploads_only:
                self._refusals.append((index, NO_PATHS))
            elif item.file is not None and item.identity is not None:
                self._waiting.append((index, SavePhoto(item.file, item.identity)))
        return []

    def _advance(self) -> list[Action]:
        if self.outstanding:
            return []
        actions: list[Action] = []
        for _ in range(min(SLICE_ELEMENTS, len(self._refusals))):
            index, failure = self._refusals.popleft()
            actions += self._done_with(index, SaveOutcome(None, failure=failure))
        if self._refusals:
            actions.append(self._ask(LetOthersGo(), self._go_on))
        elif self._waiting:
            index, call = self._waiting.popleft()
            actions.append(self._ask(call, partial(self._done_with, index)))
        return actions

    def _done_with(self, index: int, outcome: SaveOutcome) -> list[Action]:
        self._done += 1
        item = self._items[index]
        lines = say(self._replies.saving(item, outcome, self._done, self._total))
        return [*lines, *self._answer(index, self._replies.saved(index, item, outcome))]

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._replies.saved(index, self._items[index], SaveOutcome(None, failure=failure))

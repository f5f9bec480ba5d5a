"""A save request at work: one action for all photos, a line for each."""

from pipeline.errors import WhaleVisionError
from pipeline.protocol.items import SavePhotoItem
from pipeline.protocol.replies import Entry, Replies
from pipeline.protocol.requests import Kind, Save
from pipeline.records import Failure, SaveOutcome
from pipeline.session.actions import Action, SaveItem, SavePhotos
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import Job, say


class SaveJob(Job):
    """Refuses what cannot be saved and hands the rest to the shell."""

    kind: Kind = "save"

    def __init__(self, number: int, message: Save, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        super().__init__(number, replies, len(message.items), config, clock)
        self._items = message.items
        self._done = 0
        self._saving: set[int] = set()

    @property
    def outstanding(self) -> bool:
        """Photos are with the shell."""
        return bool(self._saving)

    def photo_saved(self, index: int, outcome: SaveOutcome) -> list[Action]:
        """Note one photo."""
        if index not in self._saving:
            return []
        self._saving.remove(index)
        return [*self._done_with(index, outcome), *self.proceed()]

    def shell_failed(self, error: WhaleVisionError) -> list[Action]:
        """End the request; the shell has nothing of it left to stop."""
        self._saving.clear()
        return self.fail(error)

    def _begin(self) -> list[Action]:
        actions: list[Action] = []
        accepted: list[SaveItem] = []
        for index, item in enumerate(self._items):
            if item.failure is not None:
                actions += self._done_with(index, SaveOutcome(None, failure=item.failure))
            elif item.file is not None and item.identity is not None:
                accepted.append(SaveItem(index, item.file, item.identity))
        self._saving.update(item.index for item in accepted)
        return [*actions, SavePhotos(self.number, tuple(accepted))] if accepted else actions

    def _advance(self) -> list[Action]:
        return []

    def _done_with(self, index: int, outcome: SaveOutcome) -> list[Action]:
        self._done += 1
        item: SavePhotoItem = self._items[index]
        lines = say(self._replies.saving(item, outcome, self._done, self._total))
        return [*lines, *self._answer(index, self._replies.saved(index, item, outcome))]

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._replies.saved(index, self._items[index], SaveOutcome(None, failure=failure))

"""A subscription at work: what is new is sent, then the next change is waited for."""

from typing import Any

from pipeline.protocol.catalogue_replies import Head
from pipeline.protocol.catalogue_requests import Subscribe
from pipeline.protocol.replies import RepliesWithId
from pipeline.session.actions import Action, Answer, AwaitChange
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import Job, say


class SubscribeJob(Job):
    """Tells of a catalogue's events as they come, in pages where many came; ends only by `cancel` or an error."""

    subscribes = True

    def __init__(
        self, number: int, message: Subscribe, replies: RepliesWithId, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, message, replies, config, clock)
        self._message = message
        self._say_news = replies.answer
        self._catalogue = ""
        self._head: Head | None = None
        """What the client was told."""
        self._due = True
        """There may be more to tell than that."""

    def proceed(self) -> list[Action]:
        """See `Job`; a client that is slow to read is told later, and of all."""
        if self.outstanding or self.held:
            return []
        if self._due or self._head is None:
            return [self._ask(Answer(self._message), self._tell)]
        return [self._ask(AwaitChange(self._catalogue, self._head), self._note_change)]

    def _tell(self, news: dict[str, Any]) -> list[Action]:
        events, head = news["events"], news["head"]
        since = events[-1]["version"] if events else head["version"]
        # Named from now on: which one the client means without a name may change, and its versions are another's.
        self._message = self._message.model_copy(update={"since": since, "catalogue": news["catalogue"]})
        is_new = bool(events) or head != self._head
        self._catalogue, self._head, self._due = news["catalogue"], head, since != head["version"]
        return say(self._say_news(self.kind, news)) if is_new else []

    def _note_change(self, _: None) -> list[Action]:
        self._due = True
        return []

"""Requests at work: what each asks of the shell, when it pauses, and when it is done."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.errors import (
    AckTimeoutError,
    CancelledError,
    MalformedMessageError,
    OutsideRootsError,
    ResultTooLargeError,
    WhaleVisionError,
)
from pipeline.protocol.base import ListRequest, Request
from pipeline.protocol.replies import Entry, Replies, RepliesWithId
from pipeline.records import Failure
from pipeline.session.actions import Action, Answer, Ask, Call, SendText, Step, StopRequest
from pipeline.session.answers import Answers, CollectedAnswers, StreamedAnswers
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.lifecycle import PAUSED_STATES, REQUEST_TRANSITIONS, Lifecycle, RequestEvent, RequestState

CANCELLED = Failure.of(CancelledError("the request was cancelled before this item was done"))
"""Outcome of what was left of a cancelled request."""

NO_PATHS = Failure.of(
    OutsideRootsError("this service reads no files of its own machine, or none for you; upload the photo")
)
"""Outcome of a path where the client has to upload."""

SLICE_ELEMENTS = 100
"""Elements that are refused at once; then other connections go on."""


class Job(ABC):
    """One request from its arrival to its end; methods return what the shell has to do."""

    subscribes = False
    """It has no end of its own: it counts for no limit of requests, and nobody waits for it to be done."""

    def __init__(self, number: int, message: Request, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        """Let the request wait for its turn.

        Args:
            number: the session's serial number of it.
            message: what is asked.
            replies: how its client is spoken to.
            config: the connection's circumstances.
            clock: the session's.
        """
        self.number = number
        self.kind = message.type
        self.ack_deadline_s: float | None = None
        self.held = False
        """The client is slow to read: nothing more is begun for it."""
        self._replies = replies
        self._config = config
        self._clock = clock
        self._started_s = 0.0
        self._asked: set[Ask[Any]] = set()
        self._lifecycle = Lifecycle(REQUEST_TRANSITIONS, RequestState.QUEUED)

    @property
    def state(self) -> RequestState:
        """Where the request stands."""
        return self._lifecycle.state

    @property
    def outstanding(self) -> bool:
        """The shell has been asked for something that has not ended yet."""
        return bool(self._asked)

    @property
    def deadline_s(self) -> float | None:
        """When `timed_out` is due; None while the client is not waited for."""
        return self.ack_deadline_s

    def start(self) -> list[Action]:
        """Begin."""
        self._started_s = self._clock.monotonic()
        self._lifecycle.fire(self._starting_event())
        return [*say(self._replies.starting(self.kind)), *self._begin(), *self.proceed()]

    def report(self, ask: Ask[Step], step: Step) -> list[Action]:
        """Take a step of something that was asked for; one that is not waited for changes nothing."""
        if ask not in self._asked:
            return []
        if ask.call.ends_with(step):
            self._asked.remove(ask)
        try:
            return [*ask.then(step), *self.proceed()]
        except Exception:
            self._asked.add(ask)  # so that the shell's `failed` finds it, and the request does not hang
            raise

    def failed(self, ask: Ask[Any], error: WhaleVisionError) -> list[Action]:
        """End the request, because something that it asked for cannot be had."""
        if ask not in self._asked:
            return []
        self._asked.remove(ask)
        return self.fail(error)

    @abstractmethod
    def proceed(self) -> list[Action]:
        """Ask for as much as may be asked for; pause, resume, complete or give up as it comes out."""

    def acknowledge(self, items: int) -> list[Action]:
        """Move the stream's window on.

        Raises:
            MalformedMessageError: there are not so many unacknowledged items, or the request does not stream.
        """
        raise MalformedMessageError("ack: the request does not stream")

    def timed_out(self) -> list[Action]:
        """End a stream whose client has stopped taking items in."""
        waited_s = self._config.ack_timeout_s
        return self.fail(AckTimeoutError(f"no item was acknowledged for {waited_s:g} s; ask again for what is missing"))

    def cancel(self) -> list[Action]:
        """End the request, as its client wishes."""
        return [*self._stop(), *self._close(RequestEvent.CANCEL)]

    def fail(self, error: WhaleVisionError) -> list[Action]:
        """End the request with an error of the request as a whole."""
        stop = self._stop()
        self._lifecycle.fire(RequestEvent.FAIL)
        return [*stop, SendText(self._replies.error(error))]

    def discard(self) -> list[Action]:
        """End the request without a word: nobody is left to hear it."""
        stop = self._stop()
        self._lifecycle.fire(RequestEvent.DISCARD)
        return stop

    def give_up_results(self) -> None:  # noqa: B027 - only lists hold results
        """Give back what the answer held; called once the request has ended."""

    def _ask(self, call: Call[Step], then: Callable[[Step], list[Action]]) -> Ask[Step]:
        ask = Ask(self.number, call, then)
        self._asked.add(ask)
        return ask

    def _starting_event(self) -> RequestEvent:
        return RequestEvent.START

    def _begin(self) -> list[Action]:
        """Ask for what has to come before everything else."""
        return []

    def _go_on(self, _: None) -> list[Action]:
        """Nothing is to be done with the step: what comes next is asked for anyway."""
        return []

    def _closing(self) -> Iterable[str]:
        """Return the texts that end the answer."""
        return ()

    def _stop(self) -> list[Action]:
        if not self._asked:
            return []
        self._asked.clear()
        return [StopRequest(self.number)]

    def _close(self, event: RequestEvent) -> list[Action]:
        seconds = self._clock.monotonic() - self._started_s
        clock_time = f"{self._clock.now():%H:%M}"
        last_words = [*say(self._closing()), *say(self._replies.complete(clock_time, seconds))]
        self._lifecycle.fire(event)
        return last_words


class AnswerJob(Job):
    """A request that has one answer and no elements: whatever is not a list goes this way."""

    def __init__(
        self, number: int, message: Request, replies: RepliesWithId, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, message, replies, config, clock)
        self._message = message
        self._say_answer = replies.answer
        self._texts: tuple[str, ...] = ()

    def proceed(self) -> list[Action]:
        """Complete once the answer is there."""
        limit = self._config.limits.max_result_bytes
        if sum(map(len, self._texts)) > limit:
            return self.fail(ResultTooLargeError(f"the answer is longer than {limit} bytes; ask for fewer entries"))
        return self._close(RequestEvent.COMPLETE) if self._texts else []

    def _begin(self) -> list[Action]:
        return [self._ask(Answer(self._message), self._answered)]

    def _answered(self, answer: dict[str, Any]) -> list[Action]:
        self._texts = self._say_answer(self.kind, answer)
        return []

    def _closing(self) -> Iterable[str]:
        return self._texts


class ListJob(Job):
    """A request about a list of elements, each of which has its own outcome."""

    def __init__(
        self,
        number: int,
        message: ListRequest,
        total: int,
        replies: Replies,
        config: SessionConfig,
        clock: Clock,
    ) -> None:
        """As `Job`; `total` is the number of elements."""
        super().__init__(number, message, replies, config, clock)
        self._total = total
        self._answers: Answers
        if message.streams:
            assert isinstance(replies, RepliesWithId)  # a stream needs an id
            self._answers = StreamedAnswers(replies, self.kind, total)
        else:
            self._answers = CollectedAnswers(replies, self.kind, total, config.room)

    def proceed(self) -> list[Action]:
        """See `Job`."""
        if self._answers.overgrown:
            return self._give_up()
        actions = [] if self._answers.full or self.held else self._advance()
        if self._answers.settled:
            return [*actions, *self._close(RequestEvent.COMPLETE)]
        self._pause_or_resume()
        return actions

    def acknowledge(self, items: int) -> list[Action]:
        """See `Job`."""
        actions = say(self._answers.acknowledge(items))
        if self.ack_deadline_s is not None:
            self.ack_deadline_s = self._clock.monotonic() + self._config.ack_timeout_s
        return [*actions, *self.proceed()]

    def cancel(self) -> list[Action]:
        """End the request; what was left of it was cancelled."""
        stop = self._stop()
        self._answers.abandon(lambda index: self._refused(index, CANCELLED))
        return [*stop, *self._close(RequestEvent.CANCEL)]

    def give_up_results(self) -> None:
        """See `Job`."""
        self._answers.give_up()

    @abstractmethod
    def _advance(self) -> list[Action]:
        """Ask for the next elements, answer those that are refused."""

    @abstractmethod
    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        """Write the entry of an element that has no answer."""

    def _progress(self, stage: str, done: int) -> list[Action]:
        """Say how far a stage has come; only the newest count matters to a client that is slow to read."""
        texts = self._replies.progress(stage, done, self._total)
        return [SendText(text, replaces=f"{self.number} {stage}") for text in texts]

    def _answer(self, index: int, entries: tuple[Entry, ...]) -> list[Action]:
        return say(self._answers.put(index, entries))

    def _closing(self) -> Iterable[str]:
        return self._answers.closing()

    def _give_up(self) -> list[Action]:
        limit = self._config.limits.max_result_bytes
        return self.fail(
            ResultTooLargeError(
                f"the answer, and others under way, are longer than {limit} bytes; "
                "ask for fewer items at a time, set topK, or stream"
            )
        )

    def _pause_or_resume(self) -> None:
        paused = self.state in PAUSED_STATES
        if self._answers.full and not paused:
            self._lifecycle.fire(RequestEvent.WINDOW_FULL)
            self.ack_deadline_s = self._clock.monotonic() + self._config.ack_timeout_s
        elif paused and not self._answers.full:
            self._lifecycle.fire(RequestEvent.WINDOW_OPEN)
            self.ack_deadline_s = None


def say(texts: Iterable[str]) -> list[Action]:
    """Turn texts into actions."""
    return [SendText(text) for text in texts]

"""Requests at work: what each kind asks of the shell, when it pauses, and when it is done."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pipeline.errors import AckTimeoutError, CancelledError, ResultTooLargeError, WhaleVisionError
from pipeline.protocol.replies import Entry, Replies, RepliesWithId
from pipeline.protocol.requests import Kind
from pipeline.records import Failure
from pipeline.session.actions import Action, SendText, StopRequest
from pipeline.session.answers import Answers, CollectedAnswers, StreamedAnswers
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.lifecycle import PAUSED_STATES, REQUEST_TRANSITIONS, Lifecycle, RequestEvent, RequestState

CANCELLED = Failure.of(CancelledError("the request was cancelled before this item was done"))
"""Outcome of what was left of a cancelled request."""


class Job(ABC):
    """One request from its arrival to its end; methods return what the shell has to do."""

    kind: Kind

    def __init__(self, number: int, replies: Replies, total: int, config: SessionConfig, clock: Clock) -> None:
        """Let the request wait for its turn.

        Args:
            number: the session's serial number of it.
            replies: how its client is spoken to.
            total: elements of its list.
            config: the connection's circumstances.
            clock: the session's.
        """
        self.number = number
        self.ack_deadline_s: float | None = None
        self._replies = replies
        self._total = total
        self._config = config
        self._clock = clock
        self._started_s = 0.0
        self._answers: Answers = CollectedAnswers(replies, self.kind, total, config.limits.max_result_bytes)
        self._lifecycle = Lifecycle(REQUEST_TRANSITIONS, RequestState.QUEUED)

    def stream_to(self, replies: RepliesWithId) -> None:
        """Send each entry by itself; called before the start."""
        self._answers = StreamedAnswers(replies, self.kind, self._total)

    @property
    def state(self) -> RequestState:
        """Where the request stands."""
        return self._lifecycle.state

    @property
    @abstractmethod
    def outstanding(self) -> bool:
        """The shell has been asked for something that it has not answered yet."""

    def start(self) -> list[Action]:
        """Begin."""
        self._started_s = self._clock.monotonic()
        self._lifecycle.fire(self._starting_event())
        return [*say(self._replies.starting(self.kind)), *self._begin(), *self.proceed()]

    def proceed(self) -> list[Action]:
        """Ask for as much as may be asked for; pause, resume, complete or give up as it comes out."""
        if self._answers.overgrown:
            return self._give_up()
        actions = [] if self._answers.full else self._advance()
        if self._answers.settled:
            return [*actions, *self._close(RequestEvent.COMPLETE)]
        self._pause_or_resume()
        return actions

    def acknowledge(self, items: int) -> list[Action]:
        """Move the stream's window on.

        Raises:
            MalformedMessageError: there are not so many unacknowledged items, or the request does not stream.
        """
        actions = say(self._answers.acknowledge(items))
        if self.ack_deadline_s is not None:
            self.ack_deadline_s = self._clock.monotonic() + self._config.ack_timeout_s
        return [*actions, *self.proceed()]

    def ack_timed_out(self) -> list[Action]:
        """End a stream whose client has stopped taking items in."""
        waited_s = self._config.ack_timeout_s
        return self.fail(AckTimeoutError(f"no item was acknowledged for {waited_s:g} s; ask again for what is missing"))

    def cancel(self) -> list[Action]:
        """End the request; what was left of it was cancelled."""
        stop = self._stop()
        self._answers.abandon(lambda index: self._refused(index, CANCELLED))
        return [*stop, *self._close(RequestEvent.CANCEL)]

    def fail(self, error: WhaleVisionError) -> list[Action]:
        """End the request with an error that the session found."""
        stop = self._stop()
        self._lifecycle.fire(RequestEvent.FAIL)
        return [*stop, SendText(self._replies.error(error))]

    def shell_failed(self, error: WhaleVisionError) -> list[Action]:
        """End the request with an error of the shell, which has stopped by itself what had failed."""
        return self.fail(error)

    def discard(self) -> list[Action]:
        """End the request without a word: nobody is left to hear it."""
        stop = self._stop()
        self._lifecycle.fire(RequestEvent.DISCARD)
        return stop

    def _starting_event(self) -> RequestEvent:
        return RequestEvent.START

    def _begin(self) -> list[Action]:
        """Ask for what has to come before everything else."""
        return []

    @abstractmethod
    def _advance(self) -> list[Action]:
        """Ask for the next elements, answer those that are refused."""

    @abstractmethod
    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        """Write the entry of an element that has no answer."""

    def _answer(self, index: int, entries: tuple[Entry, ...]) -> list[Action]:
        return say(self._answers.put(index, entries))

    def _stop(self) -> list[Action]:
        return [StopRequest(self.number)] if self.outstanding else []

    def _give_up(self) -> list[Action]:
        limit = self._config.limits.max_result_bytes
        return self.fail(
            ResultTooLargeError(
                f"the answer is longer than {limit} bytes; ask for fewer items at a time, set topK, or stream"
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

    def _close(self, event: RequestEvent) -> list[Action]:
        self._lifecycle.fire(event)
        seconds = self._clock.monotonic() - self._started_s
        clock_time = f"{self._clock.now():%H:%M}"
        return [*say(self._answers.closing()), *say(self._replies.complete(clock_time, seconds))]


def say(texts: Iterable[str]) -> list[Action]:
    """Turn texts into actions."""
    return [SendText(text) for text in texts]

"""The connection's state machine: what a client sends and what the shell reports go in, actions come out. No I/O.

The shell (deployments.connection) performs the actions in order and reports back through the methods below, each of
which returns further actions. Reports about a request that has ended meanwhile, or repeated ones, are ignored. The
states and their transitions are in pipeline.session.lifecycle; docs/protocol.md is the reference for clients.

For the shell:
- Each step of what an `Ask` asks for goes to `report`, an error that it ended with to `failed`, both with that `Ask`.
- Photos are asked for in a window (twice `in_flight_per_connection` a request), the next ones as photos are done;
  confirmations at most once a request, before its first rankings; those in portions.
- `StopRequest` comes only while something of that request is asked for and has neither ended nor failed.
- After `CloseConnection` nothing else comes, and everything outstanding has been stopped before it.
- `next_deadline` may change with every call.
- `uploads` says how much memory a binary message will take; it is handed over when there is room for it.
- `close` ends the connection from the shell's side (1011, 1012); `idle` tells whether no request is unfinished.
"""

from typing import Any

from pipeline.access import NEEDED
from pipeline.errors import (
    DuplicateIdError,
    ForbiddenError,
    RequestError,
    UnknownIdError,
    WhaleVisionError,
)
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import Subscribe
from pipeline.protocol.json_text import MAX_TEXT_BYTES, decode_object, exceeds_limit, size_in_bytes
from pipeline.protocol.reading import read_id, read_message
from pipeline.protocol.replies import RepliesWithId, error_to_nobody
from pipeline.protocol.requests import MAX_BINARY_BYTES, Ack, Cancel, CloseCode
from pipeline.session.actions import Action, Ask, CloseConnection, SendText, Step
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.errors import PolicyViolationError
from pipeline.session.extract_job import UploadsJob
from pipeline.session.job_factory import JobFactory
from pipeline.session.jobs import Job
from pipeline.session.lifecycle import CONNECTION_TRANSITIONS, ConnectionEvent, ConnectionState, Lifecycle, RequestState
from pipeline.session.open_requests import ClassicQueue, OpenRequests
from pipeline.session.uploads import UploadQueue


class Session:
    """One connection."""

    def __init__(self, config: SessionConfig, clock: Clock) -> None:
        """Begin when the WebSocket has been accepted.

        Args:
            config: the connection's circumstances.
            clock: where the time comes from.
        """
        self._config = config
        self._clock = clock
        self._connection = Lifecycle(CONNECTION_TRANSITIONS, ConnectionState.OPEN)
        self._open = OpenRequests()
        self.uploads = UploadQueue(clock, config.upload_timeout_s, config.upload_room)
        self._factory = JobFactory(config, clock, self.uploads)
        self._waiting: ClassicQueue[Job | RequestError] = ClassicQueue(config.limits.max_requests_per_connection)
        self._classic: Job | None = None
        self._held = False
        self._active_s = clock.monotonic()

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._connection.state

    @property
    def idle(self) -> bool:
        """Whether no request is unfinished; subscriptions have no end."""
        return self._open.idle

    # --- what the client sends ---

    def receive_text(self, text: str) -> list[Action]:
        """Take one text message."""
        if not self._touch():
            return []
        if exceeds_limit(text):
            return self.close(CloseCode.TOO_BIG, f"text messages are at most {MAX_TEXT_BYTES} bytes")
        try:
            fields = decode_object(text)
            request_id = read_id(fields)
            if request_id is not None:
                return self._receive_with_id(fields, request_id)
            message = read_message(fields, None, self._config.limits.max_photos_per_request)
            assert isinstance(message, Request)  # all others need an id
            return self._receive_classic(self._make(message), size_in_bytes(text))
        except RequestError as error:
            return self._receive_classic(error, size_in_bytes(text))

    def receive_bytes(self, data: bytes) -> list[Action]:
        """Take one binary message."""
        if not self._touch():
            return []
        if len(data) > MAX_BINARY_BYTES:
            return self.close(CloseCode.TOO_BIG, f"binary messages are at most {MAX_BINARY_BYTES} bytes")
        try:
            photos = self.uploads.take(data)
        except PolicyViolationError as error:
            return self.close(CloseCode.POLICY, error.message)
        actions = self._acknowledge_bytes()
        for photo in photos:
            job = self._open.numbered(photo.request)
            if job is None:  # an earlier photo of this message ended its request
                continue
            assert isinstance(job, UploadsJob)  # bytes are kept for no others
            actions += self._settle(job, job.photo_received(photo.index, photo.content))
        return actions

    # --- what the shell reports ---

    def report(self, ask: Ask[Step], step: Step) -> list[Action]:
        """Take one step of something that was asked for."""
        job = self._open.numbered(ask.request)
        return [] if job is None else self._settle(job, job.report(ask, step))

    def failed(self, ask: Ask[Any], error: WhaleVisionError) -> list[Action]:
        """End the request whose wish cannot be met."""
        job = self._open.numbered(ask.request)
        return [] if job is None else self._settle(job, job.failed(ask, error))

    def hold(self, held: bool) -> list[Action]:
        """Begin nothing more for a client that is slow to read, what was begun goes on; or go on as before."""
        self._held = held
        actions: list[Action] = []
        for job in self._open:
            job.held = held
            actions += self._settle(job, job.proceed())
        return actions

    # --- time, and the end ---

    def next_deadline(self) -> float | None:
        """Return the monotonic time at which `tick` should be called; None when nothing is waited for."""
        if self.state is not ConnectionState.OPEN:
            return None
        deadlines = [at for job in self._open if (at := job.deadline_s) is not None]
        idle_deadline_s = self._idle_deadline_s()
        return min(deadlines if idle_deadline_s is None else [*deadlines, idle_deadline_s], default=None)

    def tick(self) -> list[Action]:
        """End streams not acknowledged in time, uploads that do not move, and the connection when it has been idle."""
        if self.state is not ConnectionState.OPEN:
            return []
        now_s = self._clock.monotonic()
        late = [job for job in self._open if (at := job.deadline_s) is not None and at <= now_s]
        actions = [action for job in late for action in self._settle(job, job.timed_out())]
        if (idle := self._idle_deadline_s()) is not None and idle <= now_s:
            actions += self.close(CloseCode.IDLE, f"idle for {self._config.idle_timeout_s:g} s")
        return actions

    def cancel_all(self) -> list[Action]:
        """End every request as if its client had cancelled it: what was done is answered.

        The desktop app would take a list without what was left for the whole, so it gets an error in place of one.
        """
        actions: list[Action] = []
        while job := next(iter(self._open), None):
            if job is self._classic and self._config.peer.array_dialect:
                ended = job.fail(RequestError("the service is stopping; send the request again"))
            else:
                ended = job.cancel()
            actions += self._settle(job, ended, by_client=True)
        return actions

    def close(self, code: int, reason: str) -> list[Action]:
        """Stop everything and close the connection."""
        if self.state is not ConnectionState.OPEN:
            return []
        stops = self._discard_all()
        self._connection.fire(ConnectionEvent.CLOSE)
        return [*stops, CloseConnection(int(code), reason)]

    def disconnected(self) -> list[Action]:
        """Note that the client is gone; stop everything."""
        stops = self._discard_all()
        self._connection.fire(ConnectionEvent.DISCONNECT)
        return stops

    # --- requests with an id ---

    def _receive_with_id(self, fields: dict[str, object], request_id: str) -> list[Action]:
        try:
            message = read_message(fields, request_id, self._config.limits.max_photos_per_request)
            if isinstance(message, Cancel | Ack):
                return self._control(message)
            return self._begin(message, request_id)
        except RequestError as error:
            return self._refuse(error, request_id, about_running=fields.get("type") in ("cancel", "ack"))

    def _control(self, message: Cancel | Ack) -> list[Action]:
        job = self._open.running(message.id)
        if job is None:
            return self._control_ended(message)
        if isinstance(message, Cancel):
            return self._settle(job, job.cancel(), by_client=True)
        return self._settle(job, job.acknowledge(message.items))

    def _control_ended(self, message: Cancel | Ack) -> list[Action]:
        """A `cancel` or `ack` that crossed with the end of its request on the wire is no fault of the client."""
        number = self._open.ended(message.id)
        if number is None:
            raise UnknownIdError("id: no request of this id is running")
        if isinstance(message, Cancel):
            self.uploads.forgive(number)
        return []

    def _begin(self, message: Request, request_id: str) -> list[Action]:
        if self._open.running(request_id) is not None:
            raise DuplicateIdError("id: a request of this id is still running; its end comes first")
        self._open.require_room(isinstance(message, Subscribe), self._config.limits.max_requests_per_connection)
        job = self._make(message)
        self.uploads.forgive(self._open.ended(request_id))
        self._open.add(job, request_id)
        return self._start(job)

    def _make(self, message: Request) -> Job:
        if message.type not in NEEDED:  # whether this client has the right is looked up as its calls are carried out
            raise ForbiddenError(f"type: {message.type} may not be sent")
        return self._factory.make(message)

    def _refuse(self, error: RequestError, request_id: str, *, about_running: bool) -> list[Action]:
        """Answer a message that cannot be followed; a running request ends only by a wrong message about it."""
        job = self._open.running(request_id)
        if job is not None and about_running:
            return self._settle(job, job.fail(error))
        if job is not None and not isinstance(error, DuplicateIdError):
            error = DuplicateIdError(f"id: a request of this id is still running; beside that, {error.message}")
        return [SendText(RepliesWithId(request_id).error(error))]

    # --- classic requests, one after the other ---

    def _receive_classic(self, item: Job | RequestError, text_bytes: int) -> list[Action]:
        if self._classic is None:
            return self._answer_classic(item)
        try:
            self._waiting.add(item, text_bytes)
        except PolicyViolationError as error:
            return self.close(CloseCode.POLICY, error.message)
        return []

    def _answer_classic(self, item: Job | RequestError) -> list[Action]:
        if isinstance(item, RequestError):
            return [SendText(error_to_nobody(item))]
        self._classic = item
        self._open.add(item, None)
        return self._start(item)

    def _start(self, job: Job) -> list[Action]:
        job.held = self._held
        return self._settle(job, job.start())

    # --- what every step has in common ---

    def _settle(self, job: Job, actions: list[Action], *, by_client: bool = False) -> list[Action]:
        """Clear up after a request that has ended."""
        self._touch()
        if job.state is not RequestState.ENDED:
            return [*actions, *self._acknowledge_bytes()]
        job.give_up_results()
        self.uploads.end(job.number, by_client=by_client)
        self.uploads.forgive(self._open.end(job))
        actions = [*actions, *self._acknowledge_bytes()]
        if job is self._classic:
            self._classic = None
            while self._classic is None and (item := self._waiting.take()) is not None:
                actions += self._answer_classic(item)
        return actions

    def _acknowledge_bytes(self) -> list[Action]:
        due = self.uploads.acknowledgements()
        return [SendText(RepliesWithId(self._open.id_of(request)).received(count)) for request, count in due]

    def _discard_all(self) -> list[Action]:
        stops: list[Action] = []
        for job in self._open:
            stops += job.discard()
            self._open.end(job)
            self.uploads.end(job.number, by_client=True)
        return stops

    def _touch(self) -> bool:
        """Note activity; return whether the connection is open."""
        self._active_s = self._clock.monotonic()
        return self.state is ConnectionState.OPEN

    def _idle_deadline_s(self) -> float | None:
        """Only the shell's outstanding work keeps a silent connection; a client may not leave an upload half done."""
        working = self.uploads.waits or any(job.outstanding for job in self._open)
        return None if working else self._active_s + self._config.idle_timeout_s

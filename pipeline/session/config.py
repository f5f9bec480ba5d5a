"""What a connection's session needs to know and cannot find out by itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.access import Peer
from pipeline.session.answers import ResultRoom


class SessionLimits(Protocol):
    """The bounds that a session enforces; `pipeline.settings.Limits` is one."""

    @property
    def max_photo_bytes(self) -> int:
        """Longest uploaded photo."""

    @property
    def max_photos_per_request(self) -> int:
        """Elements of one request's list."""

    @property
    def max_result_bytes(self) -> int:
        """Characters of all entries of a connection's results that are not streamed."""

    @property
    def max_requests_per_connection(self) -> int:
        """Requests with `id` that overlap, and classic requests that wait."""

    @property
    def in_flight_per_connection(self) -> int:
        """Photos of one connection that are worked on at once."""


class UploadRoom(Protocol):
    """What the uploads of all connections share."""

    @property
    def others_wait(self) -> bool:
        """Somebody waits for room that photos on their way hold."""


@dataclass(frozen=True)
class SessionConfig:
    """One connection's circumstances.

    Attributes:
        device: shown to classic clients, for example "cuda:0" or "cpu".
        models_dir: shown to classic clients, as configured.
        body_parts: names that `type` of an identify item may have.
        peer: who is at the other end.
        may_guess: without an `id`, identities may be guesses that the client was told (the desktop app's).
        uploads_only: refuse every path.
        limits: what one client may ask for.
        room: what the connection's unfinished results may hold together; a new one for each connection.
        upload_room: what the uploads of all connections share.
        upload_timeout_s: how long a photo on its way may not move, and may take in all while others wait for room.
        ack_timeout_s: how long a full stream waits for an acknowledgement.
        idle_timeout_s: how long a connection without work stays open.
    """

    device: str
    models_dir: str
    body_parts: tuple[str, ...]
    peer: Peer
    may_guess: bool
    uploads_only: bool
    limits: SessionLimits
    room: ResultRoom
    upload_room: UploadRoom
    upload_timeout_s: float
    ack_timeout_s: float
    idle_timeout_s: float


class Clock(Protocol):
    """Where a session takes the time from."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    def now(self) -> datetime:
        """Return the local wall-clock time."""
        ...

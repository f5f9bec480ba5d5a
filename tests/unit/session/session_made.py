"""Sessions for tests: a clock that stands still, small limits, and shorthands for what comes out."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from pipeline.errors import NoAnimalError
from pipeline.records import (
    Annotation,
    BoundingBox,
    Candidate,
    Embedding,
    Extracted,
    ExtractedAnimal,
    Failure,
    Ranking,
    SaveOutcome,
)
from pipeline.session.actions import (
    Action,
    CloseConnection,
    ExtractPhoto,
    IdentifyItems,
    SavePhotos,
    SendText,
    StoreConfirmations,
)
from pipeline.session.session import Session, SessionConfig

ACK_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 600.0


@dataclass
class FakeClock:
    """Time that passes when a test says so."""

    time_s: float = 1000.0
    wall: datetime = field(default_factory=lambda: datetime(2024, 5, 17, 18, 2, 33))

    def monotonic(self) -> float:
        return self.time_s

    def now(self) -> datetime:
        return self.wall


@dataclass(frozen=True)
class SmallLimits:
    """Limits that a test can reach."""

    max_photo_bytes: int = 100
    max_photos_per_request: int = 1000
    max_result_bytes: int = 1_000_000
    max_requests_per_connection: int = 4
    in_flight_per_connection: int = 2


def make_session(clock: FakeClock | None = None, limits: SmallLimits | None = None, **changed: Any) -> Session:
    """Make a session of a local client; keywords replace fields of its configuration."""
    fields: dict[str, Any] = {
        "device": "cuda:0",
        "models_dir": "./models/demo",
        "body_parts": ("fluke", "flank"),
        "array_dialect": False,
        "local_peer": True,
        "uploads_only": False,
        "limits": limits or SmallLimits(),
        "ack_timeout_s": ACK_TIMEOUT_S,
        "idle_timeout_s": IDLE_TIMEOUT_S,
    }
    return Session(SessionConfig(**fields | changed), clock or FakeClock())


def send(session: Session, **message: Any) -> list[Action]:
    """Let the session receive a JSON message."""
    return session.receive_text(json.dumps(message))


def lines(actions: Iterable[Action]) -> list[str]:
    """Return the texts sent, as they are."""
    return [action.text for action in actions if isinstance(action, SendText)]


def find(actions: Iterable[Action], start: str) -> list[str]:
    """Return the texts sent that start so."""
    return [line for line in lines(actions) if line.startswith(start)]


def said(actions: Iterable[Action]) -> list[Any]:
    """Return the texts sent, read as JSON."""
    return [json.loads(line) for line in lines(actions)]


def of_type(actions: Iterable[Action], kind: str) -> list[Any]:
    """Return the JSON messages of one type."""
    return [message for message in said(actions) if message["type"] == kind]


def asked(actions: Iterable[Action]) -> list[tuple[int, int]]:
    """Return (request, index) of each photo that the shell is asked to extract."""
    return [(action.request, action.index) for action in actions if isinstance(action, ExtractPhoto)]


def closed(actions: Iterable[Action]) -> list[int]:
    """Return the codes of the closes asked for."""
    return [action.code for action in actions if isinstance(action, CloseConnection)]


def found(embedding: Sequence[float] = (0.5, -0.25), animals: int = 1, body_part: str = "fluke") -> Extracted:
    """Make a successful extraction."""
    values = np.array(embedding, dtype=np.float32)
    return Extracted(
        tuple(
            ExtractedAnimal(
                Annotation(BoundingBox(10.0, 20.0, 110.5, 80.0), body_part, 0.75, animal + 1),
                Embedding(values, "5e1f00d"),
            )
            for animal in range(animals)
        ),
        None,
        "ab" * 32,
    )


def not_found() -> Extracted:
    """Make an extraction of a photo without an animal."""
    return Extracted((), Failure(NoAnimalError.code, "no fluke or flank was found"), "cd" * 32)


def ranking(*candidates: tuple[str, float]) -> Ranking:
    """Make a ranking."""
    return Ranking(tuple(Candidate(name, distance) for name, distance in candidates or (("PMOD001_DANTE", 0.339),)))


def finish(session: Session, actions: Sequence[Action]) -> list[Action]:
    """Answer everything the shell is asked for, in order, until nothing more is asked; return all actions."""
    all_actions, queue = list(actions), list(actions)
    while queue:
        action = queue.pop(0)
        further: list[Action] = []
        if isinstance(action, ExtractPhoto):
            further += session.photo_started(action.request, action.index)
            further += session.photo_segmented(action.request, action.index)
            further += session.photo_extracted(action.request, action.index, found())
        elif isinstance(action, IdentifyItems):
            for item in action.queries:
                further += session.item_identified(action.request, item.index, ranking())
        elif isinstance(action, SavePhotos):
            for item in action.items:
                further += session.photo_saved(action.request, item.index, SaveOutcome(f"{item.identity}/{item.file}"))
        elif isinstance(action, StoreConfirmations):
            further += session.confirmations_stored(action.request)
        queue += further
        all_actions += further
    return all_actions

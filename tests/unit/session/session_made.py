"""Sessions for tests: a clock that stands still, small limits, and shorthands for what comes out."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from pipeline.access import Peer
from pipeline.errors import NoAnimalError, WhaleVisionError
from pipeline.protocol.catalogue_requests import Subscribe
from pipeline.records import (
    LOCAL_USER,
    Annotation,
    BoundingBox,
    Candidate,
    Embedding,
    Extracted,
    ExtractedAnimal,
    Failure,
    Ranking,
    SaveOutcome,
    Segmented,
)
from pipeline.session.actions import (
    Action,
    Answer,
    Ask,
    AwaitChange,
    Call,
    CloseConnection,
    ExtractPhoto,
    LetOthersGo,
    RankInSeveral,
    RankQueries,
    SavePhoto,
    SendText,
    Started,
    StoreConfirmations,
)
from pipeline.session.answers import ResultRoom
from pipeline.session.config import SessionConfig
from pipeline.session.session import Session

_Kind = TypeVar("_Kind")

ACK_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 600.0
UPLOAD_TIMEOUT_S = 30.0


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


@dataclass
class FakeRoom:
    """Memory for uploads, for which others wait when a test says so."""

    others_wait: bool = False


class DrivenSession(Session):
    """Remembers what it asked for, so that a test can report by request and place."""

    def __init__(self, config: SessionConfig, clock: FakeClock) -> None:
        super().__init__(config, clock)
        self.asks: list[Ask[Any]] = []

    def receive_text(self, text: str) -> list[Action]:
        return self._note(super().receive_text(text))

    def receive_bytes(self, data: bytes) -> list[Action]:
        return self._note(super().receive_bytes(data))

    def report(self, ask: Ask[Any], step: Any) -> list[Action]:
        return self._note(super().report(ask, step))

    def failed(self, ask: Ask[Any], error: WhaleVisionError) -> list[Action]:
        return self._note(super().failed(ask, error))

    @property
    def held_bytes(self) -> int:
        """Bytes of uploaded photos that have not left for their extraction."""
        return self.uploads.held_bytes

    def photo_started(self, request: int, index: int) -> list[Action]:
        return self._photo(request, index, Started())

    def photo_segmented(self, request: int, index: int) -> list[Action]:
        return self._photo(request, index, Segmented())

    def photo_extracted(self, request: int, index: int, extracted: Extracted) -> list[Action]:
        return self._photo(request, index, extracted)

    def stored(self, request: int, *refused: Failure | None) -> list[Action]:
        """Report that the confirmations are on disk, but for those that are refused (by default none is)."""
        (call,) = [ask.call for ask in self._asked_by(request) if isinstance(ask.call, StoreConfirmations)]
        return self._newest(request, StoreConfirmations, refused or (None,) * len(call.queries))

    def ranked(self, request: int, *rankings: Ranking) -> list[Action]:
        """Report the rankings of the newest portion."""
        return self._newest(request, RankQueries, rankings)

    def saved(self, request: int, outcome: SaveOutcome) -> list[Action]:
        """Report what became of the newest photo to save."""
        return self._newest(request, SavePhoto, outcome)

    def request_failed(self, request: int, error: WhaleVisionError) -> list[Action]:
        """Report that the newest thing that a request asked for cannot be had."""
        return self.failed(self._asked_by(request)[-1], error)

    def _asked_by(self, request: int) -> list[Ask[Any]]:
        return [ask for ask in self.asks if ask.request == request]

    def _photo(self, request: int, index: int, step: Any) -> list[Action]:
        photos = [ask for ask in self._asked_by(request) if isinstance(ask.call, ExtractPhoto)]
        return [action for ask in photos if ask.call.index == index for action in self.report(ask, step)]

    def _newest(self, request: int, kind: type[Any], step: Any) -> list[Action]:
        asks = [ask for ask in self._asked_by(request) if isinstance(ask.call, kind)]
        return self.report(asks[-1], step)

    def _note(self, actions: list[Action]) -> list[Action]:
        self.asks += [action for action in actions if isinstance(action, Ask) and action not in self.asks]
        return actions


def make_session(
    clock: FakeClock | None = None,
    limits: SmallLimits | None = None,
    *,
    local_peer: bool = True,
    array_dialect: bool = False,
    **changed: Any,
) -> DrivenSession:
    """Make a session of a local client; keywords replace fields of its configuration."""
    fields: dict[str, Any] = {
        "device": "cuda:0",
        "models_dir": "./models/demo",
        "body_parts": ("fluke", "flank"),
        "peer": Peer(LOCAL_USER, None, local_peer, array_dialect),
        "may_guess": array_dialect,
        "uploads_only": False,
        "limits": limits or SmallLimits(),
        "room": ResultRoom((limits or SmallLimits()).max_result_bytes),
        "upload_room": FakeRoom(),
        "upload_timeout_s": UPLOAD_TIMEOUT_S,
        "ack_timeout_s": ACK_TIMEOUT_S,
        "idle_timeout_s": IDLE_TIMEOUT_S,
    }
    return DrivenSession(SessionConfig(**fields | changed), clock or FakeClock())


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


def calls(actions: Iterable[Action], kind: type[_Kind]) -> list[_Kind]:
    """Return the calls of one kind that are asked for."""
    return [action.call for action in actions if isinstance(action, Ask) and isinstance(action.call, kind)]


def asked(actions: Iterable[Action]) -> list[tuple[int, int]]:
    """Return (request, index) of each photo that the shell is asked to extract."""
    asks = [action for action in actions if isinstance(action, Ask)]
    return [(ask.request, ask.call.index) for ask in asks if isinstance(ask.call, ExtractPhoto)]


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
        if isinstance(action, Ask):
            further = [new for step in good_steps(action.call) for new in session.report(action, step)]
            queue += further
            all_actions += further
    return all_actions


def let_others_go(session: Session, actions: Sequence[Action]) -> list[Action]:
    """Have the session go on with its next slices, and answer nothing else."""
    all_actions, queue = list(actions), list(actions)
    while queue:
        action = queue.pop(0)
        if isinstance(action, Ask) and isinstance(action.call, LetOthersGo):
            further = session.report(action, None)
            queue += further
            all_actions += further
    return all_actions


def good_steps(call: Call[Any]) -> list[Any]:
    """Return the steps of a call that goes well."""
    match call:
        case ExtractPhoto():
            return [Started(), Segmented(), found()]
        case StoreConfirmations():
            return [(None,) * len(call.queries)]
        case LetOthersGo():
            return [None]
        case RankQueries() | RankInSeveral():
            return [tuple(ranking() for _ in call.queries)]
        case SavePhoto():
            return [SaveOutcome(f"{call.identity}/{call.file}")]
        case Answer(message=Subscribe()):
            return [{"catalogue": "default", "head": {"version": 1, "nonce": "a"}, "events": []}]
        case AwaitChange():
            return []  # nothing changes
        case Answer():
            return [{"good": True}]
    raise AssertionError(call)


def last_step(call: Call[Any], *, good: bool) -> Any:
    """Return the last step of a call that goes well, or of one whose elements have no answer."""
    if isinstance(call, AwaitChange):
        return None
    *_, last = good_steps(call)
    failure = Failure("unavailable", "ask again")
    match call:
        case ExtractPhoto() if not good:
            return not_found()
        case RankQueries() | RankInSeveral() if not good:
            return tuple(Ranking((), failure) for _ in call.queries)
        case SavePhoto() if not good:
            return SaveOutcome(None, failure=failure)
    return last

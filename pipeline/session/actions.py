"""What a connection's session asks its shell to do; the shell (the ingress) does the I/O and reports back.

All work is asked for in one way: an `Ask` holds a `Call`, which the shell carries out by a table from the call's type
to a handler, and each step that comes back goes to `Session.report` with the same `Ask`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pipeline.access import NEEDED_FOR_DETAIL, NEEDED_FOR_IDENTITY, NEEDED_FOR_STORED_PHOTO, Need
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_replies import Head
from pipeline.protocol.filters import Detail
from pipeline.records import Animals, Extracted, Failure, PhotoSource, Query, Ranking, SaveOutcome, Segmented
from pipeline.stored_photos import StoreSource

Step = TypeVar("Step")
"""What a call gives back: once for most calls, several times for a photo."""


class Call(Generic[Step]):
    """One thing that the shell can do."""

    @property
    def need(self) -> Need | None:
        """What the client must have the right to, which the shell looks up; None where that is nothing."""
        return None

    def ends_with(self, step: Step) -> bool:
        """Whether nothing comes after this step."""
        return True


@dataclass(frozen=True, slots=True)
class Started:
    """A photo's turn has come: the extractor has it, and its bytes are no longer held here."""


PhotoStep = Started | Segmented | Extracted

AnySource = PhotoSource | StoreSource
"""A photo that a client names, sends, or has sent before."""


@dataclass(slots=True, eq=False)
class ExtractPhoto(Call[PhotoStep]):
    """Find and embed the animals of one photo: it starts, it is segmented, it is extracted.

    Attributes:
        index: the photo's place in its request, for the log.
        source: the photo; given up when it is taken, since it may be megabytes.
        animals: "best" or "all".
    """

    index: int
    source: AnySource | None
    animals: Animals

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        if isinstance(self.source, StoreSource):
            return Need(NEEDED_FOR_STORED_PHOTO, self.source.catalogue)
        return Need.of_request("extract")

    def take_source(self) -> AnySource:
        """Return the photo and forget it; a call is carried out once."""
        source, self.source = self.source, None
        assert source is not None, "the photo was taken already"
        return source

    def ends_with(self, step: PhotoStep) -> bool:
        """A photo's last step is what was extracted."""
        return isinstance(step, Extracted)


@dataclass(frozen=True, slots=True)
class StoreConfirmations(Call[tuple[Failure | None, ...]]):
    """Store the confirmed photos (each query has an identity) in one event.

    The step tells of each query why it was refused, None where it is stored; all others are stored then.

    Attributes:
        queries: what is confirmed.
        key: the client's name for these confirmations; storing them again under it changes nothing.
        catalogue: which one, by name; None means the client's default one.
        may_guess: the client sends best candidates back as identities; those are stored as provisional.
        exact_place: the rankings that follow are refused to who does not see exact places, so nothing is stored.
    """

    queries: tuple[Query, ...]
    key: str | None
    catalogue: str | None = None
    may_guess: bool = False
    exact_place: bool = False

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        return Need(NEEDED_FOR_IDENTITY, self.catalogue, exact_place=self.exact_place)


@dataclass(frozen=True, slots=True)
class RankQueries(Call[tuple[Ranking, ...]]):
    """Rank the known individuals for each query; one with an identity is ranked as if it were not in the catalogue."""

    queries: tuple[Query, ...]
    top_k: int | None
    catalogue: str | None = None
    detail: Detail | None = None

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        if self.detail is None:
            return Need.of_request("identify", self.catalogue)
        return Need(NEEDED_FOR_DETAIL, self.catalogue, exact_place=self.detail.compares_places)


@dataclass(frozen=True, slots=True)
class RankInSeveral(Call[tuple[Ranking, ...]]):
    """Rank the known individuals of several catalogues together for each query, none of which has an identity."""

    queries: tuple[Query, ...]
    top_k: int | None
    catalogues: tuple[str, ...]
    detail: Detail | None = None

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        first, *others = self.catalogues
        alone = RankQueries((), None, first, self.detail).need
        return None if alone is None else replace(alone, others=tuple(others))


@dataclass(frozen=True, slots=True)
class SavePhoto(Call[SaveOutcome]):
    """Copy a photo into the folder of its individual."""

    file: str
    identity: str

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        return Need.of_request("save")


@dataclass(frozen=True, slots=True)
class LetOthersGo(Call[None]):
    """Let other connections go on before this one does: a request with thousands of bad elements comes in slices."""


@dataclass(frozen=True, slots=True)
class Answer(Call[dict[str, Any]]):
    """Answer a request that has one answer and no elements; the type of `message` says who does."""

    message: Request

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        return Need.of_request(self.message.type, getattr(self.message, "catalogue", None))


@dataclass(frozen=True, slots=True)
class AwaitChange(Call[None]):
    """Wait until a catalogue is in another state than the one that is known.

    Attributes:
        catalogue: its name.
        known: the state, as an answer had it.
    """

    catalogue: str
    known: Head

    @property
    def need(self) -> Need | None:
        """See `Call`."""
        return Need.of_request("subscribe", self.catalogue)


@dataclass(frozen=True, slots=True, eq=False)
class Ask(Generic[Step]):
    """Have a call carried out, and hand each of its steps to `Session.report` (an error to `Session.failed`).

    Attributes:
        request: the session's serial number of the request that asks (classic requests carry no id on the wire).
        call: what to do.
        then: what the session makes of a step; the shell does not call it.
    """

    request: int
    call: Call[Step]
    then: "Callable[[Step], list[Action]]" = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendText:
    """Send one text message to the client.

    Attributes:
        text: the message.
        replaces: names messages of which the newest makes the others needless (a stage's progress); None for others.
    """

    text: str
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close the WebSocket with this code and reason."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Stop all that this request asked for and that has not ended; its results are no longer wanted."""

    request: int


Action = SendText | CloseConnection | Ask[Any] | StopRequest

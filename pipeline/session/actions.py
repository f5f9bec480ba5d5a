"""What a connection's session asks its shell to do; the shell (the ingress) does the I/O and reports back.

`request` is the session's own serial number of a request (classic requests carry no id on the wire).
"""

from dataclasses import dataclass

from pipeline.records import Animals, PhotoSource, Query


@dataclass(frozen=True, slots=True)
class SendText:
    """Send one text message to the client."""

    text: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close the WebSocket with this code and reason."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class ExtractPhoto:
    """Queue one photo of an extract request.

    The shell calls `photo_started` when it takes the photo off its queue, `photo_segmented` and `photo_extracted`
    as the two steps come back.
    """

    request: int
    index: int
    source: PhotoSource
    animals: Animals


@dataclass(frozen=True, slots=True)
class IndexedQuery:
    """One item of an identify request with its place in it."""

    index: int
    query: Query


@dataclass(frozen=True, slots=True)
class StoreConfirmations:
    """Store the confirmed photos (each query has an identity) in one transaction, then call `confirmations_stored`.

    At most one a request, before its first `IdentifyItems`. A query that the catalogue refuses by itself (wrong length,
    other model) is left out of the transaction; its ranking, asked for next, comes back with the same refusal.
    """

    request: int
    queries: tuple[IndexedQuery, ...]


@dataclass(frozen=True, slots=True)
class IdentifyItems:
    """Rank these queries; the shell calls `item_identified` for each.

    A request asks in portions, the next one when all of the last one have been answered, so that a large request holds
    neither the matcher nor memory. A query with an identity has been stored already; it is ranked as if it were not.
    """

    request: int
    queries: tuple[IndexedQuery, ...]
    top_k: int | None


@dataclass(frozen=True, slots=True)
class SaveItem:
    """One photo of a save request: copy `file` into the folder of `identity`."""

    index: int
    file: str
    identity: str


@dataclass(frozen=True, slots=True)
class SavePhotos:
    """Copy photos into the export folder, in order; the shell calls `photo_saved` for each."""

    request: int
    items: tuple[SaveItem, ...]


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Stop all outstanding work of this request; its results are no longer wanted."""

    request: int


Action = SendText | CloseConnection | ExtractPhoto | StoreConfirmations | IdentifyItems | SavePhotos | StopRequest

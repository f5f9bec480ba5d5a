"""The asynchronous client."""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.client.asking import ItemRequest, ask_for_items
from pipeline.client.catalogue import AsyncCatalogue
from pipeline.client.connection import Server
from pipeline.client.extraction import Animals, Extraction, path_to_send
from pipeline.client.filters import Filters
from pipeline.client.options import ClientOptions
from pipeline.client.photo_store import upload_photos
from pipeline.client.results import (
    Identification,
    ItemFailure,
    JsonObject,
    OnProgress,
    PhotoResult,
    Query,
    SavedPhoto,
    StoredPhoto,
    UploadedPhoto,
    as_query,
    confirmed,
    read_failure,
    read_identification,
)
from pipeline.client.rights import AsyncRights

DEFAULT_URL = "ws://127.0.0.1:8765"


class AsyncClient:
    """Talks to one service; calls may overlap, they share one connection that is opened at the first.

    Every call splits what is too long for one request, and goes on after a lost connection by asking again for what has
    no answer yet. All calls raise `ServerUnreachableError`, `AccessDeniedError`, `ConnectionRejectedError`,
    `BadAnswerError` or `RequestFailedError`, all of them `ClientError`; what is wrong with one photo is in its result.

    Attributes:
        catalogue: the client's own catalogue: its lists, and changes of it.
        rights: the catalogues that there are, and who may do what in them.
    """

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, options: ClientOptions | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: ws:// or wss:// address of the service.
            token: bearer token, where the service wants one.
            options: limits, and how long to go on trying.
        """
        self._server = Server(url, token, options or ClientOptions())
        self.catalogue = AsyncCatalogue(self._server)
        self.rights = AsyncRights(self._server)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that still run, and later ones, raise `ClientClosedError`."""
        await self._server.close()

    def extract_stream(
        self,
        photos: Sequence[str | Path | StoredPhoto],
        *,
        uploads: bool = False,
        animals: Animals = "best",
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncGenerator[PhotoResult]:
        """Find and embed the animals in photos, yielding each entry as it comes.

        The server waits while the caller is slow. Leaving the loop early cancels the rest; use `contextlib.aclosing`
        to do so at once.

        Args:
            photos: strings are sent character for character, for the server to open (so a path of another machine or
                system will do); a `Path` is made absolute first. With `uploads` both are files of this machine. Or
                all of them are photos of the store, where `upload_photos` has put them.
            uploads: send the photos themselves, for a server that cannot open the paths.
            animals: "best" answers the best-scoring box of a photo, "all" every box above the model's threshold.
            catalogue: whose the photos of the store are; None for one's own.
            on_progress: called at each advance.

        Yields:
            At least one entry a photo, in no particular order: its animals, or why it has none.
        """
        return Extraction(self._server, photos, uploads, animals, catalogue, on_progress).results()

    async def extract(
        self,
        photos: Sequence[str | Path | StoredPhoto],
        *,
        uploads: bool = False,
        animals: Animals = "best",
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[PhotoResult]:
        """Do as `extract_stream`, and return all entries, in the order of `photos`, the best animal of each first."""
        stream = self.extract_stream(
            photos, uploads=uploads, animals=animals, catalogue=catalogue, on_progress=on_progress
        )
        async with aclosing(stream) as results:
            return sorted([result async for result in results], key=lambda result: (result.index, result.animal))

    async def upload_photos(
        self,
        paths: Sequence[str | Path],
        *,
        catalogue: str | None = None,
        at_once: int = 4,
        on_progress: OnProgress | None = None,
    ) -> list[UploadedPhoto]:
        """Put photos of this machine into a catalogue's store, over HTTP; what is there already is not sent.

        So a call that was interrupted is made again, and goes on where it was. `extract` takes them by `StoredPhoto`.

        Args:
            paths: files of this machine.
            catalogue: name of the one that gets them; None for one's own.
            at_once: how many are sent at the same time.
            on_progress: called with each photo that is done, stage "sending".

        Returns:
            One for each path, in their order.
        """
        return await upload_photos(self._server, paths, catalogue, at_once, on_progress)

    async def identify(
        self,
        items: Sequence[PhotoResult | Query],
        top_k: int | None = None,
        *,
        catalogue: str | None = None,
        catalogues: Sequence[str] | None = None,
        references: int | None = None,
        filters: Filters | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Identification]:
        """Rank the known individuals for each embedding, by ascending distance.

        Queries that carry an identity are confirmed first: added to the catalogue, a new name as a new individual.
        Up to about 5,900 confirmations go in one request, which stores all of them or none. What a request stored
        before the connection was lost is not stored anew when it is asked again. A later call that confirms the same
        photo replaces what was said about it.

        Args:
            items: results of `extract`, or queries of one's own; a photo without embedding keeps its failure.
            top_k: at most so many candidates each, "Unknown" included where it ranks; None for all.
            catalogue: name of the one to rank and confirm in; None for one's own.
            catalogues: in its place, names of several (16 at most) to rank together; nothing can be confirmed then.
            references: give each candidate so many annotations (20 at most), one an encounter, nearest first; needs a
                `top_k` of at most 100.
            filters: compare with these annotations alone.
            on_progress: called at each advance.

        Returns:
            One for each item, in their order.
        """
        results, queries = _sort_out(items)
        where = {"catalogue": catalogue, "catalogues": None if catalogues is None else list(catalogues)}
        wanted = {"topK": top_k, "references": references, "filters": filters and filters.to_json()}
        request = _identify_request(queries, where | wanted)
        results |= await ask_for_items(
            self._server, request, {i: _query_json(q) for i, q in queries.items()}, on_progress
        )
        return [results[index] for index in range(len(items))]

    async def confirm(
        self,
        items: Sequence[PhotoResult | Query],
        identity: str,
        *,
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Identification]:
        """Add photos to the catalogue as this individual's; a new name makes a new individual.

        Returns:
            For each, its ranking as if it were not in the catalogue (a wrong label shows), or why it was refused.
        """
        named = [item if isinstance(item, PhotoResult) and item.error else confirmed(item, identity) for item in items]
        return await self.identify(named, top_k=5, catalogue=catalogue, on_progress=on_progress)

    async def save(
        self, photos: Sequence[tuple[str | Path, str]], *, on_progress: OnProgress | None = None
    ) -> list[SavedPhoto]:
        """Have the server copy photos that it can open into its export folder, one sub-folder an identity.

        Args:
            photos: pairs of a photo and its identity.
            on_progress: called at each advance.

        Returns:
            One for each pair, in their order.
        """

        def read(entry: JsonObject, index: int) -> tuple[SavedPhoto, ItemFailure | None]:
            failure, new_file = read_failure(entry), entry.get("new_file")
            saved = SavedPhoto(str(photos[index][0]), index, new_file, bool(entry.get("skipped", False)), failure)
            return saved, failure

        request = ItemRequest("save", "whaleIdentities", {}, "saving", read)
        items = [{"file": path_to_send(photo), "selectedIdentity": identity} for photo, identity in photos]
        results = await ask_for_items(self._server, request, dict(enumerate(items)), on_progress)
        return [results[index] for index in range(len(photos))]


def _sort_out(items: Sequence[PhotoResult | Query]) -> tuple[dict[int, Identification], dict[int, Query]]:
    """Divide the items into those that have failed before and those to ask about."""
    failed: dict[int, Identification] = {}
    queries: dict[int, Query] = {}
    for index, item in enumerate(items):
        if isinstance(item, PhotoResult) and item.error is not None:
            failed[index] = Identification(item.path, index, None, item.animal, None, (), item.error)
            continue
        query = as_query(item) if isinstance(item, PhotoResult) else item
        if all(map(math.isfinite, query.embedding)):
            queries[index] = query
        else:
            reason = ItemFailure("bad_embedding", f"{query.path}: the embedding has numbers that are not finite")
            failed[index] = Identification(query.path, index, query.body_part, query.animal, None, (), reason)
    return failed, queries


def _identify_request(queries: Mapping[int, Query], wanted: JsonObject) -> ItemRequest[Identification]:
    """Return what to ask about all queries; what is None is left out."""

    def read(entry: JsonObject, index: int) -> tuple[Identification, ItemFailure | None]:
        result = read_identification(entry, queries[index], index)
        return result, result.error

    fields = {"stream": True} | {name: value for name, value in wanted.items() if value is not None}
    return ItemRequest("identify", "data", fields, "identifying", read)


def _query_json(query: Query) -> JsonObject:
    fields = {
        "path": query.path,
        "type": query.body_part,
        "embedding": [float(value) for value in query.embedding],
        "identity": query.identity,
        "model": query.model,
        "sha256": query.sha256,
        "animal": query.animal,
        "box_xyxy_px": query.box_xyxy_px,
    }
    return {name: value for name, value in fields.items() if value is not None}

"""The original's way of speaking: lines of text, one result, one request after the other."""

from pipeline.errors import WhaleVisionError
from pipeline.protocol.items import IdentifyItem, SavePhotoItem
from pipeline.protocol.json_text import encode, sendable
from pipeline.protocol.replies import (
    ERROR_LINE,
    Entry,
    Photo,
    animal_fields,
    failure_in,
    ranking_fields,
    refusal,
)
from pipeline.records import Extracted, Ranking, SaveOutcome


class ClassicReplies:
    """Section 1 of the protocol, with the result in an envelope."""

    def __init__(self, device: str, models_dir: str) -> None:
        self._device = device
        self._models_dir = models_dir

    def starting(self, kind: str) -> tuple[str, ...]:
        """Name device and models; a save uses neither."""
        return () if kind == "save" else (sendable(f"starting on {self._device} with {self._models_dir}"),)

    def progress(self, stage: str, done: int, total: int) -> tuple[str, ...]:
        """Say how far a stage has come."""
        return (f"{stage}: {done}/{total}",)

    def saving(self, item: SavePhotoItem, outcome: SaveOutcome, done: int, total: int) -> tuple[str, ...]:
        """Say what became of one photo to save."""
        if outcome.failure is not None:
            return (sendable(f"not saving {item.file or '(no name)'}: {outcome.failure.message}"),)
        line = f"saving {item.file} to {outcome.new_file}..."
        return (sendable(f"{line} already there" if outcome.skipped else line),)

    def photo(self, photo: Photo, extracted: Extracted) -> tuple[Entry, ...]:
        """Write the entries of one photo, with the original's fields."""
        failure = failure_in(extracted)
        if failure is not None:
            return (Entry(encode({"path": photo.path, **refusal(failure)}), True),)
        numbered = photo.animals == "all"
        return tuple(
            Entry(
                encode(animal_fields(photo.path, animal) | ({"animal": animal.annotation.animal} if numbered else {})),
                False,
            )
            for animal in extracted.animals
        )

    def ranking(self, index: int, item: IdentifyItem, ranking: Ranking) -> tuple[Entry, ...]:
        """Write the entry of one identify item."""
        return (Entry(encode({"path": item.path, **ranking_fields(ranking)}), ranking.failure is not None),)

    def saved(self, index: int, item: SavePhotoItem, outcome: SaveOutcome) -> tuple[Entry, ...]:
        """Write nothing: the line said it."""
        return ()

    def result(self, kind: str, entries: str) -> tuple[str, ...]:
        """Send all entries at once; a save has none."""
        return () if kind == "save" else (f'{{"type":"{kind}","data":[{entries}]}}',)

    def complete(self, clock_time: str, seconds: float) -> tuple[str, ...]:
        """Say that the request is done, when, and how long it took."""
        return ("complete!", f"{clock_time} {seconds:.2f}")

    def error(self, error: WhaleVisionError) -> str:
        """Say that the request failed as a whole."""
        return sendable(ERROR_LINE % error.message)


class ArrayReplies(ClassicReplies):
    """The desktop app's dialect: bare lists, of what the app can use."""

    def photo(self, photo: Photo, extracted: Extracted) -> tuple[Entry, ...]:
        """Leave out photos without embedding."""
        return tuple(entry for entry in super().photo(photo, extracted) if not entry.failed)

    def ranking(self, index: int, item: IdentifyItem, ranking: Ranking) -> tuple[Entry, ...]:
        """Leave out confirmations; a refused item has no candidates (without any the app would ask for ever)."""
        if item.confirms:
            return ()
        identities = ranking_fields(Ranking(ranking.candidates))
        return (Entry(encode({"path": item.path, **identities}), ranking.failure is not None),)

    def result(self, kind: str, entries: str) -> tuple[str, ...]:
        """Send the bare list."""
        return () if kind == "save" else (f"[{entries}]",)

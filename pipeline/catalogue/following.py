"""The galleries of all body parts, kept up to date with a catalogue that others change at the same time."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import EMPTY, CatalogueRow, Changes, Head
from pipeline.catalogue.vectors import Numbers
from pipeline.protocol.filters import Filters

_MAX_FILTERED = 4  # kept for the next portion of the same request


class Galleries:
    """One gallery a body part, as the catalogue is whenever they are looked at; safe to use from several threads.

    CatalogueUnavailableError is raised where the catalogue cannot be read.

    Args:
        catalogue: which is followed.
        models: the loaded embedder of each body part.
        device: where means are held and compared; needs float64.
    """

    def __init__(self, catalogue: Catalogue, models: Sequence[LoadedModel], device: torch.device | str) -> None:
        self._catalogue = catalogue
        self._models = models
        self._device = device
        self._lock = threading.Lock()
        self._catching_up = threading.Lock()
        self._head = EMPTY
        self._galleries = self._empty()
        self._filtered: dict[Filters, dict[str, Gallery]] = {}
        self.catch_up()

    @property
    def individuals(self) -> int:
        """How many individuals the largest gallery has."""
        return max(gallery.individuals for gallery in self._galleries.values())

    def photos(self, body_part: str) -> tuple[int, int]:
        """Return how many photos of a body part are ranked, and how many there are; filters do not count."""
        return self._galleries[body_part].photos

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        filtered = [gallery for galleries in list(self._filtered.values()) for gallery in galleries.values()]
        return sum(gallery.size_bytes for gallery in self._galleries.values()) + sum(one.own_bytes for one in filtered)

    def catch_up(self) -> None:
        """Take in all that was committed before the call; others use the galleries while the database is read."""
        with self._catching_up:
            while self._catalogue.head() != (known := self._head):
                changes = None if known == EMPTY else self._catalogue.changes_since(known)
                read = self._read() if changes is None or changes.anew else None
                with self._lock:
                    if read is not None:
                        self._put(*read)
                    elif changes is not None and self._head == known:
                        self._take(changes)
                    else:  # `prepare` came first
                        continue
                return

    @contextmanager
    def current(self, filters: Filters | None = None) -> Iterator[tuple[Head, Mapping[str, Gallery]]]:
        """Hold the galleries, by body part, in the state that was caught up with; nobody else does meanwhile.

        Args:
            filters: hold galleries of the annotations alone that these let through. Only where something was committed
                since `prepare` the database is asked here.
        """
        with self._lock:
            while filters is not None and filters not in self._filtered:
                matching, changes = self._catalogue.find_matching(filters, self._head)
                self._take(changes)
                self._filter(filters, matching, changes.head)
            yield self._head, self._galleries if filters is None else self._filtered[filters]

    def prepare(self, filters: Filters) -> None:
        """Find what filters let through while others use the galleries; `current` has less to do then."""
        known = self._head
        if filters in self._filtered and self._catalogue.head() == known:
            return
        matching, changes = self._catalogue.find_matching(filters, known)
        with self._lock:
            if self._head == known:
                self._take(changes)
            self._filter(filters, matching, changes.head)

    def _filter(self, filters: Filters, matching: Numbers, head: Head) -> None:
        """Keep the galleries of annotations that were found, unless the state that they were found in is past."""
        if self._head == head:
            while len(self._filtered) >= _MAX_FILTERED:
                del self._filtered[next(iter(self._filtered))]
            self._filtered[filters] = {part: gallery.only(matching) for part, gallery in self._galleries.items()}

    def _take(self, changes: Changes) -> None:
        if changes.anew:
            self._put(*self._read())
        elif changes.head != self._head:
            self._filtered.clear()
            for gallery in self._galleries.values():
                gallery.update(changes.superseded, changes.added)
            self._head = changes.head

    def _read(self) -> tuple[Head, dict[str, Gallery]]:
        """Read everything: at the start, and where another copy of the catalogue was put in place."""
        galleries = self._empty()

        def take(rows: Sequence[CatalogueRow]) -> None:
            for gallery in galleries.values():
                gallery.update((), rows)

        return self._catalogue.read_rows(take), galleries

    def _put(self, head: Head, galleries: dict[str, Gallery]) -> None:
        """Go over to other galleries."""
        self._head, self._galleries = head, galleries
        self._filtered.clear()

    def _empty(self) -> dict[str, Gallery]:
        return {
            loaded.body_part: Gallery(loaded.body_part, loaded.model, loaded.dimension, self._device)
            for loaded in self._models
        }

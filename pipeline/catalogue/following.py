"""The galleries of all body parts, kept up to date with a catalogue that others change at the same time."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from pipeline.catalogue.chosen import ChosenGallery, Moment
from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.rows import EMPTY, CatalogueRow, Changes, Head
from pipeline.protocol.filters import Filters

_MAX_FILTERED = 4  # kept for the next request of the same filters

_Held = tuple[Head, dict[str, Moment]]
"""What the galleries were in one state."""


@dataclass(frozen=True, slots=True)
class Rankable:
    """What is ranked.

    Attributes:
        head: the state of the catalogue that it shows.
        galleries: by body part.
    """

    head: Head
    galleries: Mapping[str, RankableGallery]


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
        self._filtered: dict[Filters, Rankable] = {}
        self.catch_up()

    @property
    def individuals(self) -> int:
        """How many individuals the largest gallery has."""
        return max(gallery.individuals for gallery in self._galleries.values())

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        filtered = [gallery for made in list(self._filtered.values()) for gallery in made.galleries.values()]
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
                    else:  # `filtered` came first
                        continue
                return

    @contextmanager
    def current(self) -> Iterator[Rankable]:
        """Hold the galleries in the state that was caught up with; nobody else does meanwhile."""
        with self._lock:
            yield Rankable(self._head, self._galleries)

    def filtered(self, filters: Filters) -> Rankable:
        """Return galleries of the annotations alone that filters let through, in the state of the catalogue's head.

        They stay as they are, whatever is said meanwhile. Making them may take seconds, in which others use the
        galleries.
        """
        known = self._filtered.get(filters)
        if known is not None and known.head == self._catalogue.head():
            return known
        held: list[_Held] = []
        matching = None
        while matching is None:
            matching = self._catalogue.find_matching(filters, self._head, partial(self._hold, held))
        head, moments = held.pop()
        made = Rankable(head, {part: ChosenGallery(moment, matching) for part, moment in moments.items()})
        with self._lock:
            self._keep(filters, made)
        return made

    def _hold(self, held: list[_Held], since: Head, changes: Changes) -> bool:
        """Take in what came since a state and hold that moment; False where others are beyond it already."""
        with self._lock:
            if self._head == since:
                self._take(changes)
            if self._head == changes.head:
                held.append((self._head, {part: gallery.moment() for part, gallery in self._galleries.items()}))
            return self._head == changes.head

    def _keep(self, filters: Filters, made: Rankable) -> None:
        """Keep galleries for the next request of the same filters, unless their state is past."""
        if made.head == self._head:
            while len(self._filtered) >= _MAX_FILTERED:
                del self._filtered[next(iter(self._filtered))]
            self._filtered[filters] = made

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

"""The matchers of a process: one for each catalogue that was lately asked of, in a bounded memory."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.rights import DEFAULT_CATALOGUE


class LoadedMatchers:
    """A matcher for each catalogue that was asked of lately; safe to call from several threads.

    Where they hold more than they may, those that were used longest ago give way, and are loaded again when they are
    asked for. One that is in use never does, and the one that was used last does not either.

    Args:
        catalogues: of one database.
        device: where distances are computed.
        at_most_bytes: that all of them may hold.
    """

    def __init__(self, catalogues: LoadedCatalogues, device: torch.device | str, at_most_bytes: int) -> None:
        self._catalogues = catalogues
        self._device = device
        self._at_most_bytes = at_most_bytes
        self._lock = threading.Lock()
        self._matchers: OrderedDict[str, tuple[int, CatalogueMatcher]] = OrderedDict()
        self._users: Counter[str] = Counter()

    @property
    def names(self) -> list[str]:
        """The catalogues that are loaded, by when they were last used."""
        return list(self._matchers)

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return sum(matcher.size_bytes for _, matcher in list(self._matchers.values()))

    def signing_key(self) -> bytes:
        """Return the secret by which what rankings compared is signed; reads the database."""
        return self._catalogues.catalogue(DEFAULT_CATALOGUE).signing_key()

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Keep the matcher of a catalogue from giving way to others until the block ends."""
        with self._lock:
            self._users[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._users[name] -= 1
                self._make_room()

    def current(self, name: str) -> CatalogueMatcher:
        """Return the matcher of a catalogue with all that was committed; loads it where it is not, which takes a while.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        catalogue = self._catalogues.catalogue(name)
        with self._lock:
            number, matcher = self._matchers.get(name, (None, None))
        if matcher is None or number != catalogue.id:
            matcher = CatalogueMatcher(catalogue, list(self._catalogues.models.values()), self._device)
        else:
            matcher.catch_up()
        with self._lock:
            self._matchers[name] = (catalogue.id, matcher)
            self._matchers.move_to_end(name)
            self._make_room()
        return matcher

    def _make_room(self) -> None:
        self._users += Counter()  # without those of which there is no user
        free = [name for name in list(self._matchers)[:-1] if name not in self._users]
        while free and self.size_bytes > self._at_most_bytes:
            del self._matchers[free.pop(0)]

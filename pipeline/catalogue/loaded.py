"""The catalogues of one database that a process answers from."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import torch

from pipeline.catalogue.following import LoadedModel
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.people import People
from pipeline.catalogue.rows import CatalogueCounts, Head
from pipeline.catalogue.sql_store import SqlCatalogue
from pipeline.rights import DEFAULT_CATALOGUE

MAX_LOADED = 8
"""Matchers that stay beside the default catalogue's; the one that was used longest ago gives way.

Each holds its catalogue's embeddings. One that is in use goes on.
"""


class LoadedCatalogues:
    """Catalogues by their names, and a matcher for each that was asked of lately; safe to call from several threads.

    Attributes:
        people: of the database, and their rights.

    Args:
        default: the default catalogue, whose matcher always stays.
        models: the loaded embedder of each body part.
        device: where distances are computed.
    """

    def __init__(
        self, default: SqlCatalogue, models: Sequence[LoadedModel], device: torch.device | str = "cpu"
    ) -> None:
        self._default = default
        self._models = tuple(models)
        self._device = device
        self._default_matcher = self._load(default)
        self._matchers: OrderedDict[tuple[str, int], CatalogueMatcher] = OrderedDict()
        self._loading = threading.Lock()
        self.people = People(default.database)
        self._counts: dict[str, tuple[Head, CatalogueCounts]] = {}

    def catalogue(self, name: str) -> SqlCatalogue:
        """Return a catalogue, which is looked for at every call: another copy of the database may number it otherwise.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        return self._default if name == DEFAULT_CATALOGUE else self._default.neighbour(name)

    def matcher(self, name: str) -> CatalogueMatcher:
        """Return the matcher of a catalogue; loads it where it is not loaded, which may take seconds.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        if name == DEFAULT_CATALOGUE:
            return self._default_matcher
        catalogue = self.catalogue(name)
        key = (name, catalogue.id)
        with self._loading:
            matcher = self._matchers.pop(key, None) or self._load(catalogue)
            self._matchers[key] = matcher
            if len(self._matchers) > MAX_LOADED:
                self._matchers.popitem(last=False)
        return matcher

    def counts(self, name: str) -> tuple[Head, CatalogueCounts]:
        """Return a catalogue's state and how much it holds; counted again only where it has changed.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        catalogue = self.catalogue(name)
        head = catalogue.head()
        found = self._counts.get(name)
        if found is None or found[0] != head:
            found = self._counts[name] = (head, catalogue.counts())
        return found

    def _load(self, catalogue: SqlCatalogue) -> CatalogueMatcher:
        return CatalogueMatcher(catalogue, self._models, self._device)

"""The catalogues of one database that a process answers from; without torch, since only matchers compute."""

from collections.abc import Collection, Sequence

from pipeline.catalogue.people import People
from pipeline.catalogue.queries import LoadedModel, confirm_queries, rows_of_other_models
from pipeline.catalogue.rows import CatalogueCounts, Head
from pipeline.catalogue.sql_store import SqlCatalogue
from pipeline.records import Actor, Failure, Query
from pipeline.rights import DEFAULT_CATALOGUE


class LoadedCatalogues:
    """Catalogues by their names; safe to call from several threads.

    Attributes:
        people: of the database, and their rights.
        models: the loaded embedder of each body part.

    Args:
        default: the default catalogue.
        models: see above.
    """

    def __init__(self, default: SqlCatalogue, models: Sequence[LoadedModel]) -> None:
        self._default = default
        self.models = {model.body_part: model for model in models}
        self.people = People(default.database)
        self._counts: dict[str, tuple[Head, CatalogueCounts]] = {}

    def catalogue(self, name: str) -> SqlCatalogue:
        """Return a catalogue, which is looked for at every call: another copy of the database may number it otherwise.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        return self._default if name == DEFAULT_CATALOGUE else self._default.neighbour(name)

    def confirm(
        self,
        name: str,
        queries: Sequence[Query],
        actor: Actor,
        key: str | None = None,
        only_changes: bool = False,
        guesses: Collection[int] = (),
    ) -> list[Failure | None]:
        """Store confirmed photos in a catalogue; see `confirm_queries`."""
        return confirm_queries(self.catalogue(name), self.models, queries, actor, key, only_changes, guesses)

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

    def status(self, name: str) -> dict[str, int]:
        """Return how many individuals and photos a catalogue has, and rows that no loaded model made."""
        _, counts = self.counts(name)
        others = rows_of_other_models(counts, self.models)
        return {"individuals": counts.individuals, "photos": counts.photos, "other_model_rows": others}

"""The narrow port to one catalogue; the matcher and the CSV import know nothing else of it."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.catalogue.rows import CatalogueCounts, Changes, Confirmation, ImportBatch, ImportFile, ImportOutcome


class Catalogue(Protocol):
    """One institution's individuals, versioned: every transaction that changes something raises the head by one.

    Rows are never changed or removed: a later statement about the same photo supersedes the earlier one, which stays
    as history. Implementations may be called from several threads, and several processes may share one catalogue.

    Every method raises CatalogueUnavailableError where the storage cannot be read or written; nothing of that call is
    stored then, except that a database server which is lost just as it commits may have stored all of it.
    """

    def head(self) -> int:
        """Return the version of the last transaction that changed something; 0 for an empty catalogue."""
        ...

    def changes_since(self, version: int) -> Changes:
        """Return what a reader that has `version` needs to have the head; `version` 0 gives every current row."""
        ...

    def confirm(self, confirmations: Sequence[Confirmation]) -> int:
        """Store what a person said about photos: all of it or nothing, on disk when this returns.

        A photo (key and body part) that the catalogue knows is superseded where it now shows another individual or has
        another embedding by the same model. One that says what is stored already changes nothing, so that a caller may
        repeat a call of which it does not know the outcome. Within one call the last word about a photo counts.

        Returns:
            The head that holds all of it; unchanged where nothing was new.
        """
        ...

    def imports(self) -> tuple[ImportFile, ...]:
        """Return the CSV files that came in, in their order."""
        ...

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """Take in whole CSV files in one transaction, each only where `classify_import` says that it is new.

        A file without rows is not remembered, so that it may be filled later. The keys of a batch are its own: no two
        rows share one, and no confirmation has it.

        Returns:
            One outcome a batch, in order.
        """
        ...

    def counts(self) -> CatalogueCounts:
        """Return how much the catalogue holds."""
        ...

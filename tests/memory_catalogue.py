"""A catalogue in memory for tests; passes the same contract as the SQL one (tests/unit/test_catalogue_contract.py)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.catalogue.rows import (
    CatalogueCounts,
    CatalogueRow,
    Changes,
    Confirmation,
    ImportBatch,
    ImportFile,
    ImportOutcome,
    classify_import,
)
from pipeline.errors import CatalogueUnavailableError


@dataclass
class _Entry:
    row: CatalogueRow
    version: int
    superseded_version: int | None = None


class MemoryCatalogue:
    """Implements `pipeline.catalogue.port.Catalogue`; `unavailable = True` makes every call fail."""

    def __init__(self) -> None:
        self.unavailable = False
        self._entries: list[_Entry] = []
        self._imports: list[ImportFile] = []
        self._head = 0

    def head(self) -> int:
        self._check()
        return self._head

    def changes_since(self, version: int) -> Changes:
        self._check()
        added = tuple(e.row for e in self._entries if e.version > version and e.superseded_version is None)
        known = [e for e in self._entries if e.version <= version]
        gone = tuple(e.row.row_id for e in known if (e.superseded_version or 0) > version)
        return Changes(self._head, added, gone)

    def confirm(self, confirmations: Sequence[Confirmation]) -> int:
        self._check()
        words = {(word.key, word.body_part): word for word in confirmations}
        news = [word for word in words.values() if not any(_says(entry.row, word) for entry in self._standing())]
        if news:
            self._head += 1
        for word in news:
            self._supersede(word)
            self._append(word)
        return self._head

    def imports(self) -> tuple[ImportFile, ...]:
        self._check()
        return tuple(self._imports)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        self._check()
        outcomes = []
        before = self._head
        for batch in batches:
            status = classify_import(batch.file, self._imports)
            rows = batch.rows if status == "new" else ()
            if rows:
                self._head = before + 1
                self._imports.append(batch.file)
            for row in rows:
                self._append(row)
            outcomes.append(ImportOutcome(batch.file, status, len(rows)))
        return tuple(outcomes)

    def counts(self) -> CatalogueCounts:
        self._check()
        rows = [entry.row for entry in self._standing()]
        parts = {row.body_part for row in rows}
        return CatalogueCounts(
            individuals=len({row.individual for row in rows}),
            photos=len({row.key.photo for row in rows}),
            photos_by_body_part={part: len({r.key.photo for r in rows if r.body_part == part}) for part in parts},
            rows=Counter((row.body_part, row.model) for row in rows),
        )

    def _check(self) -> None:
        if self.unavailable:
            raise CatalogueUnavailableError("the catalogue could not be read: the test says so")

    def _standing(self) -> list[_Entry]:
        return [entry for entry in self._entries if entry.superseded_version is None]

    def _supersede(self, word: Confirmation) -> None:
        for entry in self._standing():
            same_subject = (entry.row.key, entry.row.body_part) == (word.key, word.body_part)
            if same_subject and (entry.row.model == word.model or entry.row.individual != word.individual):
                entry.superseded_version = self._head

    def _append(self, word: Confirmation) -> None:
        row_id = len(self._entries) + 1
        row = CatalogueRow(row_id, word.key, word.body_part, word.individual, word.values, word.model)
        self._entries.append(_Entry(row, self._head))


def _says(row: CatalogueRow, word: Confirmation) -> bool:
    labels = (row.key, row.body_part, row.individual, row.model)
    return labels == (word.key, word.body_part, word.individual, word.model) and np.array_equal(row.values, word.values)

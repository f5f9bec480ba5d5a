"""Import of the catalogue files that lie beside the weights: each once, keyed by its content, all of them or none."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalogue.csv_rows import CsvRow, parse_csv
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rows import Confirmation, ImportBatch, ImportFile, ImportOutcome, classify_import
from pipeline.catalogue.vectors import storable_text
from pipeline.errors import CatalogueFileError
from pipeline.records import PhotoKey

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A catalogue file to look for at the start of the service.

    Attributes:
        path: of the CSV; it need not exist.
        body_part: whose embeddings it holds.
        model: short hash of the loaded weights, which the file lies beside.
        dimension: length of their embeddings.
    """

    path: Path
    body_part: str
    model: str
    dimension: int


def import_csvs(catalogue: Catalogue, sources: Sequence[CsvSource]) -> tuple[ImportOutcome, ...]:
    """Take in the files that the catalogue does not have yet, in one transaction.

    Args:
        catalogue: which to fill; other processes may import the same files at the same time.
        sources: files that do not exist are passed over.

    Returns:
        One outcome for each file that exists, in order; each is logged too.

    Raises:
        CatalogueFileError: a file to import cannot be read or holds a bad row; nothing was imported.
        CatalogueUnavailableError: the catalogue cannot be read or written; nothing was imported.
    """
    imported = catalogue.imports()
    batches = [_read_batch(source, imported) for source in sources if source.path.exists()]
    if any(batch.rows for batch in batches):
        outcomes = catalogue.import_rows(batches)
    else:  # without a write, which would wait for other writers and fail on a full disk
        outcomes = tuple(ImportOutcome(batch.file, classify_import(batch.file, imported), 0) for batch in batches)
    for outcome in outcomes:
        _report(outcome)
    return outcomes


def check_csvs(imported: Sequence[ImportFile], sources: Sequence[CsvSource]) -> None:
    """Read every file that exists and is not imported yet, and store nothing.

    Raises:
        CatalogueFileError: one cannot be read or holds a bad row.
    """
    for source in sources:
        if source.path.exists():
            _read_batch(source, imported)


def _read_batch(source: CsvSource, imported: Sequence[ImportFile]) -> ImportBatch:
    """Parse a file that is new; one that is not needs no rows, since the catalogue will leave it out."""
    try:
        content = source.path.read_bytes()
    except OSError as error:
        raise CatalogueFileError(f"{source.path}: cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    file = ImportFile(storable_text(source.path.name), source.body_part, digest, source.model)
    if classify_import(file, imported) != "new":
        return ImportBatch(file, rows=())
    parsed = parse_csv(content, str(source.path), source.dimension)
    return ImportBatch(file, tuple(_as_confirmation(row, file) for row in parsed))


def _as_confirmation(row: CsvRow, file: ImportFile) -> Confirmation:
    """Key a row by its place in its file: every row counts for the mean, also two of the same path."""
    return Confirmation(
        key=PhotoKey(f"csv:{file.digest}:{row.line}"),
        body_part=file.body_part,
        individual=row.individual,
        values=row.values,
        model=file.model,
        path=row.path,
    )


def _report(outcome: ImportOutcome) -> None:
    file = outcome.file
    if outcome.status == "new":
        _log.info("%s: imported %s rows of body part %s", file.name, outcome.rows, file.body_part)
    elif outcome.status == "changed_since":
        _log.warning(
            "%s has changed since its body part (%s) was imported; the catalogue keeps what it has, nothing was merged",
            file.name,
            file.body_part,
        )
    elif outcome.status == "other_model":
        _log.warning(
            "%s was imported with other weights than the loaded %s model %s; its photos are kept but not ranked: "
            "put back those weights, or make the file again with the new ones",
            file.name,
            file.body_part,
            file.model,
        )

"""From a models folder and a database URL to catalogues: opens them, and takes in the folder's CSVs."""

import logging

from pipeline.catalogue.csv_import import CsvSource, check_csvs, import_csvs
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import ImportOutcome
from pipeline.catalogue.schema import SCHEMA_VERSION
from pipeline.catalogue.sql_store import found_layout, open_catalogue
from pipeline.model_files import ModelFolder, short_hash
from pipeline.rights import DEFAULT_CATALOGUE

_log = logging.getLogger(__name__)


def loaded_models(folder: ModelFolder) -> tuple[LoadedModel, ...]:
    """Return the embedder of each body part with its hash, read from the weight files.

    Raises:
        ModelFilesError: a weight file cannot be read.
    """
    return tuple(
        LoadedModel(part.name, short_hash(folder.embedder_file(part.name)), part.dimension)
        for part in folder.body_parts
    )


def load_catalogues(url: str, folder: ModelFolder) -> LoadedCatalogues:
    """Open a database's catalogues, which is all that who only reads needs.

    Args:
        url: of the database, as SQLAlchemy has it.
        folder: names the embedders whose rows are ranked.

    Raises:
        CatalogueOpenError: there is no catalogue, or it cannot be opened.
        ModelFilesError: a weight file cannot be read.
    """
    models = loaded_models(folder)
    return LoadedCatalogues(open_catalogue(url, make=False), models)


def take_in_csvs(catalogues: LoadedCatalogues, folder: ModelFolder) -> None:
    """Import what is new in the folder's CSVs into the default catalogue.

    Raises:
        CatalogueFileError: a CSV holds a bad row; nothing of any was taken in.
        CatalogueUnavailableError: a file is new, and the catalogue is locked or the disk full; nothing was taken in.
    """
    sources = csv_sources(folder, tuple(catalogues.models.values()))
    import_csvs(catalogues.catalogue(DEFAULT_CATALOGUE), sources)


def check_catalogue(url: str, folder: ModelFolder) -> None:
    """Check that the catalogue can be opened and the folder's CSVs be taken in; changes nothing.

    An older layout and a catalogue that is still to be made are logged. Beside an older layout no CSV is read: which
    ones have come in is known once it is up to date.

    Raises:
        StartupError: a CSV holds a bad row, a weight file cannot be read, or the catalogue cannot be opened.
        CatalogueUnavailableError: the catalogue's file was replaced at this moment.
    """
    sources = csv_sources(folder, loaded_models(folder))
    layout = found_layout(url)
    if layout == SCHEMA_VERSION:
        catalogue = open_catalogue(url, make=False)
        try:
            check_csvs(catalogue.imports(), sources)
        finally:
            catalogue.close()
    elif layout is None:
        _log.info("there is no catalogue yet: the start makes one")
        check_csvs((), sources)
    else:
        _log.info("the start brings the catalogue from layout %s to %s, after a backup", layout, SCHEMA_VERSION)


def fill_catalogue(url: str, folder: ModelFolder) -> tuple[ImportOutcome, ...]:
    """Make the catalogue where there is none, import what is new in the folder's CSVs and close it again.

    Raises:
        StartupError: a CSV holds a bad row, a weight file cannot be read, or the catalogue cannot be opened.
        CatalogueUnavailableError: a file is new, and the catalogue is locked or the disk full; nothing was taken in.
    """
    catalogue = open_catalogue(url)
    try:
        return import_csvs(catalogue, csv_sources(folder, loaded_models(folder)))
    finally:
        catalogue.close()


def csv_sources(folder: ModelFolder, models: tuple[LoadedModel, ...]) -> list[CsvSource]:
    """Return the folder's catalogue files with the weights they lie beside."""
    sources = []
    for model in models:
        path = folder.catalogue_file(model.body_part)
        if path is not None:
            sources.append(CsvSource(path, model.body_part, model.model, model.dimension))
    return sources

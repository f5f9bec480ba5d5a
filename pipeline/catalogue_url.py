"""The URLs of the catalogue's database and of the photo store beside it, and the files that they name."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import platformdirs

if TYPE_CHECKING:
    from sqlalchemy import URL


def default_catalogue_url() -> str:
    """Return the SQLite file in the user's data folder, as an SQLAlchemy URL."""
    return f"sqlite:///{Path(platformdirs.user_data_dir('whale-vision')) / 'catalogue.sqlite'}"


def default_photo_store(catalogue_url: str) -> str:
    """Return the folder of photos beside a catalogue's file, else that in the user's data folder, as an fsspec URL."""
    file = catalogue_file(catalogue_url)
    if file is None:
        return f"file://{Path(platformdirs.user_data_dir('whale-vision')) / 'photos'}"
    return f"file://{file.absolute().with_name(f'{file.stem}-photos')}"


def with_absolute_folder(url: str) -> str:
    """Make the folder of a photo store's URL absolute; other URLs stay as they are."""
    kind, separator, path = url.partition("://")
    if separator and kind != "file":
        return url
    return f"file://{Path(path if separator else url).absolute()}"


def catalogue_file(url: "str | URL") -> Path | None:
    """Return the file that a catalogue's URL names; None for a server, a catalogue in memory and what is no URL."""
    from sqlalchemy import make_url  # here, since most processes that read settings open no database
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    if not _is_file_uri(parsed):
        return Path(parsed.database)
    file = unquote(urlsplit(parsed.database).path)
    return Path(file) if file and file != ":memory:" else None


def with_absolute_file(url: str) -> str:
    """Make the file of a SQLite URL absolute; other URLs stay as they are."""
    from sqlalchemy import make_url

    file = catalogue_file(url)
    if file is None or file.is_absolute():
        return url
    parsed = make_url(url)
    absolute = file.absolute()
    database = f"file:{quote(str(absolute))}" if _is_file_uri(parsed) else str(absolute)
    return parsed.set(database=database).render_as_string(hide_password=False)


def _is_file_uri(url: "URL") -> bool:
    """Whether SQLite reads the name as a URI: only with the option `uri`."""
    return (url.database or "").startswith("file:") and url.query.get("uri") in {"true", "True", "1", "yes", "on"}

"""What all commands share: which database they work on, and how they print a table."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.catalogue_url import with_absolute_folder
from pipeline.errors import StartupError
from pipeline.settings import Settings, load_settings

DONE, REFUSED, FOUND = 0, 1, 3
"""Exit statuses; FOUND is that of a check that found something wrong. 2 is argparse's."""

_WIDEST = 10_000  # columns; a narrower console would cut what stands in a table

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""To which commands are added."""

Rows = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
"""Names of columns, and the rows."""


def add_place(top: argparse.ArgumentParser) -> None:
    """Add the arguments that say which database is meant."""
    where = top.add_mutually_exclusive_group()
    default = Path("serve_config.yaml")
    where.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help=f"the service's; default: {default}"
    )
    where.add_argument("--catalogue-url", metavar="URL", help="of the database, in place of a config file")
    top.add_argument(
        "--photo-store", metavar="URL", help="default: that of the config file, else a folder beside the catalogue's"
    )


def settings_of(parsed: argparse.Namespace) -> Settings | None:
    """Return the service's settings; None where a URL was given in their place.

    Raises:
        StartupError: there is no such file, or it is wrong.
    """
    if parsed.catalogue_url is not None:
        return None
    if not parsed.config.exists():
        raise StartupError(f"{parsed.config}: there is no such file; name the service's with --config")
    return load_settings(parsed.config).with_absolute_paths()


def database_url(parsed: argparse.Namespace) -> str:
    """Return the URL of the database; see `settings_of`."""
    settings = settings_of(parsed)
    return str(parsed.catalogue_url) if settings is None else settings.catalogue_url


def photo_store_url(parsed: argparse.Namespace) -> str:
    """Return the URL of the photo store; see `settings_of`."""
    if parsed.photo_store is not None:
        return with_absolute_folder(parsed.photo_store)
    settings = settings_of(parsed)
    if settings is None:
        settings = Settings(catalogue_url=parsed.catalogue_url).with_absolute_paths()
    return settings.photo_store


def print_rows(rows: Rows) -> None:
    """Print a table for people."""
    columns, content = rows
    table = Table(*columns, box=None, pad_edge=False)
    for row in content:
        table.add_row(*map(escape, row))
    Console(soft_wrap=True, width=_WIDEST).print(table)


def print_json(content: Any) -> None:
    """Print for scripts."""
    print(json.dumps(content, ensure_ascii=False, default=str))


def add_command(
    commands: Commands, name: str, purpose: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command that is carried out by a function, which returns the exit status."""
    command = commands.add_parser(name, help=purpose, description=purpose)
    command.set_defaults(run=run)
    return command


def add_json(command: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="for scripts")

"""What the commands have in common: options, exit codes, and the token."""

import argparse
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from pipeline.client.asynchronous import DEFAULT_URL, AsyncClient
from pipeline.client.errors import RequestFailedError
from pipeline.client.options import ClientOptions
from pipeline.client.output import shown

ANSWERED, SOME_FAILED, USAGE, NO_SERVER, NOT_WRITTEN, INTERRUPTED = 0, 1, 2, 3, 4, 130

TOKEN_VARIABLE = "WHALE_VISION_TOKEN"

EXIT_CODES = f"""exit codes:
  {ANSWERED}    every photo was answered; the catalogue was shown or changed
  {SOME_FAILED}    some photos failed; they are listed with why. Or the catalogue's change or list was refused
  {USAGE}    wrong arguments, no photos found, or a folder that cannot be enrolled as it is
  {NO_SERVER}    the server cannot be reached, refuses this client or was lost; what was answered before is still shown
  {NOT_WRITTEN}    the result could not be written to the file
  {INTERRUPTED}  interrupted (Ctrl-C); the request is cancelled on the server

The token, where the server wants one, is read from --token-file or the variable {TOKEN_VARIABLE}."""


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where commands are added."""


class UsageError(Exception):
    """The arguments make no sense together with what is on this machine."""


def add_command(commands: Commands, name: str, purpose: str, run: Callable[..., object]) -> argparse.ArgumentParser:
    """Add a command with the options of all of them; `run` carries it out."""
    command = commands.add_parser(
        name,
        help=purpose,
        description=purpose,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--server", default=DEFAULT_URL, metavar="URL", help=f"default: {DEFAULT_URL}")
    command.add_argument("--token-file", type=Path, metavar="FILE", help="file that holds the bearer token")
    command.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="for a server that is still starting (default: 10)"
    )
    return command


async def ask_server(parsed: argparse.Namespace, err: Console, ask: Callable[[AsyncClient], Awaitable[None]]) -> int:
    """Ask the server that the arguments name, and return the exit code; what it refuses is said."""
    options = replace(ClientOptions(), connect_s=parsed.wait)
    async with AsyncClient(parsed.server, read_token(parsed.token_file), options) as client:
        try:
            await ask(client)
        except RequestFailedError as error:
            err.print(shown(f"refused ({error.code}): {error.message}"), soft_wrap=True)
            return SOME_FAILED
    return ANSWERED


def at_least_one(text: str) -> int:
    """Read a number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return number


def read_token(file: Path | None) -> str | None:
    """Return the token of the file, or else of the environment; None where neither is given.

    Raises:
        UsageError: the file cannot be read, or what is given is not one token.
    """
    if file is None and not os.environ.get(TOKEN_VARIABLE):
        return None
    source = TOKEN_VARIABLE if file is None else f"--token-file {file}"
    try:
        token = (os.environ[TOKEN_VARIABLE] if file is None else file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{source}: cannot be read ({error})") from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{source}: does not hold one token")
    return token

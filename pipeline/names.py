"""Names as people and disks have them: of photos in messages, of individuals, of files and folders."""

import os
import unicodedata

from pipeline.errors import BadIdentityError
from pipeline.records import UNKNOWN

MAX_SHOWN_CHARS = 300
"""Longest name of a photo in a message."""

MAX_IDENTITY_CHARS = 200
"""Longest name of an individual."""

MAX_FILE_NAME_BYTES = 255

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"}
)


def shown_name(name: str) -> str:
    """Return a name fit for a message: one line, valid Unicode, at most `MAX_SHOWN_CHARS` characters.

    Control characters and lone surrogates (which no UTF-8 message can carry) become "?"; of a longer name the middle is
    left out, so that the folder and the file name stay readable. An empty name is shown as "(no name)".
    """
    if len(name) > MAX_SHOWN_CHARS:
        half = (MAX_SHOWN_CHARS - 3) // 2
        name = f"{name[:half]}...{name[-half:]}"
    return "".join("?" if is_unprintable(character) else character for character in name) or "(no name)"


def is_unprintable(character: str) -> bool:
    """Tell whether a character is a control character, a line or paragraph separator or a lone surrogate."""
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def normalise_identity(name: str) -> str:
    """Return the name of an individual as `normalise_name` does.

    Raises:
        BadIdentityError: also where it is "Unknown" (in any case), which stands for no individual.
    """
    normal = normalise_name(name)
    if normal.casefold() == UNKNOWN.casefold():
        raise BadIdentityError(
            f'the identity "{UNKNOWN}" is reserved for photos of no known individual: choose another'
        )
    return normal


def normalise_name(name: str) -> str:
    """Return a name in Unicode's composed form (NFC) without surrounding white space.

    Raises:
        BadIdentityError: the name is empty, longer than `MAX_IDENTITY_CHARS`, or holds a control character.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not normal:
        raise BadIdentityError("the identity is empty: give the individual a name")
    if len(normal) > MAX_IDENTITY_CHARS:
        raise BadIdentityError(
            f'the identity "{shown_name(normal)}" is longer than {MAX_IDENTITY_CHARS} characters: shorten it'
        )
    if any(is_unprintable(character) for character in normal):
        raise BadIdentityError(f'the identity "{shown_name(normal)}" holds a control character: remove it')
    return normal


def why_unsafe(name: str) -> str | None:
    """Say why a name cannot be that of one file or folder, or None where it can.

    Args:
        name: one component, never a path.

    Returns:
        The end of a sentence that begins with the name, or None.
    """
    if not name:
        return "is empty"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(is_unprintable(character) for character in name):
        return "holds a control character"
    if name[-1] in ". ":
        return "ends in a dot or a space"
    if name.split(".", maxsplit=1)[0].rstrip(" ").upper() in _DEVICES:
        return "is the name of a device on Windows"
    if len(os.fsencode(name)) > MAX_FILE_NAME_BYTES:
        return "is too long"
    return None

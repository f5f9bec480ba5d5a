"""Which names can be one file or folder on any disk: export folders live on ext4, NTFS and exFAT alike."""

import os

from pipeline.photo_names import is_unprintable

MAX_NAME_BYTES = 255

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"}
)


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
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        return "is too long"
    return None

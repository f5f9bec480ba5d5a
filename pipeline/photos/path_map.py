"""A client's paths as the server sees them: `C:\\Photos\\a.jpg` of the desktop app is `/mnt/c/Photos/a.jpg` in WSL2."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_LONG_PATH_PREFIX = re.compile(r"\\\\\?\\(UNC\\)?", re.IGNORECASE)


class PathMap:
    """Client path prefix -> server path prefix.

    The longest prefix wins, and a prefix ends where a folder's name ends (`C:\\Photos` is no prefix of `C:\\Photos2`).
    Windows prefixes match in any case and with either separator, as Windows itself does; others match exactly.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        """Take the prefixes of serve_config.yaml's `path_map`."""
        self._targets = {_key(prefix): target for prefix, target in prefixes.items()}
        self._most_parts = max((len(key) - 1 for key in self._targets), default=0)

    def server_path(self, path: str) -> str:
        """Return the path on the server, which is the client's own where no prefix matches."""
        windows, *folded = _key(path)
        parts = _parts(path)
        for length in range(min(len(parts), self._most_parts), 0, -1):
            target = self._targets.get((windows, *folded[:length]))
            if target is not None:
                return str(PurePosixPath(target, *parts[length:]))
        return path


def is_windows_path(path: str) -> bool:
    """Tell whether a path is an absolute one of Windows: a drive letter or a network share."""
    return _WINDOWS.match(path) is not None


def _key(path: str) -> tuple[str, ...]:
    """Return what is compared: the kind of path, then its parts, in one case for Windows."""
    parts = _parts(path)
    return ("windows", *(part.casefold() for part in parts)) if is_windows_path(path) else ("posix", *parts)


def _parts(path: str) -> list[str]:
    """Split a path; the first part is the drive, or empty for an absolute path or a network share."""
    if is_windows_path(path):
        shortened = _LONG_PATH_PREFIX.sub(lambda match: r"\\" if match[1] else "", path, count=1)
        parts = re.split(r"[\\/]+", shortened)
    else:
        parts = re.split("/+", path)
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts

"""Files that are whole or not there."""

from pathlib import Path


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file such that a reader never sees half of it, and a killed writer never leaves half of it.

    Args:
        file: to write or replace; its folder is made.
        content: all of it.

    Raises:
        OSError: the disk or the folder refuses; what was there before is unchanged.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)

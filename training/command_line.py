"""What this package's command lines share: errors as an exit status, numbers as arguments."""

import argparse
import logging
import sys
from collections.abc import Callable

from pipeline.errors import WhaleVisionError
from training.errors import CollapsedError

COLLAPSED = 3
"""Exit status of a training that was stopped because its embeddings had become the same."""


def exit_status(action: Callable[[], int | None]) -> int:
    """Do what a command is there for, with the log on stderr.

    Args:
        action: returns an exit status, or None for 0.

    Returns:
        The exit status: the action's, or 1 with the reason on stderr where it cannot be done; 3 where a run has
        collapsed, which a script may want to tell from a mistake in its command.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return action() or 0
    except (WhaleVisionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return COLLAPSED if isinstance(error, CollapsedError) else 1


def positive(text: str) -> int:
    """Parse a number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def count(text: str) -> int:
    """Parse a number from zero."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value

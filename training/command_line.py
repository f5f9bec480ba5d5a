"""What this package's command lines share: errors as an exit status, numbers as arguments."""

import argparse
import logging
import sys
from collections.abc import Callable

from pipeline.errors import WhaleVisionError


def exit_status(action: Callable[[], int | None]) -> int:
    """Do what a command is there for, with the log on stderr.

    Args:
        action: returns an exit status, or None for 0.

    Returns:
        The exit status: the action's, or 1 with the reason on stderr where it cannot be done.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return action() or 0
    except (WhaleVisionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


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

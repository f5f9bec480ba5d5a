"""One result or one failure for each item of a batch, whatever the others are."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from pipeline.errors import ItemError, WhaleVisionError
from pipeline.records import Failure, UInt8Array

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Forward = Callable[[list[UInt8Array]], Sequence[Answer]]


def answer_each(
    pictures: Sequence[UInt8Array], side_px: int, chunk: int, forward: Forward[Answer]
) -> list[Answer | Failure]:
    """Run a network over the good pictures of a batch; a bad one gets its own failure and never fails the others.

    A chunk that fails as a whole (memory, one poisonous picture) is run again one picture at a time.

    Args:
        pictures: each should be (side_px, side_px, 3) uint8.
        side_px: side of the network's input.
        chunk: how many pictures one forward pass takes.
        forward: one answer for each picture, in order; may raise.

    Returns:
        An answer or a failure for each picture, in order.
    """
    answers: list[Answer | Failure | None] = [picture_failure(picture, side_px) for picture in pictures]
    good = [index for index, failure in enumerate(answers) if failure is None]
    for indexes in _chunks(good, chunk):
        for index, answer in zip(indexes, _run([pictures[i] for i in indexes], forward), strict=True):
            answers[index] = answer
    return [answer for answer in answers if answer is not None]


def picture_failure(picture: object, side_px: int) -> Failure | None:
    """Say what is wrong with a picture, or None where it fits the network's input."""
    if not isinstance(picture, np.ndarray):
        return Failure(ItemError.code, f"expected an array of pixels, got {type(picture).__name__}")
    if picture.dtype != np.uint8 or picture.shape != (side_px, side_px, 3):
        expected = f"({side_px}, {side_px}, 3) uint8"
        return Failure(ItemError.code, f"expected {expected} pixels, got {picture.shape} {picture.dtype}")
    return None


def _run(pictures: list[UInt8Array], forward: Forward[Answer]) -> list[Answer | Failure]:
    try:
        return list(forward(pictures))
    except Exception as error:  # noqa: BLE001 - the boundary around batch items
        if len(pictures) > 1:
            _log.warning("a batch of %s failed (%s); running its items one by one", len(pictures), type(error).__name__)
            return [answer for picture in pictures for answer in _run([picture], forward)]
        _log.exception("one item failed in the network")
        return [_failure(error)]


def _failure(error: Exception) -> Failure:
    if isinstance(error, WhaleVisionError):
        return Failure.of(error)
    return Failure(ItemError.code, f"the network failed on this picture ({type(error).__name__}); try again")


def _chunks(indexes: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(indexes), size):
        yield indexes[start : start + size]

"""Embeddings and texts as the catalogue keeps them."""

import hashlib

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
"""(d,) float64, so that the digits of a CSV and the float32 of a network both survive."""

Numbers = npt.NDArray[np.int64]
"""(n,) int64: numbers of annotations, columns of an index."""

MAX_KEY_BYTES = 1024
"""Of a photo's key, in UTF-8; PostgreSQL indexes no more than 2704 bytes a row."""

LENGTH_TOLERANCE = 1e-3
"""How far the length of a confirmed embedding may be from 1: float32 and rounded decimals cost less."""

_LARGEST = float(np.finfo(np.float32).max)


def embedding_problem(values: npt.NDArray[np.floating], dimension: int) -> str | None:
    """Return what is wrong with an embedding, as the end of a sentence about it; None where nothing is.

    Args:
        values: any shape.
        dimension: the length that it must have.
    """
    if values.ndim != 1:
        return f"is not a list of {dimension} numbers"
    if len(values) != dimension:
        return f"has {len(values)} numbers, not {dimension}"
    if not np.isfinite(values).all():
        return "holds a number that is not finite"
    if np.abs(values).max(initial=0.0) > _LARGEST:
        return "holds a number beyond the range of float32"  # its distance to anything would overflow
    return None


def length_problem(values: npt.NDArray[np.floating]) -> str | None:
    """Return what is wrong with the length of a model's embedding, as the end of a sentence; None where nothing is.

    Every model's last layer is L2 normalisation (`pipeline.networks.architectures`); a longer vector would outweigh an
    individual's other photos in their mean.

    Args:
        values: (d,), of `embedding_problem`.
    """
    length = float(np.linalg.norm(values.astype(np.float64)))
    return (
        None if abs(length - 1.0) <= LENGTH_TOLERANCE else f"has length {length:.4g}, where every model's has length 1"
    )


def pack_vector(values: Vector) -> bytes:
    """Return the embedding's bytes: little-endian float64, whatever the machine."""
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def unpack_vector(content: bytes) -> Vector:
    """Return the embedding of `pack_vector`'s bytes, (d,) float64, read-only."""
    return np.frombuffer(content, dtype="<f8").astype(np.float64, copy=False)


def storable_text(text: str) -> str:
    """Return text that every database takes: lone surrogates and NUL, which a path may hold, are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def storable_key(photo: str) -> str:
    """Return the text that stands for a photo in every database: storable, and a hash where a path is very long."""
    key = storable_text(photo).encode()
    return key.decode() if len(key) <= MAX_KEY_BYTES else f"long:{hashlib.sha256(key).hexdigest()}"

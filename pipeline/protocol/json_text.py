"""JSON text from a stranger into plain values, and back; nothing that a stranger can write makes it crash."""

import json

from pipeline.errors import MalformedMessageError

MAX_TEXT_BYTES = 16 * 2**20
"""Longest text message, in bytes of UTF-8; the server's own limit on WebSocket messages is the same."""

MAX_VALUES = 4_000_000
"""Commas of a message, about its values: three times those of the longest `identify`, and half a second of parsing."""

MAX_CONTAINERS = 100_000
"""Opening brackets and braces of a message, each: an object or list takes far more memory than its two characters."""

_EXACT_DIGITS = 18
"""Integers of so many digits fit 64 bits; longer ones are read as floats (Python refuses to parse 4,301 digits)."""


def size_in_bytes(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def exceeds_limit(text: str) -> bool:
    """Tell whether a text message is longer than `MAX_TEXT_BYTES`."""
    if len(text) * 4 <= MAX_TEXT_BYTES:
        return False
    return len(text) > MAX_TEXT_BYTES or size_in_bytes(text) > MAX_TEXT_BYTES


def decode_object(text: str) -> dict[str, object]:
    """Read a JSON object.

    Where a name stands twice the last one counts, as in JavaScript. `NaN` and `Infinity`, which are not JSON but which
    many writers produce, are read as floats, so that they spoil the item they are in and not the whole request.

    Raises:
        MalformedMessageError: too long, too many values, not JSON, nested too deeply, or not an object.
    """
    if exceeds_limit(text):
        raise MalformedMessageError(f"the message is longer than {MAX_TEXT_BYTES} bytes; split the request")
    if text.count(",") > MAX_VALUES or max(text.count("["), text.count("{")) > MAX_CONTAINERS:
        raise MalformedMessageError("the message has more values than any request needs; split it")
    try:
        value = json.loads(text, parse_int=_read_integer)
    except RecursionError as error:
        raise MalformedMessageError("the message is nested too deeply") from error
    except ValueError as error:
        raise MalformedMessageError(f"the message is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedMessageError("the message must be a JSON object with a type")
    return value


def encode(value: object) -> str:
    """Write compact ASCII JSON: any string, lone surrogates included, reads back character for character."""
    return json.dumps(value, separators=(",", ":"))


def sendable(text: str) -> str:
    """Escape what UTF-8 cannot carry (lone surrogates), so that any file name can be sent in a line of text."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _EXACT_DIGITS else float(digits)

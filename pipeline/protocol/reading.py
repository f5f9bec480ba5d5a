"""Reads the text of a client's message into a request; what is wrong is named.

The names and types of fields are those of `pipeline.protocol.requests`, and so are the words of an error about one.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import MalformedMessageError, TooManyPhotosError, UnknownTypeError
from pipeline.protocol.base import MAX_ID_CHARACTERS, BaseMessage, require_id
from pipeline.protocol.json_text import encode
from pipeline.protocol.requests import MESSAGES, Message, fields_of

_SHOWN_CHARACTERS = 40


def read_id(fields: Mapping[str, object]) -> str | None:
    """Return the message's `id`, None where it has none.

    Raises:
        MalformedMessageError: there is one, and it cannot be used.
    """
    if "id" not in fields:
        return None
    value = fields["id"]
    if not isinstance(value, str) or len(value) > MAX_ID_CHARACTERS:
        raise MalformedMessageError(f"id: must be a string of at most {MAX_ID_CHARACTERS} characters")
    return value


def read_message(fields: Mapping[str, object], request_id: str | None, max_elements: int | None = None) -> Message:
    """Read the fields of one message.

    Args:
        fields: the JSON object.
        request_id: what `read_id` made of it.
        max_elements: bound on each list, looked at before any element is; None for none.

    Raises:
        MalformedMessageError: a field is missing or wrong; names the field.
        UnknownTypeError: `type` is not one the server knows.
        TooManyPhotosError: a list is longer than `max_elements`.
    """
    kind = _kind_of(fields)
    known = fields_of(kind)
    if request_id is None:
        if kind.model_fields["id"].is_required():
            require_id(str(fields["type"]), None)
        fields = {name: value for name, value in fields.items() if name == "type" or name in known}
    else:
        _refuse_unknown(fields, known)
    _bound_lists(fields, max_elements)
    given = {name: value for name, value in fields.items() if value is not None}
    missing = {name: None for name in known if kind.model_fields[_python_name(kind, name)].is_required()}
    try:
        return kind.model_validate(missing | given)
    except ValidationError as error:
        raise _wrong_field(kind, error.errors()[0]) from error


def _kind_of(fields: Mapping[str, object]) -> type[Message]:
    name = fields.get("type")
    if not isinstance(name, str):
        raise MalformedMessageError("type: must be a string")
    kind = MESSAGES.get(name)
    if kind is None:
        shown = encode(name[:_SHOWN_CHARACTERS])
        raise UnknownTypeError(f"type: {shown} is not known; the server knows {', '.join(MESSAGES)}")
    return kind


def _refuse_unknown(fields: Mapping[str, object], known: tuple[str, ...]) -> None:
    unknown = [name for name in fields if name not in known and name not in ("type", "id")]
    if unknown:
        shown = encode(unknown[0][:_SHOWN_CHARACTERS])
        raise MalformedMessageError(f"{shown}: is not a field of this message; it may have {', '.join(sorted(known))}")


def _bound_lists(fields: Mapping[str, object], max_elements: int | None) -> None:
    for value in fields.values():
        if max_elements is not None and isinstance(value, list) and len(value) > max_elements:
            raise TooManyPhotosError(
                f"the request has {len(value)} items; at most {max_elements} are accepted, split it"
            )


@cache
def _python_name(kind: type[BaseMessage], name: str) -> str:
    return next(python for python, field in kind.model_fields.items() if (field.alias or python) == name)


def _wrong_field(kind: type[BaseMessage], error: ErrorDetails) -> MalformedMessageError:
    """Say what a field, which may lie in a list or an object, must be, in the words of its description."""
    first, *inner = error["loc"]
    name = str(first) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inner)
    if error["type"] == "extra_forbidden":
        return MalformedMessageError(f"{encode(name)}: there is no such field")
    return MalformedMessageError(f"{name}: must be {_expected(_schema_at(kind, error['loc']))}")


def _schema_at(kind: type[BaseMessage], place: Sequence[int | str]) -> Mapping[str, Any]:
    """Return the JSON Schema of one field; of one that may be left out, without the null."""
    whole = _schema(kind)
    schema: Mapping[str, Any] = whole
    for step in place:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
        schema = next((member for member in schema.get("anyOf", ()) if member.get("type") != "null"), schema)
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


@cache
def _schema(kind: type[BaseMessage]) -> dict[str, Any]:
    return kind.model_json_schema(by_alias=True)


def _expected(schema: Mapping[str, Any]) -> str:
    """Put a field's description into words."""
    match schema:
        case {"enum": values}:
            return " or ".join(encode(value) for value in values)
        case {"type": "array", "minItems": least, "maxItems": most}:
            return f"a list of {least} to {most}"
        case {"type": "array", "minItems": 1}:
            return "a list of at least one"
        case {"type": "array"}:
            return "a list"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"an integer from {least} to {most}"
        case {"type": "integer", "minimum": least}:
            return f"an integer of {least} or more"
        case {"type": "number", "minimum": least, "maximum": most}:
            return f"a number from {least:g} to {most:g}"
        case {"type": "number", "exclusiveMinimum": least}:
            return f"a number above {least:g}"
        case {"type": "number"}:
            return "a number"
        case {"type": "object"}:
            return "an object"
        case {"type": "string", "maxLength": most}:
            return f"a string of {schema.get('minLength', 0)} to {most} characters"
        case {"type": "string", "description": words}:
            return str(words)
        case _:
            return f"of type {schema.get('type')}"

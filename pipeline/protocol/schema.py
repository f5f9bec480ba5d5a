"""JSON Schema of every message, for clients in any language.

python -m pipeline.protocol.schema > docs/protocol.schema.json
"""

import json
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from pipeline.protocol.base import Request
from pipeline.protocol.requests import MESSAGES, Message
from pipeline.protocol.server_messages import ServerMessage


def protocol_schema() -> dict[str, Any]:
    """Return the schema; `ClientMessage` and `ServerMessage` are in its `$defs`."""
    client: TypeAdapter[Any] = TypeAdapter(Annotated[Message, Field(discriminator="type")])
    server: TypeAdapter[Any] = TypeAdapter(ServerMessage, config=ConfigDict(extra="forbid"))
    definitions = _definitions("ClientMessage", client) | _definitions("ServerMessage", server)
    for name, kind in MESSAGES.items():
        _allow_null(definitions[kind.__name__])
        if issubclass(kind, Request) and kind.reply is not None:
            definitions |= _definitions(f"{kind.__name__}Reply", TypeAdapter(kind.reply))
            definitions["ServerMessage"]["anyOf"].append(_answer(name, kind))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of the Whale Vision identifier",
        "description": "docs/protocol.md says what they mean.",
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """Return the contents of docs/protocol.schema.json."""
    return json.dumps(protocol_schema(), indent=1, ensure_ascii=False) + "\n"


def _definitions(name: str, adapter: TypeAdapter[Any]) -> dict[str, Any]:
    described = adapter.json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = described.pop("$defs", {})
    return {**definitions, name: described}


def _answer(name: str, kind: type[Request]) -> dict[str, Any]:
    """Describe the message that answers a request without elements."""
    properties = {"type": {"const": name}, "id": {"type": "string"}, "data": {"$ref": f"#/$defs/{kind.__name__}Reply"}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _allow_null(message: dict[str, Any]) -> None:
    """An optional field of a request may be null, which counts as absent; `id` may not."""
    for name, field in message["properties"].items():
        for member in field.pop("anyOf", ()):
            field |= member if member.get("type") != "null" else {}
        field.pop("default", None)
        if name != "id" and name not in message["required"]:
            described = dict(field)
            field.clear()
            field["anyOf"] = [described, {"type": "null"}]


if __name__ == "__main__":
    print(schema_text(), end="")

"""What the messages of clients have in common."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, WithJsonSchema

from pipeline.errors import MalformedMessageError

MAX_ID_CHARACTERS = 256
"""Longest `id`; it is repeated in every answer."""

RequestId = Annotated[str, SkipValidation(), WithJsonSchema({"type": "string", "maxLength": MAX_ID_CHARACTERS})]
"""Checked by `read_id`: pydantic refuses lone surrogates, which an id may have."""

Key = Annotated[str, Field(min_length=1, max_length=128)]
"""The client's name for what it says, so that saying it again changes nothing."""


CatalogueName = Annotated[str, Field(max_length=200)]


class BaseMessage(BaseModel):
    """What every message of a client has.

    Attributes:
        type: which message it is; a literal of each class.
        id: the client's name for the request; None for a classic one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    type: str
    id: RequestId | None = None


class Request(BaseMessage):
    """A message that runs, and ends with `complete` or `error`.

    Attributes:
        reply: for a request without elements, the type of its answer's `data`.
    """

    reply: ClassVar[Any] = None


class ListRequest(Request):
    """A request about a list of elements, each of which has its own outcome."""

    @property
    def streams(self) -> bool:
        """Whether each entry is sent by itself."""
        return False


def require_id(name: str, request_id: str | None) -> None:
    """Refuse a message, or a field of it, that needs an `id` and has none.

    Raises:
        MalformedMessageError: it has none.
    """
    if request_id is None:
        raise MalformedMessageError(f"id: {name} needs one")

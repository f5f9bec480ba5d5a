"""The entries of a running request's answer, streamed or in one list."""

from collections.abc import AsyncGenerator

from pipeline.client.errors import BadAnswerError
from pipeline.client.link import Channel
from pipeline.client.progress import ProgressReport
from pipeline.client.results import JsonObject

_ACK_EVERY = 64
"""Items taken before they are acknowledged while more are waiting; the server pauses at 256."""


async def entries(
    channel: Channel, progress: ProgressReport, silence_s: float, places: list[int]
) -> AsyncGenerator[tuple[int, JsonObject]]:
    """Yield the entries of a request until it is complete, acknowledging those that are streamed.

    Args:
        channel: the request.
        progress: told what the server says about it.
        silence_s: see `Channel.receive`.
        places: the call's index of each item of the request.

    Yields:
        The call's index of the item, and the entry.

    Raises:
        BadAnswerError: an entry is about no item of the request.
        LinkLostError, RequestFailedError, ConnectionRejectedError: see `Channel.receive`.
    """
    unacknowledged = 0
    while (message := await channel.receive(silence_s)).get("type") != "complete":
        progress.relay(message)
        if "item" in message:
            unacknowledged += 1
            if channel.empty or unacknowledged >= _ACK_EVERY:
                await channel.send("ack", items=unacknowledged)
                unacknowledged = 0
            yield _place(message["item"], -1, places)
        else:
            for position, entry in enumerate(message.get("data") or ()):
                yield _place(entry, position, places)


def _place(entry: JsonObject, position: int, places: list[int]) -> tuple[int, JsonObject]:
    try:
        place: int = entry.get("index", position)
        if not 0 <= place < len(places):
            raise IndexError(place)
        return places[place], entry
    except (AttributeError, IndexError, TypeError) as error:
        raise BadAnswerError("the server answered about an item that was not asked for") from error

"""What a client may be tuned in; the defaults fit a server with default limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Limits of one client, and how long it goes on trying.

    Attributes:
        connect_s: how long to go on trying to reach a server that has not answered yet.
        reconnect_s: how long to go on trying, without a single answer, once the connection was lost.
        silence_s: a request of which nothing is heard for so long counts as lost with its connection.
        attempts: how often a photo is asked for in all while its outcome is `unavailable`, or `cancelled` by a server
            that stops.
        first_delay_s: pause before the second try of anything; doubles up to `longest_delay_s`.
        longest_delay_s: longest pause between two tries.
        max_message_bytes: a request whose text would be longer is split (the server takes 16 MiB).
        max_photos: a request of more photos or items is split (the server's `max_photos_per_request`).
        chunk_bytes: length of one binary message of an upload (the server takes 1 MiB).
        window_bytes: how much may be sent that the server has not taken in yet (the server allows 16 MiB; half of that
            loses no speed and keeps its memory low).
    """

    connect_s: float = 10.0
    reconnect_s: float = 120.0
    silence_s: float = 600.0
    attempts: int = 3
    first_delay_s: float = 0.25
    longest_delay_s: float = 5.0
    max_message_bytes: int = 16 * 2**20
    max_photos: int = 10_000
    chunk_bytes: int = 2**20
    window_bytes: int = 8 * 2**20

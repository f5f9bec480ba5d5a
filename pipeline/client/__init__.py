"""The Python client: `AsyncClient`, and `Client` for programs without asyncio; needs neither torch nor Ray."""

from pipeline.client.asynchronous import AsyncClient
from pipeline.client.errors import (
    AccessDeniedError,
    BadAnswerError,
    ClientClosedError,
    ClientError,
    ConnectionRejectedError,
    RequestFailedError,
    ServerUnreachableError,
)
from pipeline.client.filters import Around, Box, Filters
from pipeline.client.options import ClientOptions
from pipeline.client.photos import FoundPhotos, find_photos
from pipeline.client.results import (
    Candidate,
    Identification,
    ItemFailure,
    PhotoResult,
    Progress,
    Query,
    Reference,
    SavedPhoto,
    as_query,
    confirmed,
)
from pipeline.client.synchronous import Client

__all__ = [
    "AccessDeniedError",
    "Around",
    "AsyncClient",
    "BadAnswerError",
    "Box",
    "Candidate",
    "Client",
    "ClientClosedError",
    "ClientError",
    "ClientOptions",
    "ConnectionRejectedError",
    "Filters",
    "FoundPhotos",
    "Identification",
    "ItemFailure",
    "PhotoResult",
    "Progress",
    "Query",
    "Reference",
    "RequestFailedError",
    "SavedPhoto",
    "ServerUnreachableError",
    "as_query",
    "confirmed",
    "find_photos",
]

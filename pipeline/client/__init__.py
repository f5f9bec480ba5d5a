"""The Python client: `AsyncClient`, and `Client` for programs without asyncio; needs neither torch nor Ray."""

from pipeline.client.asynchronous import AsyncClient
from pipeline.client.catalogue import AsyncCatalogue, Catalogue
from pipeline.client.catalogue_results import (
    Actor,
    Annotation,
    Changed,
    Encounter,
    Event,
    Head,
    Individual,
    IndividualDetail,
    News,
    Page,
)
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
from pipeline.client.listing import AsyncListing, Listing
from pipeline.client.options import ClientOptions
from pipeline.client.photos import FoundPhotos, find_photos
from pipeline.client.proposals import Clocks, ProposedEncounter, ProposedSighting, Undated
from pipeline.client.results import (
    Candidate,
    DrawnBox,
    Identification,
    ItemFailure,
    PhotoResult,
    Progress,
    Query,
    Reference,
    SavedPhoto,
    StoredPhoto,
    UploadedPhoto,
    as_query,
    confirmed,
)
from pipeline.client.rights import CatalogueEntry, InstitutionGrant, Member, Members
from pipeline.client.synchronous import Client

__all__ = [
    "AccessDeniedError",
    "Actor",
    "Annotation",
    "Around",
    "AsyncCatalogue",
    "AsyncClient",
    "AsyncListing",
    "BadAnswerError",
    "Box",
    "Candidate",
    "Catalogue",
    "CatalogueEntry",
    "Changed",
    "Client",
    "ClientClosedError",
    "ClientError",
    "ClientOptions",
    "Clocks",
    "ConnectionRejectedError",
    "DrawnBox",
    "Encounter",
    "Event",
    "Filters",
    "FoundPhotos",
    "Head",
    "Identification",
    "Individual",
    "IndividualDetail",
    "InstitutionGrant",
    "ItemFailure",
    "Listing",
    "Member",
    "Members",
    "News",
    "Page",
    "PhotoResult",
    "Progress",
    "ProposedEncounter",
    "ProposedSighting",
    "Query",
    "Reference",
    "RequestFailedError",
    "SavedPhoto",
    "ServerUnreachableError",
    "StoredPhoto",
    "Undated",
    "UploadedPhoto",
    "as_query",
    "confirmed",
    "find_photos",
]

"""Requests about sightings that the service proposes; people make them with `move`."""

from typing import Any, ClassVar, Literal

from pipeline.protocol.catalogue_replies import ProposalsReply
from pipeline.protocol.catalogue_requests import Gap, Numbers, PageRequest


class ProposeSightings(PageRequest):
    """Propose sightings of photos, and encounters in them, and change nothing.

    Attributes:
        annotations: of the photos; None means all that are in no encounter.
        gap_min: the longest gap between two photos of a sighting, in minutes; None means the catalogue's own.
    """

    reply: ClassVar[Any] = ProposalsReply

    type: Literal["propose_sightings"]
    annotations: Numbers | None = None
    gap_min: Gap | None = None

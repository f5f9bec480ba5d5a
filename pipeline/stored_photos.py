"""Records of the photos in the store: what is known of one, what is made of it, and where it is asked for."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.records import BoundingBox


@dataclass(frozen=True, slots=True)
class Taken:
    """When and where a photo was taken, as its camera wrote it (EXIF); what it did not write is None.

    Attributes:
        at: local time, without a zone.
        utc_offset_min: minutes by which local time was ahead of UTC.
        latitude: degrees north (WGS 84), -90 to 90.
        longitude: degrees east, -180 to 180.
        camera: what it calls itself: make, model and serial number, as far as it wrote them.
    """

    at: datetime | None = None
    utc_offset_min: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera: str | None = None


NOT_TOLD = Taken()
"""Of a photo whose file says neither when nor where nor by what."""


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What decoding a photo tells of it.

    Attributes:
        size_px: width and height of the upright photo.
        taken: when and where.
    """

    size_px: tuple[int, int]
    taken: Taken


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo that a catalogue has.

    Attributes:
        sha256: of its file, hex; its name in the store.
        size_bytes: of its file.
        facts: what decoding it tells.
        name: of the file at whoever sent it; for people, never used as a path.
    """

    sha256: str
    size_bytes: int
    facts: PhotoFacts
    name: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What is made of a photo: the whole of it or a box, made smaller, upright JPEG without metadata.

    Attributes:
        width_px: longest width; a picture is never enlarged.
        box_px: in pixels of the upright photo; None for all of it.
        pad: share of the box's width (height) that is added on the left and right (top and bottom).
    """

    width_px: int
    box_px: BoundingBox | None = None
    pad: float = 0.0

    @property
    def kind(self) -> str:
        """What tells it from other pictures of the same photo; part of a file's name."""
        if self.box_px is None:
            return f"w{self.width_px}.jpg"
        edges = "-".join(f"{edge:.0f}" for edge in self.box_px.xyxy())
        return f"b{edges}-p{100 * self.pad:.0f}-w{self.width_px}.jpg"


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box that a person drew, to be embedded as it is.

    Attributes:
        box_px: in pixels of the upright photo.
        body_part: name from models.yaml.
        animal: which animal of the photo it is.
    """

    box_px: BoundingBox
    body_part: str
    animal: int


@dataclass(frozen=True, slots=True)
class StoreSource:
    """A photo of the store, as an extract request names it.

    Attributes:
        sha256: of its file, hex.
        catalogue: whose it is, by name; None means the client's default one.
        boxes: what to embed; None has the detector find it.
    """

    sha256: str
    catalogue: str | None
    boxes: tuple[DrawnBox, ...] | None = None

"""Pictures of animals for people to look at: the box as it lies in the photo, not squeezed to the network's square."""

import io

from PIL import Image

from pipeline.photos.images import decode_photo, grow
from training.evaluation.embedded import EmbeddedPhoto

_SIDE_PX = 400  # twice what the report shows, for sharp screens and for print
_QUALITY = 82


def picture(embedded: EmbeddedPhoto) -> bytes:
    """Return a small JPEG of what was cut out, in its true proportions.

    Args:
        embedded: a photo that did not fail.
    """
    assert embedded.box_px is not None  # only failures have none
    photo = decode_photo(embedded.photo.path.read_bytes(), str(embedded.photo.path))
    cut = photo.image.crop(grow(embedded.box_px, photo.size_px).xyxy())
    cut.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    cut.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()

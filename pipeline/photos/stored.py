"""Photos of the store, looked at within the bounds of decoding: what they are, and pictures of them."""

from functools import partial

from pipeline.names import shown_name
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.decoding import Decoder, HeldPhoto, ReadPhoto
from pipeline.settings import Limits
from pipeline.stored_photos import PhotoFacts, Picture

_NO_INPUT_PX = 1  # no detector looks at it


class StoredPhotos:
    """Reads the store and decodes; every method raises ItemError where the photo cannot be read or decoded."""

    def __init__(self, store: PhotoStore, decoder: Decoder, limits: Limits) -> None:
        """Wire the ports.

        Args:
            store: where the photos are.
            decoder: decodes and renders.
            limits: of bytes and pixels.
        """
        self._store = store
        self._decoder = decoder
        self._limits = limits

    def reader(self, sha256: str) -> ReadPhoto:
        """Return what reads a photo's file."""
        return partial(self._store.read, sha256, self._limits.max_photo_bytes)

    async def inspect(self, incoming: str, name: str) -> PhotoFacts:
        """Decode a photo that has come in, in full: what has facts can be extracted later.

        Args:
            incoming: its name on its way (`IncomingPhoto.name`).
            name: its own, for messages; a camera raw's is refused.
        """
        photo = await self._decode(partial(self._store.read_incoming, incoming), name)
        try:
            return PhotoFacts(photo.size_px, photo.taken)
        finally:
            photo.close()

    async def render(self, sha256: str, picture: Picture) -> bytes:
        """Return a picture of a photo, a JPEG."""
        photo = await self._decode(self.reader(sha256), shown_name(sha256))
        try:
            return await photo.render(picture)
        finally:
            photo.close()

    async def _decode(self, read: ReadPhoto, name: str) -> HeldPhoto:
        return await self._decoder.decode(read, name, _NO_INPUT_PX, self._limits.max_photo_pixels)

"""The way of one photo: decode -> segment -> crop -> embed, over ports that know nothing of Ray."""

from typing import Protocol

from pipeline.records import Detections, Embedding, UInt8Array


class Segmenter(Protocol):
    """Finds the body parts in a photo."""

    async def segment(self, pixels: UInt8Array) -> Detections:
        """Detect.

        Args:
            pixels: (224, 224, 3) uint8 RGB, the whole photo squashed to the detector's input.

        Raises:
            UnavailableError: no answer in time.
        """
        ...


class Embedder(Protocol):
    """Turns the crop of one body part into an embedding."""

    async def embed(self, crop: UInt8Array) -> Embedding:
        """Embed.

        Args:
            crop: (224, 224, 3) uint8 RGB.

        Raises:
            UnavailableError: no answer in time.
        """
        ...

"""Small photos whose pixels stub networks answer about."""

from pathlib import Path

import numpy as np
from PIL import Image

DARK, BRIGHT = (0, 100), (156, 256)
"""Ranges of grey values that make a stub detector answer its first or its last body part."""


def write_photos(
    folder: Path, count: int, greys: tuple[int, int] = DARK, padding_bytes: int = 0, seed: int = 0
) -> list[Path]:
    """Write noise photos, each with bytes of its own; padded after the picture's end, where decoders do not look.

    The same count, greys and seed give the same photos; another seed none of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo-{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng([seed, number]).integers(*greys, size=(48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        with path.open("ab") as file:
            file.write(bytes(padding_bytes))
    return paths

"""A picture of what a detector finds in photos, side by side: to see how far it goes beyond its training.

    python -m benchmarks.detector_picture --models models/demo --out boxes.jpg photo1.jpg photo2.jpg

Thick: boxes at or above the shipped threshold. Thin: weaker ones. Overlapping boxes count as one animal, as in the
service; where it is asked for the best box of a photo only, it answers that one whatever its score.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.tables import heading, markdown
from pipeline.model_files import ModelFolder, load_model_folder
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.networks.suppression import suppress
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import Photo, box_in_photo, decode_photo, detector_input
from pipeline.records import Detection, Failure, PathSource
from training.command_line import exit_status, positive
from training.errors import TrainingError

WIDTH_PX = 1200
THICK_PX, THIN_PX = 5, 2
COLOURS = ((255, 214, 10), (255, 110, 180), (120, 230, 120), (255, 150, 60))
"""Of body parts in the detector's order; the first again after the last."""

_GAP_PX = 8
_FONT_PX = 15
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Looked:
    """A photo that the detector has looked at.

    Attributes:
        photo: upright.
        found: boxes in pixels of the photo, best score first, one an animal.
    """

    photo: Photo
    found: tuple[Detection, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, print its boxes as a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--models", type=Path, required=True, help="models folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JPEG to write")
    parser.add_argument("--width", type=positive, default=WIDTH_PX, help=f"of the picture (default: {WIDTH_PX})")
    parser.add_argument("--least", type=float, default=0.3, help="boxes below this score are not shown (default: 0.3)")
    parser.add_argument(
        "--threads", type=int, default=0, help="of the detector; 0 leaves it to the libraries (default)"
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: _make(options))


def _make(options: argparse.Namespace) -> None:
    folder = load_model_folder(options.models)
    looked = look(options.photos, folder, options.least, options.threads)
    threshold, parts = folder.segmenter.score_threshold, folder.segmenter.labels
    picture = draw(looked, threshold, parts, options.width)
    picture.save(options.out, "JPEG", quality=_QUALITY, optimize=True)
    print(heading("detector_picture"))
    print(_table(looked, threshold, options.least))
    size_kb = options.out.stat().st_size / 1000
    print(f"{options.out.name}: {picture.width}x{picture.height} pixels, {size_kb:.0f} kB")


def look(photos: Sequence[Path], folder: ModelFolder, least: float, threads: int = 0) -> list[Looked]:
    """Run the detector on photos, decoded and squashed as in the service.

    Args:
        photos: files.
        folder: the models.
        least: score below which boxes are left out.
        threads: of the detector.

    Raises:
        ItemError: a photo cannot be read.
        TrainingError: the detector cannot answer for a photo.
    """
    files = PhotoFiles()
    decoded = [decode_photo(files.read(PathSource(str(path), local_peer=True)), str(path)) for path in photos]
    network = SegmentationNetwork(folder, threads=threads)
    side_px = folder.segmenter.input_size_px
    looked = []
    for photo in decoded:
        (answer,) = network.detect([detector_input(photo, side_px)])
        if isinstance(answer, Failure):
            raise TrainingError(f"{photo.name}: {answer.message}")
        shown = suppress([one for one in answer.items if one.score >= least], folder.segmenter.suppression_iou)
        boxes = tuple(replace(one, box=box_in_photo(one.box, photo.size_px, side_px)) for one in shown)
        looked.append(Looked(photo, boxes))
    return looked


def draw(looked: Sequence[Looked], threshold: float, parts: Sequence[str], width_px: int = WIDTH_PX) -> Image.Image:
    """Draw photos of one height side by side, each with its boxes.

    Args:
        looked: photos and boxes.
        threshold: boxes from this score on are drawn thick.
        parts: body parts, for the colours.
        width_px: of the whole picture, at most; photos are never enlarged.
    """
    shapes = [one.photo.size_px[0] / one.photo.size_px[1] for one in looked]
    inner_px = width_px - _GAP_PX * (len(looked) - 1)
    height_px = min(int(inner_px / sum(shapes)), *(one.photo.size_px[1] for one in looked))
    tiles = [_tile(one, height_px, threshold, parts) for one in looked]
    picture = Image.new("RGB", (sum(tile.width for tile in tiles) + _GAP_PX * (len(tiles) - 1), height_px), "white")
    left_px = 0
    for tile in tiles:
        picture.paste(tile, (left_px, 0))
        left_px += tile.width + _GAP_PX
    return picture


def _tile(one: Looked, height_px: int, threshold: float, parts: Sequence[str]) -> Image.Image:
    """Shrink a photo, then draw, so that lines are as thick in all photos; the best box is drawn last."""
    scale = height_px / one.photo.size_px[1]
    tile = one.photo.image.resize((int(one.photo.size_px[0] * scale), height_px), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(tile)
    for detection in reversed(one.found):
        colour = COLOURS[parts.index(detection.body_part) % len(COLOURS)]
        edges = tuple(round(edge * scale) for edge in detection.box.xyxy())
        pen.rectangle(edges, outline=colour, width=THICK_PX if detection.score >= threshold else THIN_PX)
        _write(pen, edges, _words(detection), colour, tile.size)
    return tile


def _write(
    pen: ImageDraw.ImageDraw, edges: tuple[int, ...], words: str, colour: tuple[int, int, int], size_px: tuple[int, int]
) -> None:
    """Write above a box, or inside its top where there is no room above, never over the picture's right edge."""
    font = ImageFont.load_default(_FONT_PX)
    _, _, width_px, height_px = pen.textbbox((0, 0), words, font=font)
    x = max(0, min(edges[0], size_px[0] - int(width_px) - 4))
    y = edges[1] - int(height_px) - 4 if edges[1] >= height_px + 4 else edges[1]
    pen.rectangle((x, y, x + int(width_px) + 3, y + int(height_px) + 3), fill=colour)
    pen.text((x + 2, y + 1), words, fill="black", font=font)


def _words(detection: Detection) -> str:
    return f"{detection.body_part} {detection.score:.3f}"


def _table(looked: Sequence[Looked], threshold: float, least: float) -> str:
    rows: list[tuple[object, ...]] = []
    for one in looked:
        name = Path(one.photo.name).name
        rows += [
            (name, found.body_part, f"{found.score:.3f}", "yes" if found.score >= threshold else "no")
            for found in one.found
        ] or [(name, f"nothing above {least:g}", "", "")]
    return markdown(("photo", "body part", "score", f"at or above {threshold:g}"), rows)


if __name__ == "__main__":
    sys.exit(main())

"""The report that a biologist reads: one HTML file with everything in it."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from pipeline.photos.images import decode_photo, grow
from training.evaluation import wording
from training.evaluation.charts import all_charts
from training.evaluation.comparison import MATCHINGS
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.results import ProtocolResult
from training.evaluation.scores import MatchingScores
from training.evaluation.summary import Subject, counts
from training.files import write_atomically

_TEMPLATE = "report.html.jinja"
_CROP_SIDE_PX = 400  # twice what the report shows, for sharp screens and for print
_CROP_QUALITY = 82

ScoreRow = tuple[str, str, MatchingScores]
"""Protocol, method and what it reaches."""


def write_report(file: Path, subject: Subject, results: Mapping[str, ProtocolResult]) -> None:
    """Write the report.

    Args:
        file: to write; replaced as a whole or not at all.
        subject: what was evaluated.
        results: by protocol, the one to trust first.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": wording.percent, "failures": wording.failures}
    environment.filters |= {"data_url": _data_url, "picture_url": _picture_url}
    first = next(iter(results.values()))
    rows, fewer = score_rows(results)
    text = environment.get_template(_TEMPLATE).render(
        subject=subject,
        results=results,
        wording=wording,
        counts={name: counts(result) for name, result in results.items()},
        main=first.main(),
        first=first,
        charts=all_charts(first),
        rows=rows,
        fewer=fewer,
        differences=differences(results),
    )
    write_atomically(file, text.encode())


def score_rows(results: Mapping[str, ProtocolResult]) -> tuple[list[ScoreRow], list[ScoreRow]]:
    """Return (protocol, method, scores) for tables: those with the most references, and all with fewer."""
    main, fewer = [], []
    for protocol, result in results.items():
        for method, scores in result.scores.items():
            best = [result.main(method, matching) for matching in MATCHINGS]
            main += [(protocol, method, one) for one in best]
            fewer += [(protocol, method, one) for one in scores if one not in best]
    return main, sorted(fewer, key=lambda row: -row[2].references)


def differences(results: Mapping[str, ProtocolResult]) -> dict[str, float]:
    """Return by how much the original's protocol flatters: its score minus the honest one, by the score's name."""
    if "seed" not in results or len(results) < 2:
        return {}
    honest, seed = (result.main() for result in (next(iter(results.values())), results["seed"]))
    found = {
        "top-1": seed.top1.value - honest.top1.value,
        "top-5": seed.top5.value - honest.top5.value,
        "mAP": seed.mean_average_precision.value - honest.mean_average_precision.value,
    }
    if seed.open_set is not None and honest.open_set is not None:
        found["open-set AUROC"] = seed.open_set.auroc.value - honest.open_set.auroc.value
        found["accepted and right"] = seed.open_set.accepted_right.value - honest.open_set.accepted_right.value
    return found


def crop_jpeg(embedded: EmbeddedPhoto) -> bytes:
    """Return a small JPEG of what was cut out: as it lies in the photo, not squeezed to the network's square.

    Args:
        embedded: a photo that did not fail.
    """
    assert embedded.box_px is not None  # only failures have none
    photo = decode_photo(embedded.photo.path.read_bytes(), str(embedded.photo.path))
    cut = photo.image.crop(grow(embedded.box_px, photo.size_px).xyxy())
    cut.thumbnail((_CROP_SIDE_PX, _CROP_SIDE_PX), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    cut.save(content, "JPEG", quality=_CROP_QUALITY)
    return content.getvalue()


def _data_url(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _picture_url(photo: EmbeddedPhoto) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(crop_jpeg(photo)).decode()}"

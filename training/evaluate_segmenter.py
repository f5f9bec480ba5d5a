"""`python -m training.evaluate_segmenter --models DIR --data coco.json`: how well a detector finds animals."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.settings import Backend
from training.command_line import exit_status
from training.files import write_atomically
from training.models_yaml import read_detector_folder
from training.photos.coco import read_coco
from training.photos.inspection import inspect_photos
from training.photos.records import BoxedPhoto
from training.segmenter.evaluation import DetectorReport, evaluate_detector
from training.segmenter.options import add_categories

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit status: 0, or 1 with the reason on stderr.
    """
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _print_report(options))


def _print_report(options: argparse.Namespace) -> None:
    report = _evaluate(options)
    print(report)
    if options.json is not None:
        write_atomically(options.json, (json.dumps(report.as_json(), indent=1) + "\n").encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_segmenter", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="models folder with the detector")
    parser.add_argument(
        "--data", type=Path, required=True, action="append", metavar="FILE", help="COCO file; several count as one set"
    )
    parser.add_argument("--images", type=Path, help="folder of the photos; the file's own by default")
    add_categories(parser)
    parser.add_argument("--skip-bad", action="store_true", help="go on without photos that cannot be used")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for programs, too")
    parser.add_argument("--device", default="cpu", help='of torch: "cpu" or "cuda:0"')
    parser.add_argument("--backend", choices=get_args(Backend), default="auto", help="on a CPU, as the service chooses")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: the library's choice")
    return parser


def _evaluate(options: argparse.Namespace) -> DetectorReport:
    folder = read_detector_folder(options.models)
    body_parts = dict(options.category) if options.category else None
    photos = _read(options.data, options.images, body_parts, folder.segmenter.labels, options.skip_bad)
    network = SegmentationNetwork(folder, options.device, options.backend, options.threads)
    return evaluate_detector(folder, network, photos)


def _read(
    files: Sequence[Path],
    images: Path | None,
    body_parts: Mapping[str, str] | None,
    labels: Sequence[str],
    skip_bad: bool,
) -> tuple[BoxedPhoto, ...]:
    """Return the photos of all files; they may show the same individuals, but not be the same photos."""
    data = {str(file): read_coco(file, images, body_parts) for file in files}
    inspection = inspect_photos(data, labels, share_individuals=True)
    logger.info("%s", inspection)
    inspection.require_sound(skip_bad)
    return tuple(photo for photos in inspection.splits.values() for photo in photos)


if __name__ == "__main__":
    sys.exit(main())

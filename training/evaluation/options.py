"""The command line of `python -m training.evaluate`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.settings import Backend
from training.command_line import positive
from training.evaluation.extraction import Boxes
from training.evaluation.protocols import SEED_REFERENCES
from training.scoring.intervals import RESAMPLES

REFERENCES = 3

ProtocolChoice = Literal["encounters", "seed"]


@dataclass(frozen=True, slots=True)
class Options:
    """What to evaluate and how; the fields are the command line's options."""

    models: Path
    data: Path
    part: str
    split: str | None
    boxes: Boxes
    references: int
    unknown: float
    protocol: ProtocolChoice
    baseline: str | None
    seed: int
    resamples: int
    limit: int | None
    skip_bad: bool
    report: Path
    json: Path | None
    device: str
    backend: Backend
    threads: int


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Parse the command line; ends the program with a message where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="How well models recognise individuals: gallery and queries never share an encounter.",
    )
    _add_subject(parser)
    _add_protocol(parser)
    _add_output(parser)
    given = parser.parse_args(arguments)
    if given.references is None:
        given.references = SEED_REFERENCES if given.protocol == "seed" else REFERENCES
    return Options(**vars(given))


def _add_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, required=True, metavar="DIR", help="models folder, as the service loads it"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder of photos for each individual, or a metadata.csv"
    )
    parser.add_argument("--part", default="", help="body part; default: what the data says that it shows")
    parser.add_argument("--split", help="only these rows of a metadata.csv, for example holdout")
    parser.add_argument(
        "--boxes",
        choices=("detected", "truth", "photo"),
        default="detected",
        help="cut out what the detector finds, as the service does (default), the data's boxes, or the whole photo",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only N individuals, for a quick look")
    parser.add_argument("--skip-bad", action="store_true", help="go on without photos that cannot be used")


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--references",
        type=positive,
        metavar="N",
        help=f"photos to know each individual by (default: {REFERENCES}; {SEED_REFERENCES} with --protocol seed)",
    )
    parser.add_argument(
        "--unknown",
        type=_share_or_count,
        default=0.3,
        metavar="SHARE|COUNT",
        help="individuals to keep out of the gallery: a share below 1 or a number (default: 0.3)",
    )
    parser.add_argument(
        "--protocol",
        choices=("encounters", "seed"),
        default="encounters",
        help="seed: the original's too, which ignores encounters, and by how much it flatters",
    )
    parser.add_argument("--baseline", choices=("thumbnail",), help="compare with 32x32 grey pictures, too")
    parser.add_argument("--seed", type=int, default=0, help="of splits and intervals (default: 0)")
    parser.add_argument("--resamples", type=positive, default=RESAMPLES, help="of the bootstrap intervals")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report", type=Path, default=Path("evaluation.html"), help="HTML file to write (default: evaluation.html)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, too")
    add_running(parser)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options of where and by what the networks run."""
    parser.add_argument("--device", default="cpu", help="of torch: cpu, cuda:0 (default: cpu)")
    parser.add_argument("--backend", choices=("auto", "openvino", "torch"), default="auto", help="on a CPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of a network; 0 leaves it to the libraries")


def _share_or_count(text: str) -> float:
    value = float(text)
    if value < 0.0 or (value > 1.0 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text} is neither a share below 1 nor a number of individuals")
    return value

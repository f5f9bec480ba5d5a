"""Command-line options that training and evaluation of detectors share."""

import argparse


def add_categories(parser: argparse.ArgumentParser) -> None:
    """Add the renaming of COCO categories, as pairs in `options.category`."""
    parser.add_argument(
        "--category",
        type=_renaming,
        action="append",
        metavar="NAME=PART",
        help="body part of a COCO category; once for each. Without, the categories' names are the body parts",
    )


def _renaming(text: str) -> tuple[str, str]:
    name, equals, part = text.partition("=")
    if not (name and equals and part):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PART")
    return name, part

"""`python -m training.random_models FOLDER`: make models of random weights."""

import argparse
import sys
from pathlib import Path

from pipeline.errors import WhaleVisionError
from training.random_models import make_random_models


def main(arguments: list[str] | None = None) -> int:
    """Make the folder that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.random_models", description=__doc__)
    parser.add_argument("folder", type=Path, help="made; must not exist, or be empty")
    parser.add_argument("--architecture", choices=("narrow", "seed"), default="narrow", help="default: narrow")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same models (default: 0)")
    parser.add_argument("--body-parts", nargs="+", default=["fluke", "flank"], metavar="NAME")
    parser.add_argument("--module-prefix", action="store_true", help="keys as torch.nn.DataParallel writes them")
    given = parser.parse_args(arguments)
    try:
        make_random_models(
            given.folder, given.architecture, given.seed, body_parts=given.body_parts, module_prefix=given.module_prefix
        )
    except (WhaleVisionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.folder}: models of random weights; every answer of theirs is meaningless")
    return 0


if __name__ == "__main__":
    sys.exit(main())

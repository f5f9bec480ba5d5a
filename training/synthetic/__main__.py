"""Command line of the renderer: `python -m training.synthetic COMMAND ...`."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import cv2
from rich.progress import track

from training.command_line import count, positive
from training.synthetic.individuals import BODY_PARTS, SIDES, BodyPart, Individual, Population, Side
from training.synthetic.series import (
    FirstEncounter,
    demo_photos,
    detector_photos,
    empty_seas,
    individual_photos,
)
from training.synthetic.sheet import draw_sheet, sheet_plans
from training.synthetic.writers import Photo, Written, write_coco, write_metadata, write_photos

MOST_PIXELS = 24_000_000
LEAST_SIDE_PX = 64
ASPECTS = (0.45, 1.5)
CATALOGUE_SIZE = 60
SHEET_QUALITY = 82


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write what it asks for."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    """Build the parser."""
    parser = argparse.ArgumentParser(
        prog="python -m training.synthetic", description="Render photos of synthetic whales."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    dataset = _command(commands, "dataset", _dataset, "dataset/ and holdout/ by body part and individual, metadata.csv")
    dataset.add_argument("--individuals", type=positive, default=300, help="individuals in dataset/")
    dataset.add_argument("--holdout", type=count, default=100, help="individuals in holdout/, none of them in dataset/")
    _add_series(dataset, 12, 3)
    catalogue = _command(commands, "catalogue", _catalogue, "photos of the demo catalogue's animals, for enrolment")
    catalogue.add_argument("--individuals", type=positive, default=CATALOGUE_SIZE)
    _add_series(catalogue, 6, 3)
    demo = _command(commands, "demo", _demo, "new photos of catalogue animals and of unknown ones")
    demo.add_argument("--known", type=count, default=16, help="photos of catalogue animals")
    demo.add_argument("--unknown", type=count, default=4, help="photos of animals the catalogue does not hold")
    demo.add_argument("--catalogue", type=positive, default=CATALOGUE_SIZE, help="individuals in the catalogue")
    _add_side(demo)
    coco = _command(commands, "coco", _coco, "images/ and coco.json for a detector")
    coco.add_argument("--photos", type=positive, default=4000)
    coco.add_argument("--individuals", type=positive, default=1000)
    coco.add_argument("--empty", type=count, default=400, help="photos of empty seas among them")
    coco.add_argument("--two", type=float, default=0.15, help="part of the photos with two animals")
    _add_population(coco)
    empty = _command(commands, "empty", _empty, "images/ and coco.json of empty seas")
    empty.add_argument("--photos", type=positive, default=500)
    _add_population(empty)
    sheet = _command(commands, "sheet", _sheet, "one contact sheet, .jpg or .png")
    sheet.add_argument("--rows", type=positive, default=8)
    sheet.add_argument("--tile", type=positive, default=256, help="width of each photo in the sheet")
    sheet.add_argument("--boxes", action="store_true", help="draw the ground truth")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: object, text: str
) -> argparse.ArgumentParser:
    """Add a command with the options that all commands have."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("target", type=Path, help="file to write" if name == "sheet" else "folder to write into")
    parser.add_argument("--seed", type=count, default=1, help="the world; two worlds share no animal")
    parser.add_argument("--size", type=_size, default=(640, 427), metavar="WxH", help="up to 24 megapixels")
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    parser.set_defaults(run=run)
    return parser


def _add_series(parser: argparse.ArgumentParser, photos: int, encounters: int) -> None:
    """Add the options of photos by individual."""
    parser.add_argument("--photos", type=positive, default=photos, help="photos of each individual and body part")
    parser.add_argument("--encounters", type=positive, default=encounters, help="encounters they are spread over")
    parser.add_argument("--parts", nargs="+", choices=BODY_PARTS, default=list(BODY_PARTS))
    _add_side(parser)


def _add_side(parser: argparse.ArgumentParser) -> None:
    """Add the choice of flanks."""
    parser.add_argument(
        "--side", choices=(*SIDES, "both"), default="left", help="which flanks; both: each encounter one"
    )


def _add_population(parser: argparse.ArgumentParser) -> None:
    """Add the choice of population."""
    names = [population.name.lower() for population in Population]
    parser.add_argument("--population", choices=names, default="train", help="holdout for a detector's test set")


def _size(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT."""
    width, _, height = text.lower().partition("x")
    size = (int(width), int(height))
    if min(size) < LEAST_SIDE_PX or size[0] * size[1] > MOST_PIXELS:
        raise argparse.ArgumentTypeError(f"{text}: at least {LEAST_SIDE_PX} pixels a side, at most 24 megapixels")
    if not ASPECTS[0] <= size[1] / size[0] <= ASPECTS[1]:
        raise argparse.ArgumentTypeError(f"{text}: height must be {ASPECTS[0]} to {ASPECTS[1]} times the width")
    return size


def _side(options: argparse.Namespace) -> Side | None:
    """Return the flank asked for, None for both."""
    return None if options.side == "both" else ("left" if options.side == "left" else "right")


def _aspect(options: argparse.Namespace) -> float:
    """Return height over width."""
    return float(options.size[1] / options.size[0])


def _write(options: argparse.Namespace, photos: Iterable[Photo], total: int) -> list[Written]:
    """Write photos with a progress bar."""
    written = write_photos(options.target, photos, options.size[0], options.jobs)
    return list(track(written, f"rendering {options.target}", total=total))


def _series(
    options: argparse.Namespace, population: Population, count: int, folder: str, parts: Sequence[BodyPart]
) -> Iterator[Photo]:
    """Plan photos of individuals as folder/part/individual/file."""
    for part in parts:
        for number in range(count):
            individual = Individual(options.seed, population, number)
            for plan in individual_photos(
                individual,
                part,
                options.photos,
                options.encounters,
                FirstEncounter.DATASET,
                _side(options),
                _aspect(options),
            ):
                yield Photo(Path(folder, part, individual.name, f"{plan.name}.jpg"), plan, folder)


def _dataset(options: argparse.Namespace) -> None:
    """Write the seed's dataset/ and holdout/ folders."""
    training = _series(options, Population.TRAIN, options.individuals, "dataset", options.parts)
    holdout = _series(options, Population.HOLDOUT, options.holdout, "holdout", options.parts)
    total = (options.individuals + options.holdout) * options.photos * len(options.parts)
    write_metadata(options.target / "metadata.csv", _write(options, chain(training, holdout), total))


def _catalogue(options: argparse.Namespace) -> None:
    """Write enrolment photos."""
    photos = _series(options, Population.CATALOGUE, options.individuals, "catalogue", options.parts)
    total = options.individuals * options.photos * len(options.parts)
    write_metadata(options.target / "metadata.csv", _write(options, photos, total))


def _demo(options: argparse.Namespace) -> None:
    """Write photos to try the service with; their names do not tell, metadata.csv does."""
    plans = demo_photos(
        options.seed, options.known, options.unknown, options.catalogue, _side(options), _aspect(options)
    )
    photos = (
        Photo(Path(f"IMG_{number:04d}.jpg"), plan, "known" if number <= options.known else "unknown")
        for number, plan in enumerate(plans, start=1)
    )
    write_metadata(options.target / "metadata.csv", _write(options, photos, options.known + options.unknown))


def _coco(options: argparse.Namespace) -> None:
    """Write a detector's data set."""
    population = Population[options.population.upper()]
    empty = min(options.empty, options.photos)
    shown = options.photos - empty
    animals = detector_photos(options.seed, population, options.individuals, shown, options.two, _aspect(options))
    seas = empty_seas(options.seed, population, empty, _aspect(options))
    plans = enumerate(chain(animals, seas), start=1)
    photos = (Photo(Path("images", f"{number:06d}.jpg"), plan, options.population) for number, plan in plans)
    write_coco(options.target / "coco.json", _write(options, photos, options.photos))


def _empty(options: argparse.Namespace) -> None:
    """Write empty seas."""
    population = Population[options.population.upper()]
    plans = enumerate(empty_seas(options.seed, population, options.photos, _aspect(options)), start=1)
    photos = (Photo(Path("images", f"{number:06d}.jpg"), plan, options.population) for number, plan in plans)
    write_coco(options.target / "coco.json", _write(options, photos, options.photos))


def _sheet(options: argparse.Namespace) -> None:
    """Write a contact sheet."""
    sheet = draw_sheet(sheet_plans(options.seed, options.rows), options.tile, options.boxes)
    options.target.parent.mkdir(parents=True, exist_ok=True)
    settings = [] if options.target.suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, SHEET_QUALITY]
    if not cv2.imwrite(str(options.target), sheet[..., ::-1], settings):
        raise SystemExit(f"cannot write {options.target}: give a name that ends in .jpg or .png")


if __name__ == "__main__":
    main()

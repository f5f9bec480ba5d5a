"""Crops of synthetic individuals, rendered in processes and never written as photos."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2

from pipeline.photos.images import decode_photo
from training.embedder.crops import Crop, Cut, MapNumbers
from training.photos.records import LabelledPhoto
from training.synthetic.individuals import SIDES, BodyPart, Individual, Population, Side
from training.synthetic.plans import Encounter, PhotoPlan
from training.synthetic.render import render_jpeg
from training.synthetic.views import plan_photo
from training.synthetic.writers import truths_of

_CHUNK = 8
_AHEAD = 16
"""Chunks for each process on their way at once."""


@dataclass(frozen=True, slots=True)
class SyntheticPhoto:
    """One photo of a synthetic individual; each is an encounter of its own.

    Attributes:
        world: seed of all animals.
        number: of the individual.
        encounter: of the individual.
        body_part: that shows.
    """

    world: int
    number: int
    encounter: int
    body_part: BodyPart

    @property
    def individual(self) -> Individual:
        """Whom it shows: a population of its own, so that no data set of the renderer holds any of them."""
        return Individual(self.world, Population.PRETRAIN, self.number)

    @property
    def side(self) -> Side | None:
        """Which flank: individuals take turns, so that the network learns both."""
        return None if self.body_part == "fluke" else SIDES[self.number % 2]

    def plan(self) -> PhotoPlan:
        """Return what the photo shows."""
        return plan_photo(Encounter(self.individual, self.encounter), 0, self.body_part, self.side)

    def labelled(self) -> LabelledPhoto:
        """Return it as a photo with its label; the path names no file."""
        name = f"{self.individual.name}-E{self.encounter:04d}"
        return LabelledPhoto(
            Path("rendered", f"{name}.jpg"), self.individual.name, self.body_part, encounter=name, side=self.side
        )


def synthetic_photos(world: int, body_part: BodyPart, numbers: Iterable[int], photos_each: int) -> list[SyntheticPhoto]:
    """Return the photos of several individuals."""
    return [
        SyntheticPhoto(world, number, encounter, body_part) for number in numbers for encounter in range(photos_each)
    ]


def renderer(photos: Sequence[SyntheticPhoto], cut: Cut, width_px: int, jobs: int) -> MapNumbers:
    """Return a function that renders crops by number.

    Args:
        photos: all photos.
        cut: how the animals are cut out.
        width_px: of the photos that the crops are cut from.
        jobs: processes.
    """

    def render_all(numbers: Iterable[int]) -> Iterator[Crop | None]:
        waiting = iter(numbers)
        # spawned, not forked: a fork inherits the locks of torch's and other libraries' threads, and hangs on them
        with ProcessPoolExecutor(jobs, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
            while batch := list(islice(waiting, jobs * _CHUNK * _AHEAD)):
                tasks = [(photos[number], cut, width_px) for number in batch]
                yield from pool.map(_render, tasks, chunksize=_CHUNK)

    return render_all


def _render(task: tuple[SyntheticPhoto, Cut, int]) -> Crop | None:
    synthetic, cut, width_px = task
    plan = synthetic.plan()
    height_px = round(width_px * plan.aspect)
    truths = truths_of(plan, width_px, height_px)
    photo = decode_photo(render_jpeg(plan, width_px, height_px), plan.name)
    return cut.apply(photo, truths[0].box) if truths else None

"""An individual is a seed: its shape, its marks, and how both change over the years.

Everything here is ground truth and uses exact arithmetic only (see `exact`).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from training.synthetic.exact import bell, chance, stream, uniform

BodyPart = Literal["fluke", "flank"]
Side = Literal["left", "right"]
BODY_PARTS: tuple[BodyPart, ...] = ("fluke", "flank")
SIDES: tuple[Side, ...] = ("left", "right")
YEARS = 12.0
NEW_MARKS_A_YEAR = 0.12


class Population(IntEnum):
    """Ranges of individuals that never share a member; a model is tested on other animals than it was trained on."""

    TRAIN = 0
    HOLDOUT = 1
    CATALOGUE = 2
    UNKNOWN = 3
    PRETRAIN = 4


class Draw(IntEnum):
    """What a random stream is for; part of its key, so that no two uses ever share numbers."""

    FLUKE = 1
    FLANK = 2
    FLUKE_SKIN = 3
    FLANK_SKIN = 4
    ENCOUNTER = 5
    PHOTO = 6
    LOOKS = 7
    SCENE = 8


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal, named by the world it lives in, its population and its number there."""

    world: int
    population: Population
    number: int

    @property
    def name(self) -> str:
        """Return the individual's name, unique within a world: a letter for the population, and its number."""
        return f"{self.population.name[0]}{self.number:05d}"

    def stream(self, draw: Draw, *more: int) -> np.random.Generator:
        """Return the individual's random stream for one use."""
        return stream(self.world, int(self.population), self.number, int(draw), *more)


@dataclass(frozen=True, slots=True)
class Nick:
    """A piece missing from an edge.

    Attributes:
        place: where along the edge, in [0, 1].
        depth: how far it goes in, in half spans.
        width: half its width along the edge, as a part of the edge.
        year: when it was got; 0 for before the first encounter.
    """

    place: float
    depth: float
    width: float
    year: float


@dataclass(frozen=True, slots=True)
class Lobe:
    """One half of a fluke, in half spans; x outwards, y up, the root at the origin.

    Attributes:
        leading: (x, y) points from root to tip.
        trailing: (x, y) points from tip to notch.
        nicks: pieces missing from the trailing edge.
    """

    leading: tuple[tuple[float, float], ...]
    trailing: tuple[tuple[float, float], ...]
    nicks: tuple[Nick, ...]


@dataclass(frozen=True, slots=True)
class FlukeShape:
    """Both lobes of a fluke and the number that the fine unevenness of its edges comes from."""

    left: Lobe
    right: Lobe


@dataclass(frozen=True, slots=True)
class FlankShape:
    """The back's profile seen from the left, head at -1 and tail at +1, heights in half lengths.

    Attributes:
        back: heights of the back at x = -1, -0.6, -0.2, 0.2, 0.6, 1 without the fin.
        fin_x: where the fin's front begins.
        fin_base: length of the fin's base.
        fin_height: over the back.
        fin_lean: how far the tip leans back, as a part of the base.
        fin_hollow: how hollow the fin's rear edge is.
        fin_round: how blunt the tip is.
        knuckles: (x, height, half width) of the bumps between fin and tail.
        nicks: pieces missing from the fin's rear edge.
    """

    back: tuple[float, ...]
    fin_x: float
    fin_base: float
    fin_height: float
    fin_lean: float
    fin_hollow: float
    fin_round: float
    knuckles: tuple[tuple[float, float, float], ...]
    nicks: tuple[Nick, ...]


def mark_year(rng: np.random.Generator, old: bool) -> float:
    """Return when a mark was got: 0 for one it always had."""
    return 0.0 if old else uniform(rng, 0.0, YEARS)


def _nicks(rng: np.random.Generator, often: float) -> tuple[Nick, ...]:
    """Draw the nicks and bites of one edge, old ones first, then those it will get during the years."""
    old = int(rng.integers(1, 2 + int(often * 5.0)))
    new = int(float(rng.random()) + NEW_MARKS_A_YEAR * YEARS * 0.5)
    marks = []
    for index in range(old + new):
        bite = chance(rng, 0.16)
        depth = uniform(rng, 0.05, 0.12) if bite else uniform(rng, 0.012, 0.055)
        width = uniform(rng, 0.05, 0.12) if bite else uniform(rng, 0.012, 0.045)
        marks.append(Nick(uniform(rng, 0.06, 0.94), depth, width, mark_year(rng, index < old)))
    return tuple(marks)


def draw_fluke(individual: Individual) -> FlukeShape:
    """Return the shape of an individual's fluke."""
    rng = individual.stream(Draw.FLUKE)
    tip = bell(rng, 0.36, 0.22)
    shoulder = bell(rng, 0.42, 0.10)
    notch_depth, notch_width = bell(rng, 0.13, 0.11), bell(rng, 0.075, 0.055)
    sweep, belly = bell(rng, 0.0, 0.09), bell(rng, 0.0, 0.08)
    hook, often = bell(rng, 0.0, 0.06), float(rng.random())
    lobes = []
    for _ in range(2):
        high = tip + bell(rng, 0.0, 0.05)
        lead = sweep + bell(rng, 0.0, 0.025)
        full = belly + bell(rng, 0.0, 0.025)
        leading = (
            (0.085, 0.0),
            (0.26, 0.035 + lead * 0.3),
            (0.56, 0.09 + lead + high * 0.08),
            (0.84, 0.16 + lead * 0.8 + high * 0.34),
            (1.0, high + hook),
        )
        trailing = (
            (1.0, high + hook),
            (0.93, high + 0.045 - hook * 0.3),
            (0.70, 0.5 * high + 0.5 * shoulder + full * 0.5 + 0.02),
            (0.42, shoulder + full + 0.035),
            (0.16 + notch_width * 0.4, shoulder + full * 0.4 + 0.02),
            (notch_width * 0.6, shoulder - notch_depth * 0.35),
            (0.0, shoulder - notch_depth),
        )
        lobes.append(Lobe(leading, trailing, _nicks(rng, often)))
    return FlukeShape(lobes[0], lobes[1])


def draw_flank(individual: Individual) -> FlankShape:
    """Return the shape of an individual's back: a falcate fin, a low triangle or a hump with knuckles behind it."""
    rng = individual.stream(Draw.FLANK)
    thick = bell(rng, 0.01, 0.045)
    back = tuple(
        level + thick + bell(rng, 0.0, reach)
        for level, reach in ((-0.15, 0.02), (0.10, 0.02), (0.17, 0.02), (0.165, 0.02), (0.09, 0.02), (-0.15, 0.02))
    )
    kind = float(rng.random())
    hump = kind < 0.4
    fin_x = bell(rng, 0.10, 0.30)
    base = uniform(rng, 0.30, 0.48) if hump else uniform(rng, 0.22, 0.38)
    height = uniform(rng, 0.045, 0.10) if hump else uniform(rng, 0.10, 0.24)
    lean = uniform(rng, 0.45, 0.75) if hump else uniform(rng, 0.6, 1.0)
    hollow = uniform(rng, -0.05, 0.10) if hump else uniform(rng, 0.0, 0.2)
    rounding = uniform(rng, 0.1, 0.5)
    count = int(rng.integers(3, 8)) if hump else int(rng.integers(0, 5))
    start = fin_x + base + 0.04
    spacing = (0.95 - start) / 8.0
    knuckles = tuple(
        (
            start + spacing * (i + 0.5) + bell(rng, 0.0, spacing * 0.4),
            uniform(rng, 0.010, 0.032) * (1.0 - i * 0.1),
            spacing * uniform(rng, 0.35, 0.6),
        )
        for i in range(count)
    )
    return FlankShape(back, fin_x, base, height, lean, hollow, rounding, knuckles, _nicks(rng, float(rng.random())))

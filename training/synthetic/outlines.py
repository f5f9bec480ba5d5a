"""Outlines of flukes and flanks as polygons, at a given year of the animal's life (exact arithmetic)."""

import numpy as np

from training.synthetic.exact import Floats, Points, bump, catmull_rom, wobble
from training.synthetic.individuals import (
    Draw,
    FlankShape,
    Individual,
    Lobe,
    Nick,
    draw_flank,
    draw_fluke,
)

SAMPLES = 28
STALK_LENGTH = 1.1
BELLY = -0.5


def fluke_outline(individual: Individual, year: float) -> Points:
    """Return a fluke's outline, (n, 2) in half spans: x right, y up, the stalk's top at the origin, tips near +-1."""
    shape = draw_fluke(individual)
    right = _lobe(individual, shape.right, year, 0)
    left = _lobe(individual, shape.left, year, 1) * np.asarray([-1.0, 1.0])
    stalk = catmull_rom(np.asarray([[0.22, -STALK_LENGTH], [0.15, -0.62], [0.098, -0.24], [0.088, -0.08]]), 8)
    mirrored = stalk[::-1] * np.asarray([-1.0, 1.0])
    return np.concatenate([stalk, right, left[::-1], mirrored])


def _lobe(individual: Individual, lobe: Lobe, year: float, which: int) -> Points:
    """Return one lobe's outline from root to tip to notch, x outwards."""
    rng = individual.stream(Draw.FLUKE, 1, which)
    leading = catmull_rom(np.asarray(lobe.leading), 12)
    trailing = catmull_rom(np.asarray(lobe.trailing), SAMPLES)
    t = np.arange(len(trailing)) / (len(trailing) - 1.0)
    rough = wobble(rng, t, 26) * 0.007 + wobble(rng, t, 70) * 0.0045
    dent = (missing(lobe.nicks, t, year) - rough) * np.minimum(1.0, np.minimum(t, 1.0 - t) * 14.0)
    inward = np.stack([dent * -0.25, dent * -0.97], axis=1)
    return np.concatenate([leading[:-1], trailing + inward])


def missing(nicks: tuple[Nick, ...], t: Floats, year: float) -> Floats:
    """Return how much the nicks got by `year` take away at places t along an edge."""
    depth = np.zeros_like(t)
    for nick in nicks:
        if nick.year <= year:
            x = (t - nick.place) / nick.width
            flank = 1.0 - np.minimum(np.abs(x), 1.0)
            depth = np.maximum(depth, nick.depth * np.minimum(1.0, flank * 1.6))
    return depth


def flank_outline(individual: Individual, year: float) -> Points:
    """Return the outline of a back seen from the left, (n, 2) in half lengths: x from head (-1) to tail (+1), y up."""
    shape = draw_flank(individual)
    x = np.arange(-1.0, 1.0 + 1e-9, 1.0 / 64.0)
    ridge = np.stack([x, back_height(shape, x)], axis=1)
    fin = _fin(individual, shape, year)
    front, rear = ridge[x < fin[0, 0]], ridge[x > fin[-1, 0]]
    belly = np.asarray([[1.0, BELLY], [-1.0, BELLY]])
    return np.concatenate([front, fin, rear, belly])


def back_height(shape: FlankShape, x: Floats) -> Floats:
    """Return the height of the back without its fin, knuckles included."""
    knots = np.stack([np.arange(6) * 0.4 - 1.0, np.asarray(shape.back)], axis=1)
    curve = catmull_rom(knots, 64)[:, 1]
    place = np.clip((x + 1.0) * (len(curve) - 1.0) / 2.0, 0.0, len(curve) - 1.0)
    cell = np.minimum(np.floor(place).astype(np.int64), len(curve) - 2)
    height: Floats = curve[cell] + (curve[cell + 1] - curve[cell]) * (place - cell)
    for centre, size, half in shape.knuckles:
        height = height + bump((x - centre) / half) * size
    return height


def _fin(individual: Individual, shape: FlankShape, year: float) -> Points:
    """Return the fin's outline from the front of its base over the tip to the rear, its nicks included."""
    rng = individual.stream(Draw.FLANK, 1)
    base, height, lean, hollow = shape.fin_base, shape.fin_height, shape.fin_lean, shape.fin_hollow
    feet = back_height(shape, np.asarray([shape.fin_x, shape.fin_x + base]))
    tip = lean * base
    blunt = shape.fin_round * base * 0.16
    leading = [(-0.06, -0.01), (tip * 0.36, height * 0.5), (tip * 0.74, height * 0.9), (tip - blunt, height)]
    rear_x = tip + (base - tip) * 0.5 - hollow * base
    foot = base - hollow * base * 0.4
    trailing = [(tip + blunt, height * 0.93), (rear_x, height * 0.5), (foot, height * 0.14), (base + 0.05, -0.004)]
    front = catmull_rom(np.asarray(leading), 12)
    back = catmull_rom(np.asarray(trailing), SAMPLES)
    t = np.arange(len(back)) / (len(back) - 1.0)
    rough = wobble(rng, t, 12) * 0.003 + wobble(rng, t, 34) * 0.002
    ends = np.minimum(1.0, np.minimum(t, 1.0 - t) * 12.0)
    dent = (missing(shape.nicks, t, year) * (0.45 + height * 3.0) - rough) * ends
    back = back + np.stack([dent * -1.0, dent * -0.1], axis=1)
    fin = np.concatenate([front, back])
    along = fin[:, 0] / base
    return np.stack([fin[:, 0] + shape.fin_x, fin[:, 1] + feet[0] + (feet[1] - feet[0]) * along], axis=1)

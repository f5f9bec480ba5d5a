"""Which photos a data set has: series of plans whose individuals and encounters never meet those of another split.

| use                    | population | encounters of an individual |
|------------------------|------------|-----------------------------|
| dataset/ (training)    | TRAIN      | 0 ..                        |
| holdout/               | HOLDOUT    | 0 ..                        |
| catalogue (enrolment)  | CATALOGUE  | 0 ..                        |
| demo, known animals    | CATALOGUE  | 1000 ..                     |
| demo, unknown animals  | UNKNOWN    | 1000 ..                     |
| coco (detector)        | as asked   | 2000 ..                     |
| empty seas             | as asked   | 3000 ..                     |

Two worlds (`seed`) share nothing.
"""

from collections.abc import Iterator
from enum import IntEnum

from training.synthetic.exact import chance, stream
from training.synthetic.individuals import BODY_PARTS, BodyPart, Draw, Individual, Population, Side
from training.synthetic.plans import Encounter, PhotoPlan
from training.synthetic.views import ASPECT, plan_empty, plan_photo


class FirstEncounter(IntEnum):
    """Where each use's encounters begin; at most 1000 of an individual in one use."""

    DATASET = 0
    DEMO = 1000
    COCO = 2000
    EMPTY = 3000


MOST_ENCOUNTERS = 1000


def individual_photos(
    individual: Individual,
    body_part: BodyPart,
    photos: int,
    encounters: int,
    first: FirstEncounter,
    side: Side | None = None,
    aspect: float = ASPECT,
) -> list[PhotoPlan]:
    """Plan photos of one individual, spread evenly over encounters.

    Args:
        individual: whom they show.
        body_part: what of it.
        photos: how many.
        encounters: over how many encounters; no more than there are photos.
        first: the use, which decides the encounters' numbers.
        side: which flank; None lets each encounter decide.
        aspect: height over width.

    Raises:
        ValueError: more encounters than a use may have.
    """
    encounters = min(encounters, photos)
    if encounters > MOST_ENCOUNTERS:
        raise ValueError(f"at most {MOST_ENCOUNTERS} encounters of an individual in one data set, not {encounters}")
    plans = []
    for index in range(photos):
        encounter = Encounter(individual, int(first) + index % encounters)
        plans.append(plan_photo(encounter, index // encounters, body_part, side, aspect=aspect))
    return plans


def detector_photos(
    world: int, population: Population, individuals: int, photos: int, two: float, aspect: float = ASPECT
) -> Iterator[PhotoPlan]:
    """Plan photos for a detector: each its own encounter, flukes and flanks in turn, sometimes two animals.

    Args:
        world: the data set's seed.
        population: whose photos.
        individuals: how many different animals.
        photos: how many photos.
        two: part of the photos that show two animals.
        aspect: height over width.
    """
    for index in range(photos):
        individual = Individual(world, population, index % individuals)
        number = int(FirstEncounter.COCO) + index // individuals % MOST_ENCOUNTERS
        shot = index // individuals // MOST_ENCOUNTERS
        rng = stream(world, int(population), index, int(Draw.PHOTO))
        companion = None
        if individuals > 1 and chance(rng, two):
            other = (individual.number + 1 + int(rng.integers(individuals - 1))) % individuals
            companion = Individual(world, population, other)
        yield plan_photo(Encounter(individual, number), shot, BODY_PARTS[int(rng.integers(2))], None, companion, aspect)


def empty_seas(world: int, population: Population, photos: int, aspect: float = ASPECT) -> Iterator[PhotoPlan]:
    """Plan photos of the sea with no animal in it, each with its own light and sea."""
    for index in range(photos):
        encounter = Encounter(Individual(world, population, index), int(FirstEncounter.EMPTY))
        yield plan_empty(encounter, 0, aspect)


def demo_photos(
    world: int, known: int, unknown: int, catalogue: int, side: Side | None, aspect: float = ASPECT
) -> Iterator[PhotoPlan]:
    """Plan new photos of catalogue animals, in encounters that enrolment never uses, and of animals it does not hold.

    Args:
        world: the data set's seed.
        known: photos of catalogue animals.
        unknown: photos of unknown ones, each of another animal.
        catalogue: how many animals the catalogue has; the known ones are spread over them.
        side: which flank shows.
        aspect: height over width.
    """
    for index in range(known + unknown):
        part = BODY_PARTS[index % 2]
        if index < known:
            individual = Individual(world, Population.CATALOGUE, index * 7 % catalogue)
        else:
            individual = Individual(world, Population.UNKNOWN, index - known)
        number = int(FirstEncounter.DEMO) + index // catalogue % MOST_ENCOUNTERS
        yield plan_photo(Encounter(individual, number), 0, part, side, aspect=aspect)

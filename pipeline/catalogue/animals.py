"""Which annotations of one sighting may show one animal: a proposal by their embeddings, which only people act upon."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.catalogue.vectors import Vector
from pipeline.records import UNKNOWN_DISTANCE

Kind = tuple[str, str | None, str, int]
"""Body part, side, model and dimension: only embeddings of one kind are compared."""

_CAPACITY = 16  # means that there is room for at first


@dataclass(frozen=True, slots=True)
class SeenAnimal:
    """An annotation, as far as it tells which animal it shows.

    Attributes:
        id: of the annotation.
        photo: its source key.
        animal: which animal of the photo.
        body_part: name from models.yaml.
        side: as described.
        individual: that a person said it shows.
        vectors: its embeddings by model, (d,) each.
    """

    id: int
    photo: str
    animal: int
    body_part: str
    side: str | None
    individual: int | None
    vectors: Mapping[str, Vector]

    @property
    def kinds(self) -> Iterator[tuple[Kind, Vector]]:
        """Its embeddings, each with what it can be compared with."""
        for model, vector in self.vectors.items():
            yield (self.body_part, self.side, model, len(vector)), vector


@dataclass(slots=True, eq=False)
class ProposedAnimal:
    """Annotations that may show one animal.

    Attributes:
        members: in the order in which they came to it.
        individual: that a person said one of them shows.
        animals: its photos, and which animal of each it is.
    """

    members: list[SeenAnimal] = field(default_factory=list)
    individual: int | None = None
    animals: dict[str, int] = field(default_factory=dict)

    def may_be(self, seen: SeenAnimal) -> bool:
        """Whether an annotation can show it: two animals of one photo, or two individuals, are never one."""
        said = {self.individual, seen.individual} - {None}
        return len(said) < 2 and self.animals.get(seen.photo, seen.animal) == seen.animal

    def add(self, seen: SeenAnimal) -> None:
        """Take an annotation in."""
        self.members.append(seen)
        self.animals[seen.photo] = seen.animal
        self.individual = seen.individual if self.individual is None else self.individual


class _Means:
    """The animals that have embeddings of one kind, and the mean of each."""

    def __init__(self, dimension: int) -> None:
        self._animals: list[ProposedAnimal] = []
        self._places: dict[int, int] = {}  # by the animal's identity
        self._counts: list[int] = []
        self._means = np.empty((_CAPACITY, dimension))

    def near(self, vector: Vector) -> list[tuple[float, ProposedAnimal]]:
        """Return the animals nearer to an embedding than "Unknown", ascending."""
        distances = np.linalg.norm(self._means[: len(self._animals)] - vector, axis=1)
        order = np.argsort(distances, kind="stable")
        return [(float(distances[at]), self._animals[at]) for at in order if distances[at] < UNKNOWN_DISTANCE]

    def add(self, animal: ProposedAnimal, vector: Vector) -> None:
        """Count an embedding into an animal's mean."""
        place = self._places.setdefault(id(animal), len(self._animals))
        if place == len(self._animals):
            self._animals.append(animal)
            self._counts.append(0)
            if place == len(self._means):
                self._means = np.concatenate([self._means, np.empty_like(self._means)])
            self._means[place] = 0.0
        self._counts[place] += 1
        self._means[place] += (vector - self._means[place]) / self._counts[place]


class _Grouping:
    """The animals of a sighting so far."""

    def __init__(self) -> None:
        self.animals: list[ProposedAnimal] = []
        self._of_photo: dict[tuple[str, int], ProposedAnimal] = {}
        self._of_individual: defaultdict[int, list[ProposedAnimal]] = defaultdict(list)
        self._means: dict[Kind, _Means] = {}

    def take(self, seen: SeenAnimal) -> None:
        """Put an annotation to an animal, or let it be one of its own."""
        animal = self._said(seen) or self._nearest(seen)
        if animal is None:
            animal = ProposedAnimal()
            self.animals.append(animal)
        animal.add(seen)
        self._of_photo[seen.photo, seen.animal] = animal
        if seen.individual is not None and animal not in self._of_individual[seen.individual]:
            self._of_individual[seen.individual].append(animal)
        for kind, vector in seen.kinds:
            self._means.setdefault(kind, _Means(len(vector))).add(animal, vector)

    def _said(self, seen: SeenAnimal) -> ProposedAnimal | None:
        """Return the animal that an annotation is of by what its photo or people say."""
        known = self._of_photo.get((seen.photo, seen.animal))
        alike = [] if seen.individual is None else self._of_individual[seen.individual]
        return next((animal for animal in (known, *alike) if animal is not None and animal.may_be(seen)), None)

    def _nearest(self, seen: SeenAnimal) -> ProposedAnimal | None:
        near = (found for kind, vector in seen.kinds if kind in self._means for found in self._means[kind].near(vector))
        possible = [(distance, place, animal) for place, (distance, animal) in enumerate(near) if animal.may_be(seen)]
        return min(possible)[2] if possible else None


def propose_animals(seen: Sequence[SeenAnimal]) -> list[ProposedAnimal]:
    """Group the annotations of one sighting into animals.

    Those of which a person said whom they show come first. Each joins the animal that its photo numbers so, else the
    one that shows the same individual, else that whose mean, among embeddings of the same body part, side and model,
    is the nearest and nearer than "Unknown" in a ranking; else it is an animal of its own.

    Args:
        seen: in the order in which they were taken.
    """
    grouping = _Grouping()
    for each in sorted(seen, key=lambda one: one.individual is None):
        grouping.take(each)
    order = {each.id: place for place, each in enumerate(seen)}
    for animal in grouping.animals:
        animal.members.sort(key=lambda one: order[one.id])
    return sorted(grouping.animals, key=lambda animal: order[animal.members[0].id])

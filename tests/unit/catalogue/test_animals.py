"""Which annotations of a sighting are proposed as one animal; distances are worked out by hand."""

import numpy as np
import pytest

from pipeline.catalogue.animals import SeenAnimal, propose_animals

LEFT, RIGHT = "left", "right"


def seen(
    number: int,
    *vector: float,
    photo: str | None = None,
    animal: int = 1,
    body_part: str = "fluke",
    side: str | None = None,
    individual: int | None = None,
    model: str = "m1",
) -> SeenAnimal:
    vectors = {model: np.array(vector)} if vector else {}
    return SeenAnimal(number, photo or f"photo {number}", animal, body_part, side, individual, vectors)


def proposed(*annotations: SeenAnimal) -> list[list[int]]:
    return [[each.id for each in animal.members] for animal in propose_animals(annotations)]


def test_annotations_join_the_nearest_animal_that_is_nearer_than_unknown() -> None:
    assert proposed(seen(1, 0.0, 0.0), seen(2, 3.0, 0.0), seen(3, 2.5, 0.0), seen(4, 0.0, 0.9)) == [[1, 4], [2, 3]]


@pytest.mark.parametrize(("distance", "groups"), [(0.999, [[1, 2]]), (1.0, [[1], [2]])])
def test_at_the_distance_of_unknown_it_is_another_animal(distance: float, groups: list[list[int]]) -> None:
    assert proposed(seen(1, 0.0), seen(2, distance)) == groups


def test_an_animal_is_compared_by_the_mean_of_its_annotations() -> None:
    # The mean of 0 and 0.9 is 0.45: 1.4 is near to it, and 1.5 is not, though both are near to 0.9.
    assert proposed(seen(1, 0.0), seen(2, 0.9), seen(3, 1.4)) == [[1, 2, 3]]
    assert proposed(seen(1, 0.0), seen(2, 0.9), seen(3, 1.5)) == [[1, 2], [3]]


@pytest.mark.parametrize(
    "other",
    [
        {"body_part": "flank"},
        {"side": LEFT},
        {"model": "m2"},
    ],
)
def test_only_one_body_part_side_and_model_are_compared(other: dict[str, str]) -> None:
    assert proposed(seen(1, 0.0, side=RIGHT), seen(2, 0.0, **{"side": RIGHT, **other})) == [[1], [2]]  # type: ignore[arg-type]


def test_two_animals_of_one_photo_are_never_one() -> None:
    both = (seen(1, 0.0, photo="p"), seen(2, 0.0, photo="p", animal=2))
    assert proposed(*both) == [[1], [2]]
    assert proposed(seen(3, 0.0), *both) == [[3, 1], [2]]
    assert proposed(*both, seen(3, 0.1), seen(4, 0.1, photo="photo 3", animal=2)) == [[1, 3], [2, 4]]


def test_what_a_photo_numbers_as_one_animal_is_one() -> None:
    assert proposed(seen(1, 0.0, photo="p"), seen(2, 9.0, photo="p", body_part="flank")) == [[1, 2]]


def test_what_people_said_counts_more_than_embeddings() -> None:
    assert proposed(seen(1, 0.0, individual=7), seen(2, 9.0, individual=7)) == [[1, 2]]
    assert proposed(seen(1, 0.0, individual=7), seen(2, 0.0, individual=8)) == [[1], [2]]
    assert proposed(seen(1, 0.0, side=LEFT, individual=7), seen(2, 9.0, side=RIGHT, individual=7)) == [[1, 2]]
    same_photo = (seen(1, 0.0, photo="p", individual=7), seen(2, 0.0, photo="p", animal=2, individual=7))
    assert proposed(*same_photo) == [[1], [2]]


def test_who_is_known_comes_first_whatever_was_taken_first() -> None:
    # In the order of the photos 2 would join 1 at 0.6, and take 3 with it.
    groups = propose_animals([seen(1, 0.0), seen(2, 0.6), seen(3, 0.7, individual=7)])
    assert [([each.id for each in group.members], group.individual) for group in groups] == [([1, 2, 3], 7)]
    groups = propose_animals([seen(1, 0.0, individual=8), seen(2, 0.6), seen(3, 0.7, individual=7)])
    assert [([each.id for each in group.members], group.individual) for group in groups] == [([1], 8), ([2, 3], 7)]


def test_what_has_no_embedding_is_an_animal_of_its_own() -> None:
    assert proposed(seen(1), seen(2, 0.0), seen(3)) == [[1], [2], [3]]
    assert proposed() == []


def test_many_animals_are_told_apart() -> None:
    annotations = [seen(number, 2.0 * (number % 50), 0.0) for number in range(1, 101)]
    assert proposed(*annotations) == [[number, number + 50] for number in range(1, 51)]

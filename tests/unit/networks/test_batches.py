"""One answer or failure an item, whatever the other items are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadEmbeddingError
from pipeline.networks.batches import answer_each
from pipeline.records import Failure

SIDE_PX = 4
POISON = 66
BAD = (None, "picture", np.zeros((4, 4), np.uint8), np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4, 3), np.float32))


def picture(value):
    return np.full((SIDE_PX, SIDE_PX, 3), value, dtype=np.uint8)


def brightness(pictures):
    """A network that fails as a whole where one picture is poisonous."""
    values = [int(pixels[0, 0, 0]) for pixels in pictures]
    if POISON in values:
        raise RuntimeError("poison")
    return values


@given(
    values=st.lists(st.one_of(st.integers(0, 65), st.just(POISON), st.sampled_from(range(100, 105))), max_size=20),
    chunk=st.integers(1, 9),
)
def test_every_good_item_gets_its_own_answer_and_every_bad_one_a_failure(values, chunk):
    batch = [BAD[value - 100] if value >= 100 else picture(value) for value in values]
    answers = answer_each(batch, SIDE_PX, chunk, brightness)
    assert len(answers) == len(values)
    for value, answer in zip(values, answers, strict=True):
        assert answer == value if value < POISON else isinstance(answer, Failure)


def test_no_forward_pass_is_larger_than_the_chunk():
    sizes = []

    def forward(pictures):
        sizes.append(len(pictures))
        return pictures

    answer_each([picture(0)] * 7, SIDE_PX, 3, forward)
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: type(bad).__name__)
def test_a_bad_picture_says_what_was_expected(bad):
    (answer,) = answer_each([bad], SIDE_PX, 8, brightness)
    assert answer.code == "failed"
    assert "expected" in answer.message


def test_an_error_of_ours_keeps_its_code():
    def forward(pictures):
        raise BadEmbeddingError("not finite")

    assert answer_each([picture(0)], SIDE_PX, 8, forward) == [Failure("bad_embedding", "not finite")]


def test_a_foreign_errors_text_does_not_reach_the_client(caplog):
    (answer,) = answer_each([picture(POISON)], SIDE_PX, 8, brightness)
    assert "poison" not in answer.message
    assert "poison" in caplog.text


def test_a_network_that_answers_too_few_is_an_error_and_never_shifts_answers():
    with pytest.raises(ValueError, match="zip"):
        answer_each([picture(1), picture(2)], SIDE_PX, 8, lambda pictures: pictures[:1])

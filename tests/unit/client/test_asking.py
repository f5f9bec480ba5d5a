"""How unanswered items are put into requests, and when they are given up."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.client import ClientOptions, ItemFailure
from pipeline.client.asking import Unanswered

AWAY = ItemFailure("unavailable", "the matcher is restarting")
REFUSED = ItemFailure("no_animal", "no fluke was found")


def unanswered(sizes: list[int], max_items: int = 100, attempts: int = 3) -> Unanswered[int]:
    return Unanswered(dict(enumerate(sizes)), ClientOptions(max_photos=max_items, attempts=attempts))


@given(st.lists(st.integers(1, 50)), st.integers(1, 10), st.integers(1, 120))
def test_batches_keep_the_order_and_the_limits_and_are_as_long_as_can_be(
    sizes: list[int], max_items: int, max_bytes: int
) -> None:
    left, batches = unanswered(sizes, max_items), []
    while batch := left.next_batch(lambda size: size, max_bytes):
        batches.append(list(batch.values()))
        assert all(left.take_answer(index) for index in batch)
    assert [size for batch in batches for size in batch] == sizes
    assert all(len(batch) == 1 or (len(batch) <= max_items and sum(batch) <= max_bytes) for batch in batches)
    for batch, following in pairwise(batches):
        assert len(batch) == max_items or sum(batch) + following[0] > max_bytes


@given(st.lists(st.sampled_from([None, REFUSED, AWAY]), min_size=1), st.integers(1, 5))
def test_an_item_is_asked_for_until_it_is_answered_or_too_often_unavailable(
    answers: list[ItemFailure | None], attempts: int
) -> None:
    left = unanswered([1], attempts=attempts)
    for asked, answer in enumerate(answers, 1):
        if not left.next_batch(lambda size: size, 10):
            break
        final = left.take_answer(0, answer)
        assert final == (answer is not AWAY or asked == attempts)
        assert (0 in left) is not final


def test_items_that_were_unavailable_wait_behind_the_others_in_their_own_request() -> None:
    left = unanswered([1, 1, 1, 1])
    assert not left.take_answer(1, AWAY)
    assert list(left.next_batch(lambda size: size, 100)) == [0, 2, 3]
    for index in (0, 2, 3):
        left.take_answer(index)
    assert list(left.next_batch(lambda size: size, 100)) == [1]
    assert left.times_unavailable(1) == 1


def test_silence_counts_as_unavailable() -> None:
    left = unanswered([1, 1], attempts=2)
    assert left.take_silence([0, 1]) == []
    left.take_answer(1)
    assert left.take_silence([0, 1]) == [0]
    assert len(left) == 0


def test_batches_are_halved_down_to_one() -> None:
    left = unanswered([1] * 10)
    assert left.halve_batches(range(10))
    assert len(left.next_batch(lambda size: size, 100)) == 5
    assert left.halve_batches(range(3))
    assert len(left.next_batch(lambda size: size, 100)) == 1
    assert not left.halve_batches([0])


def test_items_that_share_a_key_are_asked_for_together_though_some_were_unavailable() -> None:
    left = unanswered([1, 1, 1, 1, 1], max_items=4)
    key = left.key_of(left.next_batch(lambda size: size, 100))
    assert left.take_answer(0)
    assert not left.take_answer(2, AWAY)
    again = left.next_batch(lambda size: size, 100)
    assert sorted(again) == [1, 2, 3]
    assert left.key_of(again) == key
    for index in again:
        left.take_answer(index)
    rest = left.next_batch(lambda size: size, 100)
    assert list(rest) == [4]
    assert left.key_of(rest) != key


def keyed_batch(left: Unanswered[int]) -> tuple[list[int], str]:
    """The next request: its items and its key."""
    batch = list(left.next_batch(lambda size: size, 100))
    return batch, left.key_of(batch)


def test_halves_of_a_refused_request_have_keys_of_their_own() -> None:
    left = unanswered([1] * 4)
    batch, key = keyed_batch(left)
    assert left.halve_batches(batch)
    keys = [key]
    while len(left):
        batch, key = keyed_batch(left)
        keys.append(key)
        assert all(left.take_answer(index) for index in batch)
    assert len(set(keys)) == 3


def test_a_request_whose_outcome_is_unknown_keeps_its_key_when_another_is_refused() -> None:
    left = unanswered([1] * 6, max_items=4)
    first, key = keyed_batch(left)
    for index in first:
        assert not left.take_answer(index, AWAY)
    second, other_key = keyed_batch(left)
    assert (second, other_key != key) == ([4, 5], True)
    assert left.halve_batches(second)
    asked_again = []
    while len(left):
        batch, its_key = keyed_batch(left)
        asked_again += [(index, its_key) for index in batch]
        assert all(left.take_answer(index) for index in batch)
    assert [index for index, its_key in asked_again if its_key == key] == first
    assert other_key not in [its_key for _, its_key in asked_again]


def test_halves_of_a_request_that_may_have_been_stored_keep_its_key_unless_it_was_not() -> None:
    left = unanswered([1] * 4)
    _, key = keyed_batch(left)
    whole, key_again = keyed_batch(left)  # the connection was lost
    assert (whole, key_again) == ([0, 1, 2, 3], key)
    assert left.halve_batches(whole)
    half, half_key = keyed_batch(left)
    assert (half, half_key) == ([0, 1], key)
    assert all(left.take_answer(index) for index in half)
    assert keyed_batch(left) == ([2, 3], key)
    assert left.renew_key([2, 3])  # it came with the first half only
    assert keyed_batch(left)[1] != key


def test_a_key_that_was_sent_once_is_not_renewed() -> None:
    left = unanswered([1] * 4)
    batch, _ = keyed_batch(left)
    assert not left.renew_key(batch)

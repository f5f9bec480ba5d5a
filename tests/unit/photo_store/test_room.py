"""A store holds no more than it may, also with several photos on their way."""

import pytest

from pipeline.errors import StorageFullError
from pipeline.photo_store.room import COUNTED_S, StoreRoom


class Store:
    def __init__(self, held_bytes: int) -> None:
        self.held_bytes, self.counted, self.now_s = held_bytes, 0, 0.0

    def count(self) -> int:
        self.counted += 1
        return self.held_bytes

    def room(self, max_bytes: int | None) -> StoreRoom:
        return StoreRoom(max_bytes, self.count, lambda: self.now_s)


def test_what_fits_is_taken_and_the_next_byte_is_not() -> None:
    room = Store(60).room(100)
    room.take(30)
    room.take(10)
    with pytest.raises(StorageFullError, match="may hold 100 bytes and has 60"):
        room.take(1)
    room.settle(30, is_kept=False)
    room.take(30)


def test_what_was_kept_holds_its_room() -> None:
    room = Store(0).room(100)
    room.take(100)
    room.settle(100, is_kept=True)
    with pytest.raises(StorageFullError, match="has 100"):
        room.take(1)


def test_what_others_took_in_and_what_was_deleted_is_counted_after_a_while() -> None:
    store = Store(100)
    room = store.room(100)
    with pytest.raises(StorageFullError):
        room.take(1)
    store.held_bytes = 0
    with pytest.raises(StorageFullError):
        room.take(1)
    store.now_s = COUNTED_S + 1
    room.take(100)
    assert store.counted == 2


def test_without_a_bound_nothing_is_counted() -> None:
    store = Store(0)
    room = store.room(None)
    room.take(10**15)
    room.settle(10**15, is_kept=True)
    assert store.counted == 0

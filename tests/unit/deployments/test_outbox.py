"""What waits for one client: in order, within its window, bounded, and never for ever."""

import asyncio

import pytest

from deployments.flow import MESSAGE_OVERHEAD_BYTES, WINDOW_BYTES
from deployments.outbox import COALESCED_ABOVE_BYTES, Outbox
from pipeline.session.actions import CloseConnection, SendText


def outbox(windowed: bool = True, max_unsent_bytes: int = 10**7, timeout_s: float = 0.05) -> Outbox:
    return Outbox(windowed, max_unsent_bytes, timeout_s)


async def drain(box: Outbox) -> list[str]:
    texts = []
    while True:
        try:
            message = await asyncio.wait_for(box.next(), 0.02)
        except TimeoutError:
            return texts
        assert isinstance(message, SendText)
        texts.append(message.text)


async def test_messages_go_in_their_order() -> None:
    box = outbox()
    for number in range(5):
        box.put(SendText(str(number)))
    assert await drain(box) == ["0", "1", "2", "3", "4"]


async def test_no_more_is_sent_than_the_window_until_the_client_takes_it() -> None:
    box = outbox(timeout_s=5)
    half = "x" * (WINDOW_BYTES // 2)
    for _ in range(4):
        box.put(SendText(half))
    assert len(await drain(box)) == 2
    assert box.unsent_bytes == 4 * (len(half) + MESSAGE_OVERHEAD_BYTES)
    box.taken(2 * (len(half) + MESSAGE_OVERHEAD_BYTES))
    assert len(await drain(box)) == 2


async def test_a_message_longer_than_the_window_goes_alone() -> None:
    box = outbox(timeout_s=5)
    box.put(SendText("x" * (3 * WINDOW_BYTES)))
    box.put(SendText("y"))
    assert [text[0] for text in await drain(box)] == ["x"]


async def test_progress_is_sent_whole_while_the_client_keeps_up_and_coalesced_when_it_does_not() -> None:
    box = outbox()
    for done in range(3):
        box.put(SendText(f"{done}/3", replaces="1 segmenting"))
    assert await drain(box) == ["0/3", "1/3", "2/3"]
    box.put(SendText("x" * COALESCED_ABOVE_BYTES))
    for done in range(1000):
        box.put(SendText(f"{done}/1000", replaces="1 segmenting"))
        box.put(SendText(f"{done}/1000!", replaces="1 extracting"))
    box.put(SendText("the result"))
    assert (await drain(box))[1:] == ["999/1000", "999/1000!", "the result"]


async def test_progress_never_overtakes_what_was_said_before_it() -> None:
    box = outbox()
    box.put(SendText("x" * COALESCED_ABOVE_BYTES))
    box.put(SendText("1/2", replaces="1 segmenting"))
    box.put(SendText("entry"))
    box.put(SendText("2/2", replaces="1 segmenting"))
    assert (await drain(box))[1:] == ["2/2", "entry"]


async def test_a_client_that_takes_nothing_is_given_up_on_and_one_that_takes_a_little_is_not() -> None:
    box = outbox(timeout_s=0.1)
    for _ in range(3):
        box.put(SendText("x" * WINDOW_BYTES))
    assert isinstance(await box.next(), SendText)
    waiting = asyncio.create_task(box.next())
    for taken in range(1, 5):
        await asyncio.sleep(0.05)
        box.taken(taken)
    assert not waiting.done()
    with pytest.raises(TimeoutError):
        await waiting
    assert await drain(box) == []


async def test_a_close_comes_last_but_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.outbox.LAST_WORDS_S", 0.05)
    box = outbox(timeout_s=60)
    for _ in range(3):
        box.put(SendText("x" * WINDOW_BYTES))
    box.put(CloseConnection(1012, "restart"))
    assert isinstance(await box.next(), SendText)
    assert await box.next() == CloseConnection(1012, "restart")


async def test_a_client_without_reports_is_sent_everything_and_never_overfull() -> None:
    box = outbox(windowed=False, max_unsent_bytes=10)
    for _ in range(3):
        box.put(SendText("x" * WINDOW_BYTES))
    assert not box.overfull
    assert len(await drain(box)) == 3

import asyncio
from contextlib import aclosing

import pytest

from deployments.photo_queue import PhotoQueue
from pipeline.errors import UnavailableError
from pipeline.records import Extracted, Failure, PathSource, Segmented
from pipeline.session.actions import ExtractPhoto, Started
from pipeline.session.fair_queue import FairQueue

NOTHING = Extracted((), Failure("no_animal", "nothing there"), "ab")


class Metrics:
    def __init__(self):
        self.changes = []
        self.outcomes = []

    def in_flight(self, photos):
        self.changes.append(photos)

    def photo_answered(self, outcome):
        self.outcomes.append(outcome)


class ScriptedExtractor:
    """Plays a list of steps for each path; an exception in the list is raised, an event is waited for."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.cancelled = []
        self.ended = []

    async def hand_over(self, source):
        return source

    async def extract(self, photo, animals):
        try:
            for step in self.scripts[photo.path]:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
            self.ended.append(photo.path)
        except asyncio.CancelledError:
            self.cancelled.append(photo.path)
            raise


class Running:
    """A photo that somebody waits for."""

    def __init__(self, queue, client, path):
        self.seen = []
        self.call = ExtractPhoto(0, PathSource(path, local_peer=True), "best")
        self.task = asyncio.create_task(self._watch(queue, client))

    async def _watch(self, queue, client):
        async with aclosing(queue.extract(self.call, client)) as steps:
            async for step in steps:
                self.seen.append(step)

    async def stop(self):
        self.task.cancel()
        await settle()


def queue_for(scripts, per_client=4, total=8):
    extractor, metrics = ScriptedExtractor(scripts), Metrics()
    return PhotoQueue(extractor, FairQueue(per_client, total), metrics), extractor, metrics


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([Segmented(), NOTHING], "no_animal"),
        ([Segmented(), Segmented(), NOTHING], "no_animal"),
        ([NOTHING], "no_animal"),
        ([UnavailableError("gone")], "unavailable"),
        ([Segmented(), UnavailableError("gone")], "unavailable"),
        ([Segmented(), ValueError("a defect")], "internal"),
        ([Segmented()], "internal"),
        ([], "internal"),
    ],
)
async def test_every_photo_is_started_and_answered_exactly_once(script, outcome):
    queue, _, metrics = queue_for({"p": script})
    photo = Running(queue, "client", "p")
    await settle()
    assert photo.task.done()
    assert isinstance(photo.seen[0], Started)
    assert [step.failure.code for step in photo.seen if isinstance(step, Extracted)] == [outcome]
    assert isinstance(photo.seen[-1], Extracted)
    assert metrics.outcomes == [outcome]
    assert queue.in_flight == 0


async def test_an_answered_photos_steps_are_taken_to_their_end():
    queue, extractor, _ = queue_for({"p": [Segmented(), NOTHING, Segmented()]})
    photo = Running(queue, "client", "p")
    await settle()
    assert extractor.ended == ["p"]
    assert isinstance(photo.seen[-1], Extracted)


async def test_a_photo_that_is_worked_on_is_no_longer_held_by_its_call():
    queue, _, _ = queue_for({"p": [asyncio.Event()]})
    photo = Running(queue, "client", "p")
    await settle()
    assert photo.call.source is None
    await photo.stop()


async def test_in_flight_counts_queued_and_running():
    gate = asyncio.Event()
    queue, _, metrics = queue_for({"p": [gate, NOTHING]}, per_client=1)
    _photos = [Running(queue, "client", "p") for _ in range(3)]
    await settle()
    assert queue.in_flight == 3
    gate.set()
    await settle()
    assert queue.in_flight == 0
    assert max(metrics.changes) == 3
    assert metrics.changes[-1] == 0


async def test_stopped_photos_leave_the_queue_or_are_cancelled_and_nothing_more_is_said_of_them():
    queue, extractor, _ = queue_for({"slow": [asyncio.Event()]}, per_client=1)
    photos = [Running(queue, "client", "slow") for _ in range(3)]
    await settle()
    for photo in photos:
        photo.task.cancel()
    await settle()
    assert extractor.cancelled == ["slow"]
    assert [len(photo.seen) for photo in photos] == [1, 0, 0]
    assert queue.in_flight == 0


async def test_a_stopped_photo_leaves_its_place_to_the_next_one():
    gate = asyncio.Event()
    queue, _, _ = queue_for({"slow": [gate, NOTHING]}, per_client=1)
    first, waiting, last = (Running(queue, "client", "slow") for _ in range(3))
    await settle()
    await waiting.stop()
    await first.stop()
    gate.set()
    await settle()
    assert [isinstance(step, Extracted) for step in last.seen] == [False, True]
    assert queue.in_flight == 0


async def test_another_clients_photo_does_not_wait_for_a_long_queue():
    gate = asyncio.Event()
    queue, _, _ = queue_for({"slow": [gate, NOTHING], "quick": [NOTHING]}, per_client=2, total=3)
    _busy = [Running(queue, "busy", "slow") for _ in range(50)]
    await settle()
    newcomer = Running(queue, "newcomer", "quick")
    await settle()
    assert isinstance(newcomer.seen[-1], Extracted)
    gate.set()
    await settle()
    assert queue.in_flight == 0

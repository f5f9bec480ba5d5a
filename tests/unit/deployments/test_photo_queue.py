import asyncio

import pytest

from deployments.photo_queue import PhotoQueue
from pipeline.errors import UnavailableError
from pipeline.records import Extracted, Failure, PathSource, Segmented
from pipeline.session.actions import ExtractPhoto
from pipeline.session.fair_queue import FairQueue

NOTHING = Extracted((), Failure("no_animal", "nothing there"), "ab")


class Reports:
    def __init__(self):
        self.seen = []

    def photo_started(self, request, index):
        self.seen.append(("started", request, index))

    def photo_segmented(self, request, index):
        self.seen.append(("segmented", request, index))

    def photo_extracted(self, request, index, result):
        self.seen.append((result.failure.code if result.failure else "ok", request, index))


class ScriptedExtractor:
    """Plays a list of steps for each path; an exception in the list is raised, an event is waited for."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.cancelled = []

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
        except asyncio.CancelledError:
            self.cancelled.append(photo.path)
            raise


def desk_for(scripts, per_client=4, total=8):
    extractor, changes = ScriptedExtractor(scripts), []
    return PhotoQueue(extractor, FairQueue(per_client, total), changes.append), extractor, changes


def photo(path, request=1, index=0):
    return ExtractPhoto(request, index, PathSource(path, local_peer=True), "best")


async def settle():
    for _ in range(20):
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
async def test_every_photo_is_started_segmented_and_answered_exactly_once(script, outcome):
    desk, _, _ = desk_for({"p": script})
    reports = Reports()
    desk.submit("client", photo("p"), reports)
    await settle()
    assert reports.seen == [("started", 1, 0), ("segmented", 1, 0), (outcome, 1, 0)]
    assert desk.in_flight == 0


async def test_in_flight_counts_queued_and_running():
    gate = asyncio.Event()
    desk, _, changes = desk_for({"p": [gate, NOTHING]}, per_client=1)
    for index in range(3):
        desk.submit("client", photo("p", index=index), Reports())
    await settle()
    assert desk.in_flight == 3
    gate.set()
    await settle()
    assert desk.in_flight == 0
    assert max(changes) == 3
    assert changes[-1] == 0


async def test_stop_drops_queued_cancels_running_and_reports_nothing_more():
    desk, extractor, _ = desk_for({"slow": [asyncio.Event()]}, per_client=1)
    reports = Reports()
    for index in range(3):
        desk.submit("client", photo("slow", index=index), reports)
    await settle()
    desk.stop("client", 1)
    await settle()
    assert extractor.cancelled == ["slow"]
    assert reports.seen == [("started", 1, 0)]
    assert desk.in_flight == 0


async def test_stop_leaves_other_requests_and_clients_alone():
    gate = asyncio.Event()
    desk, _, _ = desk_for({"slow": [gate, NOTHING]}, per_client=2)
    kept, stopped, other = Reports(), Reports(), Reports()
    desk.submit("client", photo("slow", request=1), kept)
    desk.submit("client", photo("slow", request=2), stopped)
    desk.submit("other", photo("slow", request=1), other)
    await settle()
    desk.stop("client", 2)
    gate.set()
    await settle()
    assert kept.seen[-1] == ("no_animal", 1, 0)
    assert other.seen[-1] == ("no_animal", 1, 0)
    assert stopped.seen == [("started", 2, 0)]


async def test_another_clients_photo_does_not_wait_for_a_long_queue():
    gate = asyncio.Event()
    desk, _, _ = desk_for({"slow": [gate, NOTHING], "quick": [NOTHING]}, per_client=2, total=3)
    for index in range(50):
        desk.submit("busy", photo("slow", index=index), Reports())
    reports = Reports()
    desk.submit("newcomer", photo("quick"), reports)
    await settle()
    assert reports.seen[-1] == ("no_animal", 1, 0)
    gate.set()
    await settle()

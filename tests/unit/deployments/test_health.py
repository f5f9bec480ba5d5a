import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from ray.serve.exceptions import RayServeException

from deployments import health
from deployments.health import HealthCheck


@dataclass
class Status:
    """As much of Serve's status as is read."""

    value: str = "UPDATING"
    replica_states: dict[str, int] = field(default_factory=dict)
    deployments: dict[str, "Status"] = field(default_factory=dict)
    applications: dict[str, "Status"] = field(default_factory=dict)

    @property
    def status(self):
        return self


RUNNING = Status(replica_states={"RUNNING": 1})


def serving(**deployments):
    return Status(applications={"whales": Status(deployments=deployments)})


async def describe_matcher():
    return {"catalogue": {"individuals": 3}}


async def describe_segmenter():
    return {"model": "5e1f00d", "backend": "torch on cpu"}


async def silent():
    await asyncio.Event().wait()


class HungController:
    """Does not answer before it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.released = threading.Event()

    def __call__(self):
        self.asked += 1
        self.released.wait(20)
        return serving(Ingress=RUNNING)


@pytest.fixture
def hung_controller(monkeypatch):
    monkeypatch.setattr(health, "ASK_TIMEOUT_S", 0.1)
    controller = HungController()
    yield controller
    controller.released.set()


async def test_running_deployments_say_what_they_run():
    check = HealthCheck(
        "whales",
        ("Ingress", "Segmenter", "Matcher"),
        {"Segmenter": describe_segmenter, "Matcher": describe_matcher},
        lambda: serving(Ingress=RUNNING, Segmenter=RUNNING, Matcher=RUNNING),
    )
    answer = await check()
    assert answer.is_complete
    assert answer.models == {"Segmenter": "5e1f00d"}
    assert answer.backends == {"Segmenter": "torch on cpu"}
    assert answer.catalogue == {"individuals": 3}


async def test_deployment_that_starts_is_absent_or_silent_is_named(monkeypatch):
    monkeypatch.setattr(health, "ASK_TIMEOUT_S", 0.1)
    check = HealthCheck(
        "whales",
        ("Segmenter", "Matcher", "Ingress"),
        {"Matcher": silent},
        lambda: serving(Segmenter=Status(), Matcher=RUNNING),
    )
    assert (await check()).deployments == {"Segmenter": "updating", "Matcher": "missing", "Ingress": "missing"}


async def test_many_probes_ask_the_controller_once_a_second(monkeypatch):
    asked = []

    def controller():
        asked.append(1)
        return serving(Ingress=RUNNING)

    check = HealthCheck("whales", ("Ingress",), {}, controller)
    for _ in range(50):
        assert (await check()).is_complete
    assert len(asked) == 1
    monkeypatch.setattr(health, "STATES_HOLD_S", 0.0)
    await check()
    assert len(asked) == 2


async def test_deployment_that_starts_is_not_waited_for():
    asked = []

    async def starting():
        asked.append("Segmenter")
        await asyncio.Event().wait()

    check = HealthCheck("whales", ("Segmenter",), {"Segmenter": starting}, lambda: serving(Segmenter=Status()))
    assert (await check()).deployments == {"Segmenter": "updating"}
    assert asked == []


async def test_controller_that_is_gone_leaves_the_states_unknown():
    def gone():
        raise RayServeException("no controller")

    assert (await HealthCheck("whales", ("Ingress",), {}, gone)()).deployments == {"Ingress": "unknown"}


async def test_hung_controller_is_not_waited_for(hung_controller):
    async with asyncio.timeout(5):
        answer = await HealthCheck("whales", ("Ingress",), {}, hung_controller)()
    assert answer.deployments == {"Ingress": "unknown"}


async def test_probes_of_a_hung_controller_take_no_thread_of_other_work(hung_controller):
    check = HealthCheck("whales", ("Ingress",), {}, hung_controller)
    for _ in range(3):
        await asyncio.gather(*(check() for _ in range(20)))
    assert hung_controller.asked == 1
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: "saved") == "saved"


async def test_controller_that_answers_again_is_believed(hung_controller):
    check = HealthCheck("whales", ("Ingress",), {}, hung_controller)
    await check()
    hung_controller.released.set()
    await asyncio.sleep(0.5)
    assert (await check()).is_complete

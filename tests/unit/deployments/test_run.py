"""The start command's wait for its applications, without Ray: `serve.status` is scripted."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray.exceptions import RayActorError
from ray.serve.schema import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    DeploymentStatusOverview,
    DeploymentStatusTrigger,
    ServeStatus,
)

from deployments import run

CONFIG = Path(__file__).parents[3] / "serve_config.yaml"
RUNNING, DEPLOYING, FAILED = ApplicationStatus.RUNNING, ApplicationStatus.DEPLOYING, ApplicationStatus.DEPLOY_FAILED
WHY = "The deployment failed to start 3 times in a row: fluke.pth cannot be read"


def deployment(status: DeploymentStatus, message: str = "") -> DeploymentStatusOverview:
    return DeploymentStatusOverview(status, DeploymentStatusTrigger.UNSPECIFIED, {}, message)


def status(**applications: ApplicationStatus) -> ServeStatus:
    """What Serve says of applications; one that failed has an embedder that cannot start."""
    deployments = {
        "embedder": deployment(DeploymentStatus.DEPLOY_FAILED, WHY),
        "ingress": deployment(DeploymentStatus.UPDATING, "waiting"),
    }
    return ServeStatus(
        applications={
            name: ApplicationStatusOverview(
                state, "Failed to update the deployments ['embedder']." if state is FAILED else "", 0.0, deployments
            )
            for name, state in applications.items()
        }
    )


Script = Callable[..., None]


@pytest.fixture
def serve_says(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Takes what Serve answers from now on, one after the other; asking once more fails the test."""
    monkeypatch.setattr(run, "POLL_S", 0.0)

    def script(*answers: ServeStatus | Exception) -> None:
        left: Iterator[ServeStatus | Exception] = iter(answers)

        def answer() -> ServeStatus:
            given = next(left)
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(run.serve, "status", answer)

    return script


def test_applications_that_run_are_waited_for(serve_says: Script) -> None:
    serve_says(
        status(whales=DEPLOYING, other=RUNNING),
        RayActorError(),
        status(whales=RUNNING),
        status(whales=RUNNING, other=RUNNING),
    )
    assert run._wait_until_ready({"whales", "other"})


def test_an_application_that_cannot_start_ends_the_wait_and_is_said_once(
    serve_says: Script, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "logger", logging.getLogger(__name__))
    serve_says(status(whales=DEPLOYING, other=RUNNING), status(whales=FAILED, other=RUNNING))
    assert not run._wait_until_ready({"whales", "other"})
    (line,) = caplog.messages
    assert line == f"whales cannot start: Failed to update the deployments ['embedder']. embedder: {WHY}"


def test_an_application_of_somebody_else_in_the_cluster_may_fail(serve_says: Script) -> None:
    serve_says(status(whales=RUNNING, foreign=FAILED))
    assert run._wait_until_ready({"whales"})


def test_the_start_command_stops_and_returns_1_where_an_application_cannot_start(
    serve_says: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(run.ray, "init", lambda **_: done.append("init"))
    monkeypatch.setattr(run.ray, "shutdown", lambda: done.append("shutdown"))
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    monkeypatch.setattr(run, "_deploy", lambda _config: done.append("deploy"))
    monkeypatch.setattr(run, "_stop", lambda _times: done.append("stop"))
    serve_says(status(**dict.fromkeys(run._stop_times(CONFIG), FAILED)))
    assert run.main(CONFIG) == 1
    assert done == ["init", "deploy", "stop", "shutdown"]

"""Runs a Serve config file as `serve run` does, and stops as that does not: clients are told, and running requests end.

    python -m deployments.run serve_config.yaml

The start command becomes this once everything is checked. SIGINT (Ctrl-C) and SIGTERM stop; a second one ends at once.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
import ray
import yaml
from ray import serve
from ray.exceptions import RayError
from ray.serve._private.api import serve_start
from ray.serve.config import gRPCOptions
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, ServeDeploySchema

from pipeline.settings import load_settings

logger = logging.getLogger("ray.serve")
"""Serve's own logger, so that these lines stand among its lines on the console."""

NAMESPACE = "serve"
"""Of all Serve applications of a Ray cluster."""

ANSWER_MARGIN_S = 3.0
"""How much longer than the time that it was given an ingress replica may take to say that its sockets are closed."""

SHUTDOWN_TIMEOUT_S = 10.0
"""For Serve to end its replicas, which have nothing left to do by then."""

POLL_S = 1.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CANNOT_START = 1
ENDED_BY_SIGNAL = 128
"""A shell's exit status for it, to which the signal's number is added."""


def main(config: Path, dashboard: bool = False) -> int:
    """Serve until a signal comes, then stop in order.

    Args:
        config: a Serve config file that the start command found in order.
        dashboard: start Ray's dashboard, too, where this starts a cluster of its own.

    Returns:
        The exit status; 0 for a stop in order, 1 where an application cannot start.
    """
    times = _stop_times(config)  # not when it stops: by then the file may be the next release's
    exit_status = 0
    try:
        ray.init(namespace=NAMESPACE, include_dashboard=dashboard)
        for number in SIGNALS:  # only now: `ray.init` sets handlers of its own
            signal.signal(number, _stop_in_order)
        _deploy(config)
        if _wait_until_ready(set(times)):
            logger.info("The application is ready.")
            while True:
                time.sleep(3600)
        exit_status = CANNOT_START
        _stop(times)
    except KeyboardInterrupt:
        if ray.is_initialized():  # it came later than in the middle of `ray.init`
            _stop(times)
    finally:
        ray.shutdown()
    return exit_status


def _deploy(config: Path) -> None:
    """Do what `serve run` does with a config file."""
    document = ServeDeploySchema.model_validate(yaml.safe_load(config.read_text(encoding="utf-8")))
    client = serve_start(
        http_options=document.http_options.model_dump(),
        proxy_location=document.proxy_location,
        grpc_options=gRPCOptions(**document.grpc_options.model_dump()),
        controller_options=document.controller_options,
    )
    client.deploy_apps(document)


def _wait_until_ready(applications: set[str]) -> bool:
    """Return whether all applications came to run; False, with a log line that says why, once one has failed to start.

    Serve tries a replica that cannot start a few times, and then no more.
    """
    while True:
        time.sleep(POLL_S)
        try:
            states = serve.status().applications
        except (RayError, RayServeException):  # its controller is being started again
            continue
        ours = {name: state for name, state in states.items() if name in applications}
        failed = {name: state for name, state in ours.items() if state.status is ApplicationStatus.DEPLOY_FAILED}
        for name, state in failed.items():
            logger.error("%s cannot start: %s", name, _why_failed(state))
        if failed:
            return False
        if applications == {name for name, state in ours.items() if state.status is ApplicationStatus.RUNNING}:
            return True


def _why_failed(state: ApplicationStatusOverview) -> str:
    """Return Serve's words: the application's message may only name deployments, whose own messages have the error."""
    deployments = [
        f"{name}: {deployment.message}"
        for name, deployment in state.deployments.items()
        if deployment.status.value == "DEPLOY_FAILED"
    ]
    return " ".join([state.message, *deployments])


def _stop(times: Mapping[str, float]) -> None:
    """Let clients go, then Serve; not waited for without end, because a cluster may hang."""
    logger.info("Stopping: running requests have a little time to end. A second Ctrl-C ends at once.")
    thread = threading.Thread(target=asyncio.run, args=[_let_go(times)], daemon=True)
    thread.start()
    thread.join(max(times.values()) + ANSWER_MARGIN_S + SHUTDOWN_TIMEOUT_S)


def _stop_times(config: Path) -> dict[str, float]:
    """Return for how long each application's requests may go on."""
    applications = yaml.safe_load(config.read_text(encoding="utf-8"))["applications"]
    settings = [load_settings(config, place) for place in range(len(applications))]
    names = [application.get("name", "default") for application in applications]
    return {name: each.timeouts.stop_timeout_s for name, each in zip(names, settings, strict=True)}


async def _let_go(times: Mapping[str, float]) -> None:
    """Do both in one event loop: the handles that `drain` is sent by belong to it, and Serve closes them at the end."""
    try:
        await asyncio.gather(*(_drain(application, seconds) for application, seconds in times.items()))
    finally:
        await serve.shutdown_async()


async def _drain(application: str, seconds: float) -> None:
    """Tell every ingress replica of an application; one that is not there yet has no clients."""
    try:
        async with asyncio.timeout(seconds + ANSWER_MARGIN_S):
            await serve.get_app_handle(application).broadcast("drain", seconds).results_async()
    except (TimeoutError, RayError, RayServeException) as error:
        logger.warning("%s: not every client could be told: %s", application, error or "no answer in time")


def _stop_in_order(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, _end_at_once)
    raise KeyboardInterrupt


def _end_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    """Take along the cluster that this process started: Ray's agents would outlive it."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            child.kill()
    os._exit(ENDED_BY_SIGNAL + number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m deployments.run", description=__doc__)
    parser.add_argument("config", type=Path, help="Serve config file")
    parser.add_argument("--dashboard", action="store_true", help="start Ray's dashboard, too")
    options = parser.parse_args()
    sys.exit(main(options.config, options.dashboard))

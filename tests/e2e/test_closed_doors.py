"""The Ray cluster that a service makes for itself: who gets in, and from where."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest

from benchmarks.serving import Application, Running, start_command
from deployments.launch import ON_LOOPBACK
from pipeline.catalogue.service_lock import check_not_held
from pipeline.errors import CatalogueHeldError

pytestmark = pytest.mark.serve

DRIVER = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"
STATUS = "import sys; from ray.scripts.scripts import cli; cli(['status', '--address', sys.argv[1]])"
REPLICA_CALL = "/ray.serve.ASGIService/HandleRequest"
ANSWER_S = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(light_models: Path, folder: Path) -> Iterator[Running]:
    """A service as the start command starts it where nothing of Ray is set."""
    application = Application("whales", {"models_dir": str(light_models)})
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            environment.delenv(name)
        with start_command(folder, [application], orderly=False) as running:
            running.wait_until_healthy(application)
            yield running


@pytest.fixture(scope="module")
def token(service: Running) -> str:
    return psutil.Process(service.process.pid).environ()["RAY_AUTH_TOKEN"]


def family(service: Running) -> list[psutil.Process]:
    command = psutil.Process(service.process.pid)
    return [command, *command.children(recursive=True)]


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    """The addresses that a process listens on."""
    found = process.net_connections(kind="tcp")
    return [(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN]


def ask_cluster(
    service: Running, program: str, folder: Path, given: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a program against the cluster, as somebody else who is on this machine."""
    (head,) = [process for process in family(service) if process.name() == "gcs_server"]
    ((_, port),) = listening(head)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-c", program, f"127.0.0.1:{port}"],
        env=environment | {"HOME": str(folder)} | ON_LOOPBACK | given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
    )


@pytest.mark.parametrize(
    ("program", "given"),
    [
        pytest.param(DRIVER, {}, id="driver without a token"),
        pytest.param(STATUS, {}, id="ray status without a token"),
        pytest.param(STATUS, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, id="ray status with another"),
    ],
)
def test_nobody_gets_into_the_cluster_without_its_token(service, token, tmp_path, program, given):
    refused = ask_cluster(service, program, tmp_path, given)
    assert refused.returncode != 0
    assert "Authentication token is missing or incorrect" in refused.stderr, refused.stderr
    allowed = ask_cluster(service, program, tmp_path, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token})
    assert allowed.returncode == 0, allowed.stderr


def test_only_replicas_listen_beyond_the_loopback_interface_and_ask_for_the_token(service):
    open_ports = [
        (process.name(), port)
        for process in family(service)
        for ip, port in listening(process)
        if ip.removeprefix("::ffff:") != "127.0.0.1"
    ]
    assert len(open_ports) > 0, "Ray has changed: docs/operations.md says otherwise"
    for name, port in open_ports:
        assert name.startswith("ray::ServeRepl"), (name, port)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(REPLICA_CALL)(b"", timeout=ANSWER_S)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_token_stands_in_no_command_line_and_in_no_log(service, token, folder):
    assert not [process for process in family(service) if token in " ".join(process.cmdline())]
    (session,) = Path("/tmp/ray").glob(f"session_*_{service.process.pid}")
    files = [file for tree in (session, folder) for file in tree.rglob("*") if file.is_file()]
    assert [file for file in files if token.encode() in file.read_bytes()] == []


def test_the_catalogue_is_held_for_as_long_as_the_service_runs(service, folder):
    url = f"sqlite:///{folder / 'whales.sqlite'}"
    with pytest.raises(CatalogueHeldError, match=f"process {service.process.pid} on"):
        check_not_held([url])
    children = family(service)[1:]
    service.process.kill()  # the last test: nothing runs afterwards
    service.process.wait()
    check_not_held([url])
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()

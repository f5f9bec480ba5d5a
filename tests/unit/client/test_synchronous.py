"""The blocking client: from threads, inside event loops, interrupted."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.client import Client, ClientOptions, Progress, ServerUnreachableError
from pipeline.client.errors import ClientClosedError
from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread

QUICK = ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A scripted server on an event loop in another thread."""
    with served_in_a_thread(ScriptedServer()) as scripted:
        yield scripted


def test_every_call_answers(server: ScriptedServer) -> None:
    seen: list[Progress] = []
    with Client(server.url, options=QUICK) as client:
        found = client.extract(["a", "b"], on_progress=seen.append)
        assert [result.path for result in found] == ["a", "b"]
        assert [result.path for result in client.extract_stream(["c", "d"])] == ["c", "d"]
        assert client.identify(found, 1)[1].candidates[0].individual == "PMOD001_DANTE"
        assert client.confirm(found[:1], "NOVA")[0].identity == "NOVA"
        assert client.save([("a", "NOVA")])[0].new_file == "export/NOVA/a"
    assert seen[-1] == Progress("extracting", 2, 2)
    assert server.confirmed == {"a": "NOVA"}


def test_threads_share_a_client(server: ScriptedServer) -> None:
    with Client(server.url, options=QUICK) as client, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda name: client.extract([name + str(n) for n in range(20)]), "abcd"))
    assert [[result.path for result in answer] for answer in answers] == [
        [name + str(n) for n in range(20)] for name in "abcd"
    ]
    assert len(server.connections) == 1


async def test_it_works_where_an_event_loop_is_running(server: ScriptedServer) -> None:
    with Client(server.url, options=QUICK) as client:
        assert len(client.extract(["a"])) == 1


def test_leaving_a_stream_cancels_the_rest(server: ScriptedServer) -> None:
    server.delay_s = 0.005
    with Client(server.url, options=QUICK) as client:
        stream = client.extract_stream([str(number) for number in range(500)])
        next(stream)
        stream.close()
        time.sleep(0.05)
        assert server.cancelled == ["1"]
        assert len(client.extract(["after"])) == 1


def test_errors_reach_the_caller() -> None:
    with Client("ws://127.0.0.1:1", options=QUICK) as client, pytest.raises(ServerUnreachableError):
        client.extract(["a"])


def test_a_closed_client_leaves_no_thread_and_says_so(server: ScriptedServer) -> None:
    before = threading.active_count()
    client = Client(server.url, options=QUICK)
    client.extract(["a"])
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(ClientClosedError):
        client.extract(["a"])


def test_closing_ends_a_call_in_another_thread(server: ScriptedServer) -> None:
    server.delay_s = 10.0
    client = Client(server.url, options=QUICK)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.extract, ["a"])
        time.sleep(0.2)
        client.close()
        with pytest.raises(ClientClosedError):
            call.result(timeout=5)


def run_in_a_process(script: str, url: str) -> "subprocess.Popen[str]":
    """Run a program of a user: a blocking client, `client`, is there."""
    program = f"from pipeline.client import Client\nclient = Client({url!r})\n{script}"
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.PIPE, text=True)


def test_a_program_that_forgets_to_close_its_client_still_ends(server: ScriptedServer) -> None:
    with run_in_a_process("client.extract(['a'])", server.url) as process:
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_an_interrupted_call_is_cancelled_on_the_server_and_leaves_the_client_usable(server: ScriptedServer) -> None:
    server.delay_s = 30.0
    script = "try:\n client.extract(['a'])\nexcept KeyboardInterrupt:\n client.save([('b', 'NOVA')])"
    with run_in_a_process(script, server.url) as process:
        deadline = time.monotonic() + 20
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert server.cancelled == ["1"]
    assert [request["type"] for request in server.requests] == ["extract", "save"]

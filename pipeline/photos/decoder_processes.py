"""The decoding processes as their parent sees them: started, asked and killed; `decoder_main` is their own side."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from pipeline.errors import UnavailableError, UnreadablePhotoError
from pipeline.records import Failure

_START_TIMEOUT_S = 30.0
_ROOT = str(Path(__file__).parents[2])
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a process that forks should have no other threads
    "MALLOC_MMAP_THRESHOLD_": str(2**18),  # a photo's memory goes back to the system
    "MALLOC_TRIM_THRESHOLD_": str(2**20),
    "MALLOC_ARENA_MAX": "2",
}


class DecoderServer:
    """The process that decoders are forked off; started anew where it ended. Threads may share it."""

    def __init__(self) -> None:
        """Start the process; does not wait until it is ready."""
        self._lock = Lock()
        self._process, self._control = self._start()

    def fork(self) -> tuple[Connection, int]:
        """Start a decoder; returns its connection and a pidfd.

        Raises:
            OSError: no process can be started.
            EOFError: the process ended while it was asked.
        """
        with self._lock:
            try:
                return self._fork()
            except ConnectionError:  # the process has ended, and the decoders with it
                self.close()
                self._process, self._control = self._start()
                return self._fork()

    def close(self) -> None:
        """End the process, and with it every decoder."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join(entry for entry in (_ROOT, os.environ.get("PYTHONPATH")) if entry)
            command = [sys.executable, "-P", "-m", "pipeline.photos.decoder_main", str(theirs.fileno())]
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=os.environ | _ENVIRONMENT | {"PYTHONPATH": path}
            )
        return process, ours

    def _fork(self) -> tuple[Connection, int]:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"d"], [theirs.fileno()])
        connection = Connection(ours.detach())
        if not connection.poll(_START_TIMEOUT_S):
            self._process.kill()
            raise OSError("the process that decoders are forked off does not answer")
        return connection, os.pidfd_open(int(connection.recv_bytes()))


class DecoderProcess:
    """One decoder, started with its first message. Its methods block; `kill` may be called from any thread."""

    def __init__(self, server: DecoderServer) -> None:
        """Name where to start it."""
        self._server = server
        self._lock = Lock()
        self._connection: Connection | None = None
        self._pidfd: int | None = None
        self._killed = False

    def ask(
        self, message: Mapping[str, object], payload: bytes, timeout_s: float, shown: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for its answer.

        Raises:
            ItemError: what is wrong with the photo; or it made the decoder hang or crash; or there is no decoder.
        """
        connection = self._connection or self._start(shown)
        try:
            _send(connection, message, payload)
            if not connection.poll(timeout_s):
                self.kill()
                raise UnreadablePhotoError(
                    f"{shown}: took longer than {timeout_s:g} s to decode; it is damaged, or raise"
                    " timeouts.decode_timeout_s"
                )
            answer, result = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (OSError, EOFError) as error:
            raise UnreadablePhotoError(
                f"{shown}: made the decoder crash; it is damaged, so copy it again from the camera or card"
            ) from error
        if "failure" in answer:
            raise Failure(*answer["failure"]).as_error()
        return answer, result

    def forget(self) -> bool:
        """Have the decoder let go of its photo; returns False where it is dead."""
        try:
            if self._killed or self._connection is None:
                return False
            _send(self._connection, {"do": "forget"}, b"")
        except OSError:
            return False
        return True

    def is_alive(self) -> bool:
        """Tell whether the decoder still waits for messages; one that is idle has nothing to say but that it ended."""
        try:
            return self._connection is not None and not self._killed and not self._connection.poll(0)
        except OSError:
            return False

    def kill(self) -> None:
        """End the decoder, whatever it does; the connection is closed with the last reference to it."""
        with self._lock:
            self._killed = True
            self._signal()

    def _start(self, shown: str) -> Connection:
        try:
            connection, pidfd = self._server.fork()
        except (OSError, EOFError) as error:
            raise UnavailableError(f"{shown}: the server cannot start a decoder ({error}); send it again") from error
        with self._lock:
            self._connection, self._pidfd = connection, pidfd
            if self._killed:
                self._signal()
        return connection

    def _signal(self) -> None:
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(self._pidfd)
                self._pidfd = None


def _send(connection: Connection, message: Mapping[str, object], payload: bytes) -> None:
    connection.send_bytes(json.dumps(message).encode())
    connection.send_bytes(payload)

"""Whose photo is next: bounded work in flight, shared fairly between clients (no I/O, no clock)."""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass(slots=True)
class _Client(Generic[Job]):
    waiting: deque[Job] = field(default_factory=deque)
    running: int = 0
    since: int = 0


class FairQueue(Generic[Job]):
    """Jobs wait here until it is their client's turn and there is room.

    The next turn goes to the client with the fewest jobs running and, among those, to the one that came, or last saw a
    job end, longest ago. So whatever one client has queued, a newcomer's job has at most `per_client` jobs of each
    other client before it: those that were running when it came.
    """

    def __init__(self, per_client: int, total: int) -> None:
        """Set the bounds.

        Args:
            per_client: jobs of one client that run at once, at most.
            total: jobs that run at once, at most.
        """
        self._per_client = per_client
        self._total = total
        self._clients: dict[Hashable, _Client[Job]] = {}
        self._running = 0
        self._events = 0

    @property
    def running(self) -> int:
        """How many jobs have been taken and are not done."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return sum(len(client.waiting) for client in self._clients.values())

    def add(self, client: Hashable, job: Job) -> None:
        """Queue a job behind the same client's earlier ones."""
        if client not in self._clients:
            self._clients[client] = _Client(since=self._next_event())
        self._clients[client].waiting.append(job)

    def take(self) -> tuple[Hashable, Job] | None:
        """Take the next job, or None where nothing may start; each taken job must be reported by `done`."""
        ready = [name for name, client in self._clients.items() if client.waiting and client.running < self._per_client]
        if self._running >= self._total or not ready:
            return None
        name = min(ready, key=lambda name: (self._clients[name].running, self._clients[name].since))
        client = self._clients[name]
        self._running += 1
        client.running += 1
        return name, client.waiting.popleft()

    def done(self, client: Hashable) -> None:
        """Report that one taken job of this client ended, however it did."""
        self._running -= 1
        self._clients[client].running -= 1
        self._clients[client].since = self._next_event()
        self._forget_if_idle(client)

    def discard(self, client: Hashable, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Drop a client's waiting jobs for which `unwanted` holds and return them; running ones are not touched."""
        if client not in self._clients:
            return []
        jobs = self._clients[client].waiting
        dropped = [job for job in jobs if unwanted(job)]
        self._clients[client].waiting = deque(job for job in jobs if not unwanted(job))
        self._forget_if_idle(client)
        return dropped

    def _next_event(self) -> int:
        self._events += 1
        return self._events

    def _forget_if_idle(self, client: Hashable) -> None:
        state = self._clients[client]
        if not state.waiting and not state.running:
            del self._clients[client]

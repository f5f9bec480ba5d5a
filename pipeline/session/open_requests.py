"""The requests of one connection: which run, under which number and `id`; which ended lately; which wait."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from pipeline.errors import TooManyRequestsError
from pipeline.session.errors import PolicyViolationError
from pipeline.session.jobs import Job

MAX_REMEMBERED_IDS = 256
"""Ended requests whose late `cancel` and `ack` (they crossed with the end) are told from unknown ids."""


MAX_SUBSCRIPTIONS = 32
"""Of one connection."""


class OpenRequests:
    """Running requests by number and by `id`."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def idle(self) -> bool:
        """Whether no request is unfinished, but for those that have no end."""
        return all(job.subscribes for job in self)

    def require_room(self, subscribes: bool, most: int) -> None:
        """Refuse a request with an `id`, or a subscription, where as many of these run as may.

        Raises:
            TooManyRequestsError: there is no room.
        """
        most = MAX_SUBSCRIPTIONS if subscribes else most
        if sum(self._jobs[number].subscribes == subscribes for number in self._numbers.values()) >= most:
            what = "subscriptions" if subscribes else "requests"
            raise TooManyRequestsError(f"{most} {what} are running on this connection; wait for one to end")

    def add(self, job: Job, request_id: str | None) -> None:
        """Note that a request runs."""
        self._jobs[job.number] = job
        if request_id is not None:
            self._numbers[request_id] = job.number
            self._ids[job.number] = request_id
            self._ended.pop(request_id, None)

    def end(self, job: Job) -> int | None:
        """Note that a request has ended.

        Returns:
            The number of the ended request that is forgotten for it, if one is.
        """
        del self._jobs[job.number]
        request_id = self._ids.pop(job.number, None)
        if request_id is None:
            return None
        del self._numbers[request_id]
        self._ended[request_id] = job.number
        return self._ended.popitem(last=False)[1] if len(self._ended) > MAX_REMEMBERED_IDS else None

    def numbered(self, number: int) -> Job | None:
        """Return the running request of this number."""
        return self._jobs.get(number)

    def running(self, request_id: str) -> Job | None:
        """Return the running request of this `id`."""
        number = self._numbers.get(request_id)
        return None if number is None else self._jobs[number]

    def ended(self, request_id: str) -> int | None:
        """Return the number of the request of this `id` that ended lately."""
        return self._ended.get(request_id)

    def id_of(self, number: int) -> str:
        """Return the `id` of a running request that has one."""
        return self._ids[number]


MAX_WAITING_BYTES = 32 * 2**20
"""Text of the classic requests that wait for their turn on one connection."""

_Item = TypeVar("_Item")


class ClassicQueue(Generic[_Item]):
    """Classic requests that wait for the one before them."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[_Item, int]] = deque()
        self._waiting_bytes = 0

    def add(self, item: _Item, text_bytes: int) -> None:
        """Let a request wait.

        Raises:
            PolicyViolationError: the client sends requests faster than it lets them be answered.
        """
        if len(self._waiting) >= self._max_waiting or self._waiting_bytes + text_bytes > MAX_WAITING_BYTES:
            raise PolicyViolationError("too many requests wait for their turn; wait for answers, or use ids")
        self._waiting.append((item, text_bytes))
        self._waiting_bytes += text_bytes

    def take(self) -> _Item | None:
        """Return the next request, None where none waits."""
        if not self._waiting:
            return None
        item, text_bytes = self._waiting.popleft()
        self._waiting_bytes -= text_bytes
        return item

"""The state of the whole application, as `/healthz` and the page show it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from pipeline.errors import WhaleVisionError

logger = logging.getLogger(__name__)

RUNNING = "running"
MISSING = "missing"
UNKNOWN = "unknown"
ASK_TIMEOUT_S = 2.0
STATES_HOLD_S = 1.0
"""For so long Serve's controller is not asked again, whoever probes: while the service starts it has enough to do."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the deployments say of themselves.

    Attributes:
        deployments: name -> state ("running" or why not).
        models: deployment -> short hash of the weights it runs.
        backends: deployment -> what runs them and where, for example "openvino on cpu".
        catalogue: counts of individuals, photos and rows of other models' embeddings; None while nobody answers for it.
    """

    deployments: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    catalogue: Mapping[str, int] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every deployment runs."""
        return all(state == RUNNING for state in self.deployments.values())

    @property
    def status(self) -> str:
        """One word for probes."""
        return "ok" if self.is_complete else "incomplete"

    def as_json(self) -> dict[str, Any]:
        """Return the body of `/healthz`."""
        return {
            "status": self.status,
            "deployments": dict(self.deployments),
            "models": dict(self.models),
            "backends": dict(self.backends),
            "catalogue": dict(self.catalogue) if self.catalogue is not None else None,
        }


Describe = Callable[[], Awaitable[Mapping[str, Any]]]
"""Asks one deployment about itself; raises where it does not answer."""


class HealthCheck:
    """Asks Serve for the deployments' states and the deployments for what they run."""

    def __init__(
        self,
        application: str,
        expected: tuple[str, ...],
        describers: Mapping[str, Describe],
        ask_controller: Callable[[], Any] = serve.status,
    ) -> None:
        """Set up.

        Args:
            application: name of the Serve application.
            expected: names of all its deployments.
            describers: of those that have something to say.
            ask_controller: returns Serve's status; blocks for as long as the controller hangs.
        """
        self._application = application
        self._expected = expected
        self._describers = describers
        self._ask_controller = ask_controller
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._asking: asyncio.Future[dict[str, str]] | None = None
        self._asked_s = 0.0

    async def __call__(self) -> Health:
        """Ask all that may run, since one that starts would be waited for; one that gives no answer is missing."""
        states = dict(await self._states_in_time())
        asked = [name for name in self._describers if states.get(name) in (RUNNING, UNKNOWN)]
        described = dict(zip(asked, await asyncio.gather(*map(self._ask, asked)), strict=True))
        silent = [name for name, answer in described.items() if answer is None]
        states |= {name: MISSING for name in silent if states.get(name) == RUNNING}
        known = {name: answer for name, answer in described.items() if answer is not None}
        return Health(
            deployments=states,
            models={name: answer["model"] for name, answer in known.items() if "model" in answer},
            backends={name: answer["backend"] for name, answer in known.items() if "backend" in answer},
            catalogue=next((answer["catalogue"] for answer in known.values() if "catalogue" in answer), None),
        )

    async def _states_in_time(self) -> Mapping[str, str]:
        """Ask the controller, or share what it answers whoever asked last: one that hangs costs one thread."""
        now_s = time.monotonic()
        if self._asking is None or (self._asking.done() and now_s - self._asked_s >= STATES_HOLD_S):
            self._asked_s = now_s
            self._asking = asyncio.get_running_loop().run_in_executor(self._thread, self._states)
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            logger.warning("Serve's controller did not answer within %g s", ASK_TIMEOUT_S)
            return dict.fromkeys(self._expected, UNKNOWN)

    def _states(self) -> dict[str, str]:
        try:
            applications = self._ask_controller().applications
        except (RayError, RayServeException) as error:
            logger.warning("Serve's controller did not answer: %s", error)
            return dict.fromkeys(self._expected, UNKNOWN)
        status = applications.get(self._application)
        deployments = status.deployments if status is not None else {}
        return {name: _state(deployments.get(name)) for name in self._expected}

    async def _ask(self, name: str) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await self._describers[name]()
        except (TimeoutError, RayError, RayServeException, WhaleVisionError) as error:
            logger.warning("%s does not answer: %s", name, error)
            return None


def _state(status: Any) -> str:
    """A deployment runs when at least one of its replicas does, whatever else it is being scaled to."""
    if status is None:
        return MISSING
    if status.replica_states.get("RUNNING", 0) > 0:
        return RUNNING
    return str(status.status.value).lower()

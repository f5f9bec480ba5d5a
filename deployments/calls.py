"""Calls to other deployments: with a deadline, repeated while a replica restarts, cancelled when nobody waits.

Every call made through this module must be safe to repeat: Serve does not say whether a replica that died had done it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from pipeline.errors import UnavailableError, WhaleVisionError

logger = logging.getLogger(__name__)

TRANSIENT = (RayActorError, BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError)
"""Errors after which the same call may succeed on another, or the restarted, replica."""

OUTER_MARGIN_S = 10.0
"""By how much a call outlasts the ones that are made for it in turn: an error names the stage that hangs."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


async def call(send: Callable[[], Any], stage: str, timeout_s: float) -> Any:
    """Call a deployment until it answers.

    Args:
        send: makes the call and returns Serve's response; called again for each attempt.
        stage: the deployment's name, for log and error.
        timeout_s: for all attempts together.

    Raises:
        UnavailableError: no answer in time.
        WhaleVisionError: as the deployment raised it.
    """
    try:
        async with asyncio.timeout(timeout_s):
            async for _attempt in _attempts():
                response = send()
                try:
                    return await response
                except TRANSIENT as error:
                    logger.warning("%s: replica lost or busy (%s); asking again", stage, type(error).__name__)
                except RayTaskError as error:
                    raise _cause(error) from error
                except asyncio.CancelledError:
                    response.cancel()
                    raise
    except TimeoutError as error:
        raise _no_answer(stage, timeout_s) from error


async def stream(send: Callable[[], Any], stage: str, timeout_s: float) -> AsyncIterator[Any]:
    """Call a streaming deployment method until it has answered whole; a repeated attempt yields from the start again.

    Raises:
        UnavailableError: no answer in time.
        WhaleVisionError: as the deployment raised it.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    async for _attempt in _attempts():
        responses = send()
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    step = await anext(responses, _END)
                if step is _END:
                    return
                yield step
        except TRANSIENT as error:
            logger.warning("%s: replica lost or busy (%s); asking again", stage, type(error).__name__)
        except RayTaskError as error:
            raise _cause(error) from error
        except TimeoutError as error:
            responses.cancel()
            raise _no_answer(stage, timeout_s) from error
        except (asyncio.CancelledError, GeneratorExit):
            responses.cancel()
            raise
        if asyncio.get_running_loop().time() >= deadline:
            raise _no_answer(stage, timeout_s)


_END = object()


async def _attempts() -> AsyncIterator[int]:
    pause_s = FIRST_PAUSE_S
    attempt = 0
    while True:
        yield attempt
        attempt += 1
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


def _cause(error: RayTaskError) -> BaseException:
    cause = error.cause
    return cause if isinstance(cause, WhaleVisionError) else error


def _no_answer(stage: str, timeout_s: float) -> UnavailableError:
    return UnavailableError(f"the {stage} did not answer within {timeout_s:g} s; ask again later")

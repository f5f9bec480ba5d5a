import asyncio

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from deployments import calls
from pipeline.errors import CatalogueUnavailableError, UnavailableError


class Response:
    """A deployment's answer: a value, an exception to raise, or an event that never comes."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.cancelled = False

    def __await__(self):
        return self._wait().__await__()

    async def _wait(self):
        if isinstance(self.outcome, asyncio.Event):
            await self.outcome.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def cancel(self):
        self.cancelled = True


class Stream(Response):
    """A streaming answer: its outcomes in turn, then the end."""

    def __init__(self, *outcomes):
        super().__init__(None)
        self._outcomes = iter(outcomes)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            self.outcome = next(self._outcomes)
        except StopIteration:
            raise StopAsyncIteration from None
        return await self._wait()


def sender(*responses):
    queue = list(responses)
    return lambda: queue.pop(0)


def lost():
    return ActorDiedError()


def task_error(cause):
    return RayTaskError("method", "traceback", cause)


async def collect(stream):
    return [step async for step in stream]


async def test_lost_replica_is_asked_again():
    assert await calls.call(sender(Response(lost()), Response(7)), "segmenter", 5) == 7


async def test_busy_replica_is_asked_again():
    busy = BackPressureError(num_queued_requests=1, max_queued_requests=1)
    assert await calls.call(sender(Response(busy), Response(7)), "segmenter", 5) == 7


async def test_our_own_error_arrives_as_itself():
    error = task_error(CatalogueUnavailableError("disk full"))
    with pytest.raises(CatalogueUnavailableError, match="disk full"):
        await calls.call(sender(Response(error)), "matcher", 5)


async def test_foreign_error_is_not_repeated():
    with pytest.raises(RayTaskError):
        await calls.call(sender(Response(task_error(ValueError("a defect")))), "matcher", 5)


async def test_silent_replica_is_given_up_and_its_call_cancelled():
    response = Response(asyncio.Event())
    with pytest.raises(UnavailableError, match="segmenter did not answer within"):
        await calls.call(sender(response), "segmenter", 0.05)
    assert response.cancelled


@pytest.mark.parametrize("stage", ["matcher", "extractor"])
async def test_time_out_gives_advice_that_fits_every_request(stage):
    with pytest.raises(UnavailableError, match=f"^the {stage} did not answer within 0.05 s; ask again later$"):
        await calls.call(sender(Response(asyncio.Event())), stage, 0.05)


async def test_replicas_that_keep_dying_end_in_unavailable():
    with pytest.raises(UnavailableError):
        await calls.call(lambda: Response(lost()), "segmenter", 0.2)


async def test_cancelled_caller_cancels_the_call():
    response = Response(asyncio.Event())
    task = asyncio.create_task(calls.call(sender(response), "segmenter", 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert response.cancelled


async def test_stream_yields_each_step():
    assert await collect(calls.stream(sender(Stream(1, 2)), "extractor", 5)) == [1, 2]


async def test_stream_that_breaks_starts_again():
    steps = await collect(calls.stream(sender(Stream(1, lost()), Stream(1, 2)), "extractor", 5))
    assert steps == [1, 1, 2]


async def test_silent_stream_is_given_up_and_cancelled():
    stream = Stream(1, asyncio.Event())
    with pytest.raises(UnavailableError):
        await collect(calls.stream(sender(stream), "extractor", 0.05))
    assert stream.cancelled


async def test_stream_whose_replicas_keep_dying_ends_in_unavailable():
    with pytest.raises(UnavailableError):
        await collect(calls.stream(lambda: Stream(lost()), "extractor", 0.2))


async def test_abandoned_stream_is_cancelled():
    stream = Stream(1, 2)
    steps = calls.stream(sender(stream), "extractor", 5)
    assert await anext(steps) == 1
    await steps.aclose()
    assert stream.cancelled


async def test_cancelled_consumer_cancels_the_stream():
    stream = Stream(asyncio.Event())
    task = asyncio.create_task(collect(calls.stream(sender(stream), "extractor", 5)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.cancelled

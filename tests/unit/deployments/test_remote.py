import asyncio

import pytest
from ray.exceptions import RayActorError

from deployments import remote
from deployments.remote import RemoteExtractor, RemoteMatcher, RemoteSegmenter
from pipeline.errors import UnavailableError
from pipeline.records import LOCAL_USER, PathSource

TIMEOUT_S = 0.1


class HungCall:
    """A call that is never answered."""

    def __aiter__(self):
        return self

    def __await__(self):
        return asyncio.Event().wait().__await__()

    def cancel(self):
        pass


class HungSegmenter:
    """The handle of a segmenter that does not answer."""

    @property
    def segment(self):
        return self

    def remote(self, pixels):
        return HungCall()


class Steps(HungCall):
    """What an extractor streams that waits for its segmenter."""

    async def __anext__(self):
        return await RemoteSegmenter(HungSegmenter(), TIMEOUT_S).segment(b"pixels")


class Extractor:
    """The handle of an extractor with a hung segmenter behind it, given the time that the settings give both."""

    def options(self, **how):
        return self

    @property
    def extract_path(self):
        return self

    def remote(self, source, animals):
        return Steps()


async def test_hung_stage_is_named_and_not_the_extractor_that_waits_for_it(monkeypatch):
    monkeypatch.setattr(remote, "OUTER_MARGIN_S", 5.0)
    steps = RemoteExtractor(Extractor(), TIMEOUT_S).extract(PathSource("/a.jpg", local_peer=True), "best")
    with pytest.raises(UnavailableError, match="the segmenter did not answer within"):
        await anext(steps)


class Answered:
    """An answered call."""

    def __await__(self):
        yield from ()
        return [None]


class Lost:
    """A call whose answer is lost with the replica."""

    def __await__(self):
        yield from ()
        raise RayActorError


class MatcherLostOnce:
    """The handle of a matcher whose replica dies after each call's first attempt."""

    def __init__(self):
        self.calls = []

    @property
    def confirm(self):
        return self

    def remote(self, queries, actor, key, only_changes):
        self.calls.append((key, only_changes))
        return Lost() if len(self.calls) % 2 else Answered()


async def test_the_service_s_own_repeat_has_a_key_also_where_the_client_gave_none():
    handle = MatcherLostOnce()
    matcher = RemoteMatcher(handle, 5.0)
    for key in (None, None, "client's"):
        assert await matcher.confirm([], LOCAL_USER, key) == [None]
    first, second, third = handle.calls[::2]
    assert handle.calls[1::2] == [first, second, third], "the repeats have the same keys"
    assert first[0] != second[0]
    assert first[0]
    assert second[0]
    assert [only_changes for _, only_changes in (first, second, third)] == [True, True, False]
    assert third[0] == "client's"

import asyncio

import pytest

from deployments import remote
from deployments.remote import RemoteExtractor, RemoteSegmenter
from pipeline.errors import UnavailableError
from pipeline.records import PathSource

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

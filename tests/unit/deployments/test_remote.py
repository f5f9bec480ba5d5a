import asyncio

import pytest
from ray.exceptions import RayActorError

from deployments import remote
from deployments.remote import RemoteCatalogue, RemoteEmbedder, RemoteExtractor, RemoteSegmenter
from pipeline.errors import UnavailableError
from pipeline.protocol.catalogue_requests import History, Undo
from pipeline.records import LOCAL_USER, Detections, PathSource

TIMEOUT_S = 0.5


class HungCall:
    """A call that is never answered."""

    def __aiter__(self):
        return self

    def __await__(self):
        return asyncio.Event().wait().__await__()

    def cancel(self):
        pass


class SlowCall(HungCall):
    """A call that is answered late, but within its deadline."""

    def __await__(self):
        return asyncio.sleep(0.6 * TIMEOUT_S, Detections((), "5e1f00d")).__await__()


class Handle:
    """The handle of a deployment, whose every method answers with one call."""

    def __init__(self, call):
        self._call = call

    @property
    def segment(self):
        return self

    embed = segment

    def remote(self, pixels):
        return self._call()


class Steps(HungCall):
    """What an extractor streams that waits for one stage after the other, each with the deadline of the settings."""

    def __init__(self, segmenting):
        self._segmenting = segmenting

    async def __anext__(self):
        await RemoteSegmenter(Handle(self._segmenting), TIMEOUT_S).segment(b"pixels")
        return await RemoteEmbedder(Handle(HungCall), "fluke", TIMEOUT_S).embed(b"crop")


class Extractor:
    """The handle of an extractor with a segmenter and a hung embedder behind it."""

    def __init__(self, segmenting):
        self._segmenting = segmenting

    def options(self, **how):
        return self

    @property
    def extract_path(self):
        return self

    def remote(self, source, animals):
        return Steps(self._segmenting)


@pytest.mark.parametrize(("segmenting", "hung"), [(HungCall, "segmenter"), (SlowCall, "fluke embedder")])
async def test_hung_stage_is_named_and_not_the_extractor_that_waits_for_it(monkeypatch, segmenting, hung):
    monkeypatch.setattr(remote, "OUTER_MARGIN_S", 0.4 * TIMEOUT_S)
    steps = RemoteExtractor(Extractor(segmenting), TIMEOUT_S).extract(PathSource("/a.jpg", local_peer=True), "best")
    with pytest.raises(UnavailableError, match=f"the {hung} did not answer within"):
        await anext(steps)


async def test_an_extractor_that_hangs_itself_is_named(monkeypatch):
    monkeypatch.setattr(remote, "OUTER_MARGIN_S", 0.4 * TIMEOUT_S)
    monkeypatch.setattr(Steps, "__anext__", lambda self: asyncio.Event().wait())
    steps = RemoteExtractor(Extractor(HungCall), TIMEOUT_S).extract(PathSource("/a.jpg", local_peer=True), "best")
    with pytest.raises(UnavailableError, match="the extractor did not answer within"):
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


class CatalogueLostOnce:
    """The handle of a catalogue deployment whose replica dies after each call's first attempt."""

    def __init__(self):
        self.calls = []

    @property
    def confirm(self):
        return self

    def remote(self, catalogue, queries, actor, key, only_changes, guesses):
        self.calls.append((key, only_changes))
        return Lost() if len(self.calls) % 2 else Answered()


async def test_the_service_s_own_repeat_has_a_key_also_where_the_client_gave_none():
    handle = CatalogueLostOnce()
    catalogue = RemoteCatalogue(handle, None, 5.0)
    for key in (None, None, "client's"):
        assert await catalogue.confirm("default", [], LOCAL_USER, key, False) == [None]
    first, second, third = handle.calls[::2]
    assert handle.calls[1::2] == [first, second, third], "the repeats have the same keys"
    assert first[0] != second[0]
    assert first[0]
    assert second[0]
    assert [only_changes for _, only_changes in (first, second, third)] == [True, True, False]
    assert third[0] == "client's"


class ChangesLostOnce(CatalogueLostOnce):
    """As `CatalogueLostOnce`, of changes and of what is read."""

    @property
    def change(self):
        return self

    answer = change

    def remote(self, *arguments):
        self.calls.append(arguments)
        return Lost() if len(self.calls) % 2 else Answered()


async def test_a_change_is_repeated_with_its_key_also_where_the_client_gave_none():
    handle = ChangesLostOnce()
    catalogue = RemoteCatalogue(handle, None, 5.0)
    without, another, keyed = (Undo(type="undo", id="x", version=3, key=key) for key in (None, None, "client's"))
    for message in (without, another, keyed):
        assert await catalogue.answer(message, LOCAL_USER) == [None]
    first, second, third = handle.calls[::2]
    assert handle.calls[1::2] == [first, second, third], "the repeats have the same keys"
    assert first[0].key != second[0].key
    assert first[0].key
    assert first[0].model_copy(update={"key": None}) == without
    assert [only_changes for _, _, only_changes in (first, second, third)] == [True, True, False]
    assert third[0] == keyed


async def test_what_only_reads_is_repeated_as_it_is():
    handle = ChangesLostOnce()
    message = History(type="history", id="x")
    assert await RemoteCatalogue(handle, None, 5.0).answer(message, LOCAL_USER) == [None]
    assert handle.calls == [(message, LOCAL_USER)] * 2


class HungCatalogue:
    """The handle of a catalogue deployment whose replica hangs, beside one of a matcher that tells guesses."""

    def __init__(self):
        self.told = []

    @property
    def confirm(self):
        return self

    change = answer = heads = confirm

    def remote(self, *arguments):
        self.told.append(arguments)
        return HungCall()


@pytest.mark.parametrize("key", [None, "client's"])
async def test_a_confirmation_that_nobody_answers_may_be_stored_and_may_be_sent_again(key):
    with pytest.raises(UnavailableError) as raised:
        await RemoteCatalogue(HungCatalogue(), None, TIMEOUT_S).confirm("default", [], LOCAL_USER, key, False)
    assert "the catalogue did not answer within 0.5 s" in raised.value.message
    assert "may be stored already, and sent again it is not stored twice" in raised.value.message


@pytest.mark.parametrize(("key", "advice"), [(None, "look before you send it again"), ("k", "is not stored twice")])
async def test_a_change_that_nobody_answers_is_safe_to_repeat_with_a_key_alone(key, advice):
    with pytest.raises(UnavailableError, match=advice):
        await RemoteCatalogue(HungCatalogue(), None, TIMEOUT_S).answer(
            Undo(type="undo", id="x", version=3, key=key), LOCAL_USER
        )


async def test_a_list_that_nobody_answers_is_just_unavailable():
    with pytest.raises(UnavailableError) as raised:
        await RemoteCatalogue(HungCatalogue(), None, TIMEOUT_S).answer(History(type="history", id="x"), LOCAL_USER)
    assert "stored" not in raised.value.message


class TellsGuesses:
    """The handle of a matcher."""

    @property
    def guesses(self):
        return self

    def remote(self, catalogue, queries):
        return Guessed()


class Guessed:
    def __await__(self):
        yield from ()
        return [0, 2]


@pytest.mark.parametrize(("may_guess", "guesses"), [(True, [0, 2]), (False, ())])
async def test_a_matcher_is_asked_for_guesses_only_where_the_client_may_guess(may_guess, guesses):
    handle = HungCatalogue()
    with pytest.raises(UnavailableError):
        await RemoteCatalogue(handle, TellsGuesses() if may_guess else None, TIMEOUT_S).confirm(
            "default", [], LOCAL_USER, "k", may_guess
        )
    assert handle.told == [("default", [], LOCAL_USER, "k", False, guesses)]

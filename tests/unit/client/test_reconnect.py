"""The client when the server is away, restarts, refuses or answers in part."""

import asyncio
import socket
from dataclasses import replace
from itertools import pairwise

import pytest

from pipeline.client import (
    AccessDeniedError,
    AsyncClient,
    ClientOptions,
    ConnectionRejectedError,
    PhotoResult,
    Query,
    ServerUnreachableError,
)
from tests.unit.client.scripted_server import EMBEDDING, ScriptedServer

QUICK = ClientOptions(connect_s=0.3, reconnect_s=1.0, first_delay_s=0.005, longest_delay_s=0.02)
PHOTOS = [str(number) for number in range(10)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def codes(results: list[PhotoResult]) -> list[str | None]:
    return [result.error.code if result.error else None for result in results]


@pytest.mark.parametrize("close_code", [1000, 1001, 1006, 1011, 1012, 1013])
async def test_a_lost_connection_asks_again_for_unanswered_photos_only(close_code: int) -> None:
    async with (
        ScriptedServer(close_after=[(4, close_code)]) as server,
        AsyncClient(server.url, options=QUICK) as client,
    ):
        results = await client.extract(PHOTOS)
    assert [result.path for result in results] == PHOTOS
    assert [request["fileNames"] for request in server.requests] == [PHOTOS, PHOTOS[4:]]


async def test_out_of_order_answers_leave_the_right_photos_to_ask_for() -> None:
    script = ScriptedServer(close_after=[(3, 1012)], backwards=True)
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(PHOTOS)
    assert [result.path for result in results] == PHOTOS
    assert server.requests[1]["fileNames"] == PHOTOS[:7]


async def test_several_losses_in_a_row_are_survived_while_answers_come() -> None:
    script = ScriptedServer(close_after=[(1, 1006), (0, 1012), (2, 1013), (0, 1006), (3, 1011)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        seen = [result.path async for result in client.extract_stream(PHOTOS)]
    assert sorted(seen) == PHOTOS
    assert len(server.connections) == 6


async def test_a_photo_cut_off_between_its_animals_is_asked_again_and_shown_once() -> None:
    script = ScriptedServer(animals={"a": 2, "b": 3}, close_after=[(3, 1006)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(["a", "b", "c"], animals="all")
    assert [(r.path, r.animal) for r in results] == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3), ("c", 1)]
    assert server.requests[1]["fileNames"] == ["b", "c"]


async def test_confirmations_are_asked_again_for_unanswered_items_only() -> None:
    items = [Query(path, "fluke", EMBEDDING, "NOVA") for path in PHOTOS]
    async with ScriptedServer(close_after=[(6, 1006)]) as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.identify(items)
    assert [result.path for result in results] == PHOTOS
    assert [item["path"] for item in server.requests[1]["data"]] == PHOTOS[6:]
    assert server.confirmed == dict.fromkeys(PHOTOS, "NOVA")


async def test_asking_again_for_a_stored_confirmation_leaves_somebody_elses_correction_alone() -> None:
    items = [Query(path, "fluke", EMBEDDING, "NOVA") for path in PHOTOS]
    script = ScriptedServer(close_after=[(6, 1006), (1, 1012)], corrections={"8": "CRUX"})
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.identify(items)
    assert [result.path for result in results] == PHOTOS
    assert server.confirmed == {**dict.fromkeys(PHOTOS, "NOVA"), "8": "CRUX"}
    assert [len(request["data"]) for request in server.requests] == [10, 4, 3]
    assert len({request["key"] for request in server.requests}) == 1


async def test_every_request_of_a_split_call_has_a_key_of_its_own_and_keeps_it() -> None:
    items = [Query(path, "fluke", EMBEDDING, "NOVA") for path in PHOTOS]
    options = replace(QUICK, max_photos=4)
    script = ScriptedServer(close_after=[(2, 1006), (3, 1006)], failures={"1": ["unavailable"], "5": ["unavailable"]})
    async with script as server, AsyncClient(server.url, options=options) as client:
        results = await client.identify(items)
    asked: dict[str, list[set[str]]] = {}
    for request in server.requests:
        asked.setdefault(request["key"], []).append({item["path"] for item in request["data"]})
    assert [result.error for result in results] == [None] * 10
    assert sorted(path for times in asked.values() for path in times[0]) == PHOTOS
    assert [len(times[0]) for times in asked.values()] == [4, 4, 2]
    assert all(again <= before for times in asked.values() for before, again in pairwise(times))
    assert len(server.requests) > 5
    assert server.confirmed == dict.fromkeys(PHOTOS, "NOVA")


async def test_a_request_that_the_server_found_too_long_is_confirmed_in_full() -> None:
    items = [Query(path, "fluke", EMBEDDING, "NOVA") for path in PHOTOS]
    async with ScriptedServer(max_photos=3) as server, AsyncClient(server.url, options=QUICK) as client:
        await client.identify(items)
    assert server.confirmed == dict.fromkeys(PHOTOS, "NOVA")


async def test_two_calls_never_share_a_key() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        for name in ("NOVA", "CRUX"):
            await client.identify([Query("a", "fluke", EMBEDDING, name)])
    assert len(server.keys) == 2
    assert server.confirmed == {"a": "CRUX"}


async def test_halves_of_confirmations_that_were_not_stored_before_get_a_new_key() -> None:
    script = ScriptedServer(close_after=[(0, 1006)], refusals=[None, "too_many_photos", None, "key_reused"])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        answers = await client.confirm([Query(path, "fluke", EMBEDDING) for path in "abcd"], "NOVA")
    assert [answer.error for answer in answers] == [None] * 4
    asked = ["".join(item["path"] for item in request["data"]) for request in server.requests]
    assert asked == ["abcd", "abcd", "ab", "cd", "cd"]
    keys = [request["key"] for request in server.requests]
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


async def test_calls_that_overlap_all_survive_a_lost_connection() -> None:
    script = ScriptedServer(close_after=[(5, 1012)], delay_s=0.002)
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        answers = await asyncio.gather(*(client.extract([f"{name}{n}" for n in range(5)]) for name in "abc"))
    assert [len(answer) for answer in answers] == [5, 5, 5]
    assert len(server.connections) == 2


async def test_a_connection_closed_while_idle_is_opened_again() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        await client.extract(["a"])
        await server.connections[0].close(1000, "idle")
        assert codes(await client.extract(["b"])) == [None]


@pytest.mark.parametrize("statuses", [[503], [500, 502, 503, 429]])
async def test_a_server_that_is_not_ready_is_waited_for(statuses: list[int]) -> None:
    async with ScriptedServer(statuses=[*statuses]) as server, AsyncClient(server.url, options=QUICK) as client:
        assert codes(await client.extract(["a"])) == [None]
        assert len(server.tokens) == len(statuses) + 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_client_is_told_at_once(status: int) -> None:
    async with ScriptedServer(statuses=[status]) as server, AsyncClient(server.url, "wrong", QUICK) as client:
        with pytest.raises(AccessDeniedError, match="token"):
            await client.extract(["a"])
        assert len(server.tokens) == 1


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_another_service_at_the_address_is_told_at_once(status: int) -> None:
    async with ScriptedServer(statuses=[status]) as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(ConnectionRejectedError, match=str(status)):
            await client.extract(["a"])
        assert len(server.tokens) == 1


async def test_a_restarting_service_may_answer_not_found_for_a_while() -> None:
    script = ScriptedServer(close_after=[(1, 1006)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = client.extract_stream(["a", "b"])
        await anext(results)
        server.statuses = [404, 404]
        assert [result.path async for result in results] == ["b"]
        assert server.statuses == []


@pytest.mark.parametrize("close_code", [1002, 1003, 1007, 1008, 1009])
async def test_a_server_that_throws_the_client_out_is_not_asked_again(close_code: int) -> None:
    script = ScriptedServer(close_after=[(2, close_code)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(ConnectionRejectedError, match=f"{close_code}: scripted"):
            await client.extract(PHOTOS)
        assert len(server.connections) == 1


async def test_a_server_that_is_not_there_is_given_up_on() -> None:
    async with AsyncClient(f"ws://127.0.0.1:{free_port()}", options=QUICK) as client:
        with pytest.raises(ServerUnreachableError, match=r"0\.3 s.*running"):
            await client.extract(["a"])


async def test_a_server_that_starts_late_is_reached() -> None:
    port = free_port()
    late = ScriptedServer(port=port)
    options = ClientOptions(connect_s=5.0, first_delay_s=0.005, longest_delay_s=0.02)
    async with AsyncClient(f"ws://127.0.0.1:{port}", options=options) as client:
        call = asyncio.create_task(client.extract(["a"]))
        await asyncio.sleep(0.1)
        async with late:
            assert codes(await call) == [None]


async def test_a_server_that_does_not_come_back_is_given_up_on() -> None:
    script = ScriptedServer(close_after=[(2, 1012)] + [(0, 1006)] * 10_000)
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(ServerUnreachableError, match="1 s"):
            await client.extract(PHOTOS)
        assert len(server.connections) > 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:8765", "ws://", "nonsense", "ws://host:port"])
async def test_an_address_that_cannot_be_one_is_told_at_once(url: str) -> None:
    async with AsyncClient(url, options=ClientOptions(connect_s=60.0)) as client:
        with pytest.raises(ConnectionRejectedError, match="is not an address like"):
            await client.extract(["a"])


async def test_unavailable_photos_are_asked_again_a_few_times() -> None:
    script = ScriptedServer(failures={"a": ["unavailable"] * 2, "b": ["unavailable"] * 9, "c": ["no_animal"]})
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(["a", "b", "c", "d"])
    assert codes(results) == [None, "unavailable", "no_animal", None]
    assert dict(server.asked) == {"a": 3, "b": 3, "c": 1, "d": 1}


async def test_unavailable_items_are_asked_again_a_few_times() -> None:
    items = [Query(path, "fluke", EMBEDDING) for path in "abc"]
    script = ScriptedServer(failures={"a": ["unavailable"], "b": ["unavailable"] * 9, "c": ["other_model"]})
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.identify(items)
    assert [result.error.code if result.error else None for result in results] == [None, "unavailable", "other_model"]
    assert dict(server.asked) == {"a": 2, "b": 3, "c": 1}


async def test_photos_that_a_stopping_server_cancels_are_asked_again() -> None:
    script = ScriptedServer(failures={"b": ["cancelled"], "c": ["cancelled"] * 9})
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        saved = await client.save([(path, "NOVA") for path in "abc"])
    assert [(photo.new_file, photo.error.code if photo.error else None) for photo in saved] == [
        ("export/NOVA/a", None),
        ("export/NOVA/b", None),
        (None, "cancelled"),
    ]
    asked = [[item["file"] for item in request["whaleIdentities"]] for request in server.requests]
    assert asked == [["a", "b", "c"], ["b", "c"], ["c"]]


async def test_photos_that_the_server_passes_over_are_asked_again_then_failed() -> None:
    async with ScriptedServer(silent={"b"}) as server, AsyncClient(server.url, options=QUICK) as client:
        assert codes(await client.extract(["a", "b", "c"])) == [None, "unavailable", None]
        assert dict(server.asked) == {"a": 1, "b": 3, "c": 1}


@pytest.mark.parametrize("code", ["ack_timeout", "too_many_requests"])
async def test_refusals_that_pass_are_waited_out(code: str) -> None:
    async with ScriptedServer(refusals=[code, code]) as server, AsyncClient(server.url, options=QUICK) as client:
        assert codes(await client.extract(PHOTOS)) == [None] * 10


async def test_a_server_that_falls_silent_counts_as_lost() -> None:
    options = ClientOptions(silence_s=0.05, reconnect_s=0.4, first_delay_s=0.005, longest_delay_s=0.02)
    async with ScriptedServer(mute=True) as server, AsyncClient(server.url, options=options) as client:
        with pytest.raises(ServerUnreachableError, match="nothing was heard"):
            await client.extract(["a"])
        assert len(server.connections) > 1

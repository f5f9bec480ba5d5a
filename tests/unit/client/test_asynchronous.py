"""The asynchronous client against a scripted server: answers, splitting, acknowledgements, options."""

import asyncio
import hashlib
import os
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipeline.client import (
    Around,
    AsyncClient,
    Box,
    Candidate,
    ClientOptions,
    Filters,
    PhotoResult,
    Progress,
    Query,
    Reference,
    RequestFailedError,
    confirmed,
)
from pipeline.client.errors import BadAnswerError, ClientClosedError
from tests.unit.client.scripted_server import EMBEDDING, ScriptedServer

QUICK = ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02)


def quick(**changes: float) -> ClientOptions:
    return ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02, **changes)  # type: ignore[arg-type]


def query(path: str, identity: str | None = None) -> Query:
    return Query(path, "fluke", EMBEDDING, identity)


def test_import_needs_neither_torch_nor_ray_nor_numpy() -> None:
    heavy = "{'torch', 'ray', 'numpy', 'pandas', 'PIL', 'starlette'}"
    code = f"import sys, pipeline.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_extract_returns_every_field_in_the_order_given() -> None:
    async with ScriptedServer(backwards=True) as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(["a.jpg", "b.jpg", "a.jpg"])
    assert [(r.path, r.index) for r in results] == [("a.jpg", 0), ("b.jpg", 1), ("a.jpg", 2)]
    first = results[0]
    assert (first.body_part, first.embedding, first.box_xyxy_px) == ("fluke", (0.6, 0.8), (1.0, 2.0, 30.5, 40.0))
    assert (first.score, first.model, first.animal, first.error) == (0.9, "abc12345", 1, None)
    assert first.sha256 == hashlib.sha256(b"a.jpg").hexdigest()


async def test_stream_yields_entries_as_they_come() -> None:
    async with ScriptedServer(backwards=True) as server, AsyncClient(server.url, options=QUICK) as client:
        assert [r.index async for r in client.extract_stream(["a", "b", "c"])] == [2, 1, 0]


async def test_nothing_to_ask_sends_nothing() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        assert await client.extract([]) == []
        assert await client.identify([]) == []
        assert server.connections == []


async def test_all_animals_of_a_photo_come_best_first() -> None:
    async with ScriptedServer(animals={"b": 3}) as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(["a", "b"], animals="all")
    assert [(r.path, r.animal) for r in results] == [("a", 1), ("b", 1), ("b", 2), ("b", 3)]


async def test_a_failed_photo_is_a_result_beside_the_others() -> None:
    async with (
        ScriptedServer(failures={"b": ["no_animal"]}) as server,
        AsyncClient(server.url, options=QUICK) as client,
    ):
        a, b = await client.extract(["a", "b"])
    assert a.error is None
    assert b.error is not None
    assert (b.error.code, b.error.message, b.embedding) == ("no_animal", "no_animal!", None)


async def test_streamed_items_are_acknowledged_so_that_long_requests_end() -> None:
    photos = [str(number) for number in range(1000)]
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(photos)
        assert [result.path for result in results] == photos
    assert 1000 - 256 <= sum(server.acks) <= 1000
    assert len(server.requests) == 1


async def test_a_slow_caller_is_not_run_over() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        async with aclosing(client.extract_stream([str(number) for number in range(600)])) as results:
            await anext(results)
            async with asyncio.timeout(30):
                while sum(server.asked.values()) < 200:  # noqa: ASYNC110 - the server only counts
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert sum(server.asked.values()) <= 320
            assert len([result async for result in results]) == 599
        assert server.most_unacknowledged <= 256


async def test_leaving_a_stream_cancels_the_request() -> None:
    async with ScriptedServer(delay_s=0.01) as server, AsyncClient(server.url, options=QUICK) as client:
        async with aclosing(client.extract_stream([str(number) for number in range(100)])) as results:
            await anext(results)
        await asyncio.sleep(0.05)
        assert server.cancelled == [server.requests[0]["id"]]
        assert [result.path for result in await client.extract(["next"])] == ["next"]


async def test_a_finished_request_is_not_cancelled() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        await client.extract(["a"])
        await asyncio.sleep(0.02)
        assert server.cancelled == []


async def test_cancelling_a_call_cancels_the_request() -> None:
    async with ScriptedServer(delay_s=5.0) as server, AsyncClient(server.url, options=QUICK) as client:
        call = asyncio.create_task(client.extract(["a"]))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.05)
        assert server.cancelled == ["1"]


async def test_more_photos_than_a_request_may_have_are_split() -> None:
    photos = [str(number) for number in range(25)]
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick(max_photos=10)) as client:
        assert [result.path for result in await client.extract(photos)] == photos
    assert [len(request["fileNames"]) for request in server.requests] == [10, 10, 5]


async def test_a_server_that_takes_fewer_photos_is_obeyed() -> None:
    photos = [str(number) for number in range(10)]
    async with ScriptedServer(max_photos=3) as server, AsyncClient(server.url, options=QUICK) as client:
        assert [result.path for result in await client.extract(photos)] == photos
    assert [len(request["fileNames"]) for request in server.requests] == [10, 5, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("letter", ["x", "é", "鯨", '"', "\udce9"])
async def test_no_request_is_longer_than_a_message_may_be(letter: str) -> None:
    photos = [letter * 100 + str(number) for number in range(100)]
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick(max_message_bytes=4096)) as client:
        assert [result.path for result in await client.extract(photos)] == photos
    assert max(server.request_bytes) <= 4096
    assert len(server.requests) > 3


async def test_identify_is_split_by_length_and_merged_in_order() -> None:
    items = [Query(str(number), "fluke", [0.123456789] * 128) for number in range(50)]
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick(max_message_bytes=20_000)) as client:
        results = await client.identify(items)
    assert [result.path for result in results] == [item.path for item in items]
    assert max(server.request_bytes) <= 20_000
    assert sum(len(request["data"]) for request in server.requests) == 50


async def test_identify_ranks_and_passes_top_k() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        (everything,) = await client.identify([query("a")])
        (two,) = await client.identify([query("a")], 2)
    assert [(c.individual, c.distance) for c in everything.candidates] == [
        ("PMOD001_DANTE", 0.339),
        ("Unknown", 1.0),
        ("PMOD002", 1.25),
    ]
    assert len(two.candidates) == 2
    assert "topK" not in server.requests[0]


async def test_references_and_filters_are_asked_for_and_read() -> None:
    filters = Filters(side="left", since=date(2015, 1, 1), box=Box(-1, 2, 3, 4), around=Around(0, 1.5, 1000))
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        (found,) = await client.identify([query("a.jpg")], 3, references=1, filters=filters)
        (plain,) = await client.identify([query("a.jpg")], 3)
    request = server.requests[0]
    assert request["references"] == 1
    assert request["filters"] == {
        "side": "left",
        "from": "2015-01-01",
        "box": {"south": -1, "west": 2, "north": 3, "east": 4},
        "around": {"latitude": 0, "longitude": 1.5, "radius_m": 1000},
    }
    assert found.candidates == (
        Candidate("PMOD001_DANTE", 0.339, 41, (Reference(97, 0.312, 12),)),
        Candidate("Unknown", 1.0),
        Candidate("PMOD002", 1.25, 43, (Reference(97, 0.312, 12),)),
    )
    assert (found.individuals, found.ranking) == (57, "{}.signed")
    assert [replace(one, number=None, references=()) for one in found.candidates] == list(plain.candidates)
    assert (plain.individuals, plain.ranking) == (None, None)
    assert not {"references", "filters"} & set(server.requests[1])


async def test_several_catalogues_are_asked_for_and_candidates_of_one_name_told_apart() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        (found,) = await client.identify([query("a.jpg")], catalogues=["azores", "madeira"])
    assert server.requests[0]["catalogues"] == ["azores", "madeira"]
    assert "catalogue" not in server.requests[0]
    assert found.candidates == (
        Candidate("Dante", 0.25, 41, catalogue="azores"),
        Candidate("Dante", 0.5, catalogue="madeira"),
        Candidate("Bice", 0.75, 43, catalogue="azores"),
        Candidate("Unknown", 1.0),
    )


async def test_identify_takes_results_of_extract_and_keeps_their_failures() -> None:
    async with (
        ScriptedServer(failures={"b": ["unreadable"]}) as server,
        AsyncClient(server.url, options=QUICK) as client,
    ):
        found = await client.extract(["a", "b", "c"])
        results = await client.identify(found)
    assert [(r.path, r.error.code if r.error else None) for r in results] == [
        ("a", None),
        ("b", "unreadable"),
        ("c", None),
    ]
    sent = server.requests[-1]["data"]
    assert [item["path"] for item in sent] == ["a", "c"]
    assert sent[0]["sha256"] == found[0].sha256
    assert (sent[0]["model"], sent[0]["animal"], "identity" in sent[0]) == ("abc12345", 1, False)


async def test_numbers_that_json_lacks_fail_their_item_alone() -> None:
    bad = Query("bad", "fluke", [float("nan"), 1.0])
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        first, second = await client.identify([bad, query("good")])
    assert first.error is not None
    assert (first.error.code, second.error) == ("bad_embedding", None)


async def test_confirm_names_the_individual() -> None:
    async with (
        ScriptedServer(failures={"b": ["no_animal"]}) as server,
        AsyncClient(server.url, options=QUICK) as client,
    ):
        results = await client.confirm(await client.extract(["a", "b"]), "NOVA")
    assert server.confirmed == {"a": "NOVA"}
    assert results[0].identity == "NOVA"
    assert results[1].error is not None


async def test_save_reports_each_photo() -> None:
    script = ScriptedServer(failures={"b": ["export_failed"]})
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        a, b = await client.save([("a", "NOVA"), ("b", "NOVA")])
    assert (a.new_file, a.error) == ("export/NOVA/a", None)
    assert b.error is not None
    assert (b.new_file, b.error.code) == (None, "export_failed")
    assert server.requests[0]["whaleIdentities"][0] == {"file": "a", "selectedIdentity": "NOVA"}


async def test_calls_overlap_on_one_connection() -> None:
    async with ScriptedServer(delay_s=0.01) as server, AsyncClient(server.url, options=QUICK) as client:
        answers = await asyncio.gather(*(client.extract([f"{name}{n}" for n in range(5)]) for name in "abc"))
        assert [[result.path for result in answer] for answer in answers] == [
            [f"{name}{n}" for n in range(5)] for name in "abc"
        ]
        assert len(server.connections) == 1


async def test_strings_are_sent_untouched_and_paths_absolute() -> None:
    given = [r"C:\Photos\IMG 1.jpg", "relative.jpg", Path("relative.jpg")]
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        results = await client.extract(given)
    assert server.requests[0]["fileNames"] == [given[0], "relative.jpg", str(Path.cwd() / "relative.jpg")]
    assert [result.path for result in results] == [str(path) for path in given]


async def test_progress_never_goes_back_and_ends_at_the_total() -> None:
    seen: list[Progress] = []
    script = ScriptedServer(close_after=[(4, 1006)], failures={"2": ["unavailable"]})
    async with script as server, AsyncClient(server.url, options=quick(max_photos=4)) as client:
        await client.extract([str(number) for number in range(10)], on_progress=seen.append)
    for stage in ("segmenting", "extracting"):
        done = [progress.done for progress in seen if progress.stage == stage]
        assert done == sorted(set(done))
        assert done[-1] == 10
    assert {progress.total for progress in seen} == {10}


async def test_a_refused_request_says_the_servers_code() -> None:
    async with ScriptedServer(refusals=["malformed"]) as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(RequestFailedError, match="refused: malformed") as caught:
            await client.extract(["a"])
        assert caught.value.code == "malformed"
        assert len(await client.extract(["a"])) == 1


@pytest.mark.parametrize("garbage", ["starting on cpu with models", "[]", "error: no"])
async def test_a_server_of_another_kind_is_named_as_such(garbage: str) -> None:
    async with ScriptedServer(garbage=garbage) as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(BadAnswerError):
            await client.extract(["a"])


@pytest.mark.parametrize("index", [7, -1, "0"])
async def test_an_answer_about_nothing_asked_is_refused(index: object) -> None:
    entry = f'{{"type":"extract","id":"1","item":{{"index":{index!r},"error":{{}}}}}}'.replace("'", '"')
    async with ScriptedServer(garbage=entry) as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(BadAnswerError):
            await client.extract(["a"])


async def test_a_closed_client_says_so() -> None:
    async with ScriptedServer(delay_s=1.0) as server:
        client = AsyncClient(server.url, options=QUICK)
        call = asyncio.create_task(client.extract(["a"]))
        await asyncio.sleep(0.1)
        await client.close()
        with pytest.raises(ClientClosedError):
            await call
        with pytest.raises(ClientClosedError):
            await client.extract(["a"])
        assert len(server.connections) == 1


def test_a_photo_without_embedding_cannot_be_confirmed_by_hand() -> None:
    with pytest.raises(ValueError, match="no embedding"):
        confirmed(PhotoResult("a", 0), "NOVA")


async def test_token_is_sent_as_bearer() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, "s3cret", options=QUICK) as client:
        await client.extract(["a"])
        assert server.tokens == ["Bearer s3cret"]


@pytest.mark.skipif(os.name == "nt", reason="names that are not text exist on POSIX only")
async def test_file_names_that_are_not_text_go_through() -> None:
    async with ScriptedServer() as server, AsyncClient(server.url, options=QUICK) as client:
        await client.extract([Path(os.fsdecode(b"/photos/\xe9t\xe9.jpg"))])
    assert os.fsencode(server.requests[0]["fileNames"][0]) == b"/photos/\xe9t\xe9.jpg"

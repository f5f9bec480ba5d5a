"""The real client against the real edge over a real catalogue: people look at it and change it over sockets."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from pipeline.access import Permit
from pipeline.catalogue.answers import answer, change, heads
from pipeline.catalogue.backup import back_up
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.restoring import restore
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.client import AsyncClient, Client, ClientOptions, RequestFailedError
from pipeline.client.command_line import main
from pipeline.client.verbs import Aliases, Decide, Decision, Describe, Merge, Move, Rename, Split, Undo, Verb
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import ChangeRequest
from pipeline.protocol.filters import Detail
from pipeline.records import Actor
from tests.confirming import ConfirmingMatcher, confirm, word
from tests.integration.edge_made import Edge, FakeMatcher

QUICK = ClientOptions(connect_s=1.0, reconnect_s=5.0, first_delay_s=0.005, longest_delay_s=0.02)
PEOPLE = 8


class StoreMatcher(FakeMatcher):
    """Answers from a real store, as the matcher deployment does."""

    def __init__(self, store: SqlCatalogue) -> None:
        super().__init__()
        self._store = store

    async def heads(self) -> dict[str, Any]:
        return await asyncio.to_thread(heads, self._store)

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        if isinstance(message, ChangeRequest):
            return await asyncio.to_thread(change, self._store, message, permit.actor)
        return await asyncio.to_thread(answer, self._store, message, permit.actor)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlCatalogue]:
    """Dante has twelve photos and Vergil one."""
    opened = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    confirm(opened, [*(word(f"d{n}", "Dante") for n in range(12)), word("v", "Vergil")])
    yield opened
    opened.close()


@pytest.fixture
def edge(store: SqlCatalogue) -> Iterator[Edge]:
    with Edge(matcher=StoreMatcher(store)) as made:
        yield made


def test_a_person_looks_decides_and_takes_back(edge: Edge, store: SqlCatalogue) -> None:
    with Client(edge.url, options=QUICK) as client:
        dante, vergil = client.catalogue.individuals()
        annotations = list(client.catalogue.annotations(individual=dante.id, page_size=5))
        assert [each.path for each in annotations] == [f"d{n}" for n in range(12)]
        some = tuple(each.id for each in annotations[:2])
        unsure = client.catalogue.change(Decide(tuple(Decision(each, "unsure") for each in some)), reason="blurred")
        review = client.catalogue.review()
        assert [each.id for each in review] == list(some)
        assert review.head == unsure.head
        client.catalogue.change(Undo(unsure.head.version))
        made = client.catalogue.change(Split(some, name="Bice")).made["individuals"]
        moved = client.catalogue.change(Move(some)).made
        client.catalogue.change(Describe({"locality": "Faial"}, sighting=moved["sightings"][0]))
        (encounter,) = client.catalogue.individual(made[0]).encounters
        assert (encounter.annotations, encounter.locality) == (some, "Faial")
        client.catalogue.change(Merge(dante.id, (made[0], vergil.id)))
        assert set(client.catalogue.individual(vergil.id).individual.aliases) == {"Bice", "Vergil"}
        kinds = [event.kind for event in client.catalogue.history(page_size=2)]
    assert kinds == ["merge", "describe", "move", "split", "undo", "decide", "confirm"]
    assert store.differences_from_log() == []


@pytest.mark.parametrize(
    ("catalogue", "verb", "code"),
    [
        (None, Rename(1, "VERGIL"), "name_in_use"),
        (None, Rename(1, "Unknown"), "bad_identity"),
        (None, Rename(99, "Bice"), "not_in_catalogue"),
        (None, Undo(99), "not_in_catalogue"),
        (None, Split((5,)), "bad_change"),
        ("fjord", Rename(1, "Bice"), "no_such_catalogue"),
    ],
)
def test_what_is_refused_has_a_code_and_changes_nothing(
    edge: Edge, store: SqlCatalogue, catalogue: str | None, verb: Verb, code: str
) -> None:
    with Client(edge.url, options=QUICK) as client:
        which = client.catalogue if catalogue is None else client.catalogue.named(catalogue)
        with pytest.raises(RequestFailedError) as caught:
            which.change(verb)
    assert caught.value.code == code
    assert store.head().version == 1


async def test_many_people_change_at_once_and_nothing_is_lost(edge: Edge, store: SqlCatalogue) -> None:
    async def work(person: int) -> None:
        async with AsyncClient(edge.url, options=QUICK) as client:
            for n in range(3):
                await client.catalogue.change(Aliases(1, add=(f"alias {person} {n}",)))
                assert [each.name async for each in client.catalogue.individuals(search=f"{person} {n}")] == ["Dante"]

    await asyncio.gather(*(work(person) for person in range(PEOPLE)))
    assert len(store.individual(1).individual.aliases) == 3 * PEOPLE
    assert store.head().version == 1 + 3 * PEOPLE


async def test_of_two_who_decide_on_the_same_state_one_is_told(edge: Edge) -> None:
    async with AsyncClient(edge.url, options=QUICK) as client:
        listing = client.catalogue.individuals()
        (dante, _) = [each async for each in listing]
        verbs = [Rename(dante.id, name) for name in ("Durante", "Alighieri")]
        said = [client.catalogue.change(verb, known=listing.head) for verb in verbs]
        done = await asyncio.gather(*said, return_exceptions=True)
    (refused,) = [each for each in done if isinstance(each, RequestFailedError)]
    assert refused.code == "changed_since"
    assert "by local user" in refused.message


async def test_every_viewer_hears_of_every_event_until_the_service_stops(edge: Edge, store: SqlCatalogue) -> None:
    async def watch(client: AsyncClient, until: int) -> list[int]:
        versions: list[int] = []
        async with aclosing(client.catalogue.subscribe(since=0)) as news:
            async for each in news:
                versions += [event.version for event in each.events]
                if each.head.version == until:
                    return versions
        raise AssertionError

    async with AsyncClient(edge.url, options=QUICK) as one, AsyncClient(edge.url, options=QUICK) as other:
        viewers = [asyncio.create_task(watch(client, 4)) for client in (one, other, other)]
        for name in ("Durante", "Alighieri", "Dante A."):
            await one.catalogue.change(Rename(1, name))
            await asyncio.sleep(0.1)
        assert await asyncio.gather(*viewers) == [[1, 2, 3, 4]] * 3
        assert edge.metrics.opened == 2


async def test_a_backup_that_is_restored_reaches_lists_and_subscribers(
    edge: Edge, store: SqlCatalogue, tmp_path: Path
) -> None:
    url = str(store.database.engine.url)
    back_up(url, tmp_path / "backup")
    async with (
        AsyncClient(edge.url, options=QUICK) as client,
        aclosing(client.catalogue.subscribe(since=0)) as news,
    ):
        saved = (await anext(news)).head
        await client.catalogue.change(Rename(1, "Durante"))
        assert [event.kind for event in (await anext(news)).events] == ["rename"]
        await asyncio.to_thread(restore, url, tmp_path / "backup", discard_newer=True, while_running=True)
        assert (await anext(news)).head == saved
        assert [each.name async for each in client.catalogue.individuals()] == ["Dante", "Vergil"]
        await client.catalogue.change(Rename(1, "Alighieri"))
        (event,) = (await anext(news)).events
        assert (event.version, event.kind) == (saved.version + 1, "rename")


def test_a_draining_edge_closes_at_once_what_only_subscribes(edge: Edge) -> None:
    with edge.connect() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "s"}))
        assert json.loads(socket.recv(5))["data"]["head"]["version"] == 1
        assert edge.drain(seconds=30.0) < 5.0
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def test_the_command_line_does_the_same(
    edge: Edge, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WHALE_VISION_TOKEN", raising=False)

    def run(*arguments: str) -> int:
        return main(["catalogue", *arguments, "--server", edge.url])

    assert run("individuals", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    known = f"{listed['head']['version']}:{listed['head']['nonce']}"
    assert run("rename", "1", "Durante", "--keep", "--known", known, "--reason", "baptised") == 0
    assert run("rename", "1", "Alighieri", "--known", known) == 1
    assert "refused (changed_since)" in capsys.readouterr().err
    assert run("individual", "1") == 0
    assert "Durante" in capsys.readouterr().out
    assert run("history", "--individual", "1", "--limit", "1") == 0
    assert "baptised" in capsys.readouterr().out


# --- guesses of the desktop app ---


class RankingMatcher(StoreMatcher):
    """Ranks and confirms in the store, too."""

    def __init__(self, store: SqlCatalogue) -> None:
        super().__init__(store)
        self._ranking = ConfirmingMatcher(store, [LoadedModel("fluke", "m1", 2)])

    async def confirm(self, catalogue: str, queries: Any, actor: Actor, key: str | None, may_guess: bool) -> Any:
        return await asyncio.to_thread(lambda: self._ranking.confirm(queries, actor, key, may_guess=may_guess))

    async def rank(self, catalogue: str, queries: Any, top_k: int | None, detail: Detail | None) -> Any:
        return await asyncio.to_thread(self._ranking.rank, queries, top_k, detail)


def app_asks(edge: Edge, *items: dict[str, Any]) -> Any:
    """Ask as the desktop app does: over a new socket, and by its origin."""
    with edge.connect(origin="file://") as socket:
        socket.send(json.dumps({"type": "identify", "data": items}))
        while not (text := str(socket.recv(timeout=10))).startswith("["):
            assert not text.startswith("error"), text
        return json.loads(text)


@pytest.mark.parametrize("setting", ["provisional", "trusted"])
def test_what_the_app_was_told_and_sends_back_waits_for_a_person(setting: str, store: SqlCatalogue) -> None:
    photos = [{"path": name, "type": "fluke", "embedding": [0.6, 0.8]} for name in ("p", "q")]
    with Edge(matcher=RankingMatcher(store), array_confirmations=setting) as edge:
        told = app_asks(edge, *photos)[0]["identities"][0][0]
        before = store.counts()
        assert app_asks(edge, {**photos[0], "identity": told}, {**photos[1], "identity": "Nova"}) == []
        with Client(edge.url, options=QUICK) as client:
            waiting = [(each.path, each.name, each.reviewed) for each in client.catalogue.review()]
    assert told == "Dante"
    assert waiting == ([("p", "Dante", False)] if setting == "provisional" else [])
    assert store.counts().photos - before.photos == (1 if setting == "provisional" else 2)

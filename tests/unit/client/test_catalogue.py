"""The catalogue as programs see it: pages, changes, and what is asked again."""

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.client import (
    AsyncClient,
    BadAnswerError,
    Client,
    ClientOptions,
    Head,
    RequestFailedError,
    ServerUnreachableError,
)
from pipeline.client.proposals import Clocks, ProposedEncounter, ProposedSighting, Undated
from pipeline.client.verbs import (
    Aliases,
    Decide,
    Decision,
    Describe,
    Merge,
    Move,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
    message_fields,
)
from pipeline.protocol import catalogue_requests as server_side
from pipeline.protocol.reading import read_message
from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread

QUICK = ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02)
DANTE = {"id": 1, "name": "Dante", "aliases": ["D1"], "species": None, "sex": "male", "note": None}
DANTE |= {"annotations": 2, "provisional": 0}
VERGIL = DANTE | {"id": 3, "name": "Vergil", "aliases": []}
CHANGED = {"head": {"version": 2, "nonce": "b"}, "made": {"individuals": [57]}}


def page(*individuals: Any, after: str | None, version: int = 1, total: int | None = 2) -> dict[str, Any]:
    head = {"version": version, "nonce": "a"}
    return {"head": head, "individuals": list(individuals), "next": after, "total": total, "of a newer server": 1}


async def test_a_list_is_read_page_by_page() -> None:
    answers = {"individuals": [page(DANTE, after="[1]"), page(VERGIL, after=None, version=2, total=None)]}
    async with ScriptedServer(answers=answers) as server, AsyncClient(server.url, options=QUICK) as client:
        listing = client.catalogue.named("fjord").individuals(search="d", body_part="fluke", page_size=1)
        assert (listing.head, listing.total) == (None, None)
        names = [each.name async for each in listing]
    assert names == ["Dante", "Vergil"]
    assert (listing.head, listing.total) == (Head(1, "a"), 2), "decisions name what was seen first"
    wanted = {"type": "individuals", "catalogue": "fjord", "search": "d", "bodyPart": "fluke", "limit": 1}
    assert server.requests == [wanted | {"id": "1"}, wanted | {"id": "2", "after": "[1]"}]


async def test_an_individual_is_read_with_its_encounters() -> None:
    place = {"latitude": 38.5, "longitude": -28.6, "uncertainty_m": None, "locality": "Faial", "observer": None}
    encounter = {"id": 9, "sighting": 8, "annotations": [5], "begins_at": "2026-07-01T14:05:00", "ends_at": None}
    data = {"head": {"version": 1, "nonce": "a"}, "individual": DANTE, "merged": [3], "encounters": [encounter | place]}
    answers = {"individual": [data]}
    async with ScriptedServer(answers=answers) as server, AsyncClient(server.url, options=QUICK) as client:
        detail = await client.catalogue.individual(1)
    assert (detail.individual.aliases, detail.merged) == (("D1",), (3,))
    assert detail.encounters[0].begins_at == datetime(2026, 7, 1, 14, 5)
    assert (detail.encounters[0].annotations, detail.encounters[0].ends_at) == ((5,), None)


ACTOR = {"institution": "azores", "name": "Maria", "kind": "person"}
EVENT = {"version": 2, "kind": "undo", "actor": ACTOR, "at": "2026-07-01T12:00:00+00:00", "reason": None}
EVENT |= {"undoes": 1, "undone_by": None}


async def test_annotations_and_events_are_read() -> None:
    annotation = {"id": 5, "source_key": "path:a", "animal": 1, "body_part": "fluke", "path": "a", "side": "left"}
    annotation |= {"quality": None, "encounter": None, "individual": 1, "name": "Dante", "reviewed": True}
    annotation |= {"verdict": "match", "confidence": None, "models": ["abc"]}
    rest = {"head": {"version": 2, "nonce": "a"}, "next": None, "total": 1}
    answers = {kind: [rest | {"annotations": [annotation]}] for kind in ("annotations", "review")}
    answers["history"] = [rest | {"events": [EVENT]}]
    async with ScriptedServer(answers=answers) as server, AsyncClient(server.url, options=QUICK) as client:
        of_dante = [each async for each in client.catalogue.annotations(individual=1, side="left")]
        waiting = [each async for each in client.catalogue.review()]
        (told,) = [each async for each in client.catalogue.history(since=1)]
    assert of_dante == waiting
    assert (waiting[0].models, waiting[0].verdict, waiting[0].reviewed) == (("abc",), "match", True)
    assert (told.actor.name, told.at, told.undoes) == ("Maria", datetime(2026, 7, 1, 12, tzinfo=UTC), 1)
    assert [request["type"] for request in server.requests] == ["annotations", "review", "history"]


PROPOSED: dict[str, Any] = {"begins_at": "2026-07-01T14:05:00", "ends_at": "2026-07-01T14:20:00", "utc_offset_min": -60}
PROPOSED |= {"latitude": 38.5, "longitude": -28.6, "uncertainty_m": 50.0, "near": [14]}
PROPOSED |= {"encounters": [{"annotations": [5, 8], "individual": 1}]}


def proposals(*sightings: Any, undated: bool = False, after: str | None = None) -> dict[str, Any]:
    cameras = [{"camera": "Canon", "clock_s": 60}, {"camera": "Nikon", "clock_s": None}]
    rest = {"head": {"version": 1, "nonce": "a"}, "timezone": "Atlantic/Azores", "gap_min": 30, "cameras": cameras}
    rest |= {"undated": [{"annotation": 11, "path": "a.jpg"}] if undated else [], "next": after, "total": 2}
    return rest | {"sightings": list(sightings)}


async def test_proposed_sightings_are_read_and_made_as_they_are() -> None:
    pages = [proposals(PROPOSED, after="[0]"), proposals(undated=True)]
    answers = {"propose_sightings": [*pages, proposals()], "move": [CHANGED]}
    async with ScriptedServer(answers=answers) as server, AsyncClient(server.url, options=QUICK) as client:
        sighting, undated = [each async for each in client.catalogue.propose_sightings(gap_min=45, page_size=1)]
        clocks = await client.catalogue.clocks()
        assert isinstance(sighting, ProposedSighting)
        (encounter,) = sighting.encounters
        await client.catalogue.change(Move(encounter.annotations, values=sighting.values), key="k")
    assert (encounter, sighting.near) == (ProposedEncounter((5, 8), 1), (14,))
    assert undated == Undated(11, "a.jpg")
    assert clocks == Clocks("Atlantic/Azores", 30, {"Canon": 60, "Nikon": None})
    asked = {"type": "propose_sightings", "gap_min": 45, "limit": 1}
    assert server.requests[:2] == [asked | {"id": "1"}, asked | {"id": "2", "after": "[0]"}]
    times = {name: PROPOSED[name] for name in ("begins_at", "ends_at")}
    place = {"latitude": 38.5, "longitude": -28.6, "uncertainty_m": 50.0}
    assert server.requests[-1]["values"] == times | place


PAIR = {"body_part": "fluke", "distance": 0.25, "ratio": 0.5}
LIKE = {"id": 1, "name": "Dante", "annotations": 3, "spread": 0.5}
PAIR |= {"individuals": [LIKE, LIKE | {"id": 9, "name": "Durante", "annotations": 1, "spread": None}]}


async def test_pairs_that_may_be_one_are_read_also_behind_a_page_without_any() -> None:
    rest = {"head": {"version": 2, "nonce": "a"}, "total": None}
    answers = {"suggest_merges": [rest | {"pairs": [], "next": "[1]"}, rest | {"pairs": [PAIR], "next": None}]}
    async with ScriptedServer(answers=answers) as server, AsyncClient(server.url, options=QUICK) as client:
        listing = client.catalogue.suggest_merges(body_part="fluke", within=1.5)
        (pair,) = [each async for each in listing]
    assert (pair.distance, pair.ratio, [each.id for each in pair.individuals]) == (0.25, 0.5, [1, 9])
    assert (pair.individuals[1].spread, listing.total, listing.head) == (None, None, Head(2, "a"))
    first, second = server.requests
    assert (first["bodyPart"], first["within"], second["after"]) == ("fluke", 1.5, "[1]")


@pytest.mark.parametrize("data", [[], {"head": {"version": 1}}, {"head": None}, page({"id": 1}, after=None)])
async def test_an_answer_that_cannot_be_read_says_so(data: Any) -> None:
    server = ScriptedServer(answers={"individuals": [data]})
    async with server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(BadAnswerError, match="answer to individuals cannot be read"):
            await client.catalogue.individuals().page()


async def test_a_change_whose_answer_was_lost_is_asked_for_again_under_its_key() -> None:
    script = ScriptedServer(answers={"rename": [None, CHANGED, CHANGED]}, close_after=[(0, 1006)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        verb = Rename(1, "Durante", keep=True)
        changed = await client.catalogue.change(verb, known=Head(1, "a"), reason="baptised")
        await client.catalogue.change(verb, key="mine")
    assert (changed.head, changed.made) == (Head(2, "b"), {"individuals": (57,)})
    lost, without_an_answer, answered, mine = server.requests
    assert lost["key"] == without_an_answer["key"] == answered["key"] != mine["key"] == "mine"
    wanted = {"individual": 1, "name": "Durante", "keep": True, "known": {"version": 1, "nonce": "a"}}
    assert wanted.items() <= lost.items()
    assert lost["reason"] == "baptised"
    assert not {"known", "reason", "catalogue"} & set(mine)


async def test_what_is_refused_has_the_server_s_code_and_is_not_asked_again() -> None:
    script = ScriptedServer(answers={"undo": []}, refusals=["unavailable", "undo_blocked"])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        with pytest.raises(RequestFailedError) as caught:
            await client.catalogue.change(Undo(3))
    assert caught.value.code == "undo_blocked"
    assert len(server.requests) == 2


async def test_a_server_that_ends_every_request_without_an_answer_is_given_up() -> None:
    script = ScriptedServer(answers={"individuals": [None] * 1000})
    options = ClientOptions(connect_s=0.1, reconnect_s=0.1, first_delay_s=0.01, longest_delay_s=0.02)
    async with script as server, AsyncClient(server.url, options=options) as client:
        with pytest.raises(ServerUnreachableError):
            await client.catalogue.individuals().page()


def news(version: int, *events: int) -> dict[str, Any]:
    told = [EVENT | {"version": event} for event in events]
    return {"catalogue": "default", "head": {"version": version, "nonce": "a"}, "events": told}


async def test_a_subscription_goes_on_where_it_was_lost() -> None:
    answers = {"subscribe": [news(3), news(5, 4, 5), None, news(6, 6)]}
    script = ScriptedServer(answers=answers, close_after=[(0, 1006)])
    async with script as server, AsyncClient(server.url, options=QUICK) as client:
        heard = []
        async with aclosing(client.catalogue.subscribe()) as told:
            async for each in told:
                heard.append((each.head.version, [event.version for event in each.events]))
                if len(heard) == 3:
                    break
    assert heard == [(3, []), (5, [4, 5]), (6, [6])]
    assert [request.get("since") for request in server.requests] == [None, None, 3, 5, 5]


def test_programs_without_asyncio_have_the_same_calls() -> None:
    answers = {"individuals": [page(DANTE, after="[1]"), page(VERGIL, after=None, total=None)], "merge": [CHANGED]}
    with served_in_a_thread(ScriptedServer(answers=answers)) as server, Client(server.url, options=QUICK) as client:
        listing = client.catalogue.individuals(sex="male")
        assert [each.id for each in listing] == [1, 3]
        assert (listing.head, listing.total) == (Head(1, "a"), 2)
        changed = client.catalogue.named("fjord").change(Merge(1, (3,)), known=listing.head)
    assert changed.made == {"individuals": (57,)}
    assert [request.get("catalogue") for request in server.requests] == [None, None, "fjord"]


@pytest.mark.parametrize(
    ("verb", "read"),
    [
        (
            Decide((Decision(5, "new", name="Bice", confidence="certain"), Decision(8, "unsure"))),
            server_side.Decide(
                type="decide",
                id="x",
                decisions=(
                    server_side.Verdict(annotation=5, verdict="new", name="Bice", confidence="certain"),
                    server_side.Verdict(annotation=8, verdict="unsure"),
                ),
            ),
        ),
        (Rename(1, "Dante"), server_side.Rename(type="rename", id="x", individual=1, name="Dante")),
        (
            Aliases(1, add=("D1",)),
            server_side.Aliases(type="aliases", id="x", individual=1, add=("D1",)),
        ),
        (Merge(1, (3, 5)), server_side.Merge(type="merge", id="x", into=1, others=(3, 5))),
        (Split((5,), name="Bice"), server_side.Split(type="split", id="x", annotations=(5,), name="Bice")),
        (Move((5,), sighting=3), server_side.Move(type="move", id="x", annotations=(5,), sighting=3)),
        (Remove((5,)), server_side.Remove(type="remove", id="x", annotations=(5,))),
        (
            Describe({"begins_at": datetime(2026, 7, 1, 14, 5), "locality": None}, sighting=3),
            server_side.Describe(
                type="describe",
                id="x",
                sighting=3,
                values=server_side.Values.model_validate({"begins_at": "2026-07-01T14:05:00", "locality": None}),
            ),
        ),
        (Undo(3), server_side.Undo(type="undo", id="x", version=3)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_server_reads_what_is_meant(verb: Verb, read: server_side.ChangeRequest) -> None:
    message = read_message({"type": verb.kind, "id": "x", **message_fields(verb)}, "x")
    assert message == read
    if isinstance(message, server_side.Describe):
        assert message.values.model_fields_set == {"begins_at", "locality"}

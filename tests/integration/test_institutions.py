"""Three institutions with four catalogues and grants between them on one service, over sockets."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.access import ANYWHERE, FOR_ALL, NEEDED
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.people import open_people
from pipeline.catalogue.scope import digest
from pipeline.catalogue.sql_store import make_catalogue, open_catalogue
from pipeline.client import Around, Box, Client, Filters, Query, RequestFailedError
from pipeline.records import OPERATOR, Actor
from pipeline.rights import Right
from tests.confirming import confirm, word
from tests.integration.catalogues_made import StoredMatcher
from tests.integration.edge_made import Edge

MAYA, VERA, NIGHTLY = Actor("WDC", "Maya"), Actor("WDC", "Vera"), Actor("WDC", "nightly", "program")
OLE, SAM = Actor("BAS", "Ole"), Actor("IMR", "Sam")
CATALOGUES = {"azores": MAYA, "madeira": MAYA, "georgia": OLE, "norway": SAM}
GIFTS = (
    Gift("azores", VERA, Right.VIEW),
    Gift("azores", NIGHTLY, Right.CONFIRM),
    Gift("azores", "BAS", Right.VIEW, "coarse"),
    Gift("madeira", "BAS", Right.MATCH, "none"),
    Gift("georgia", "WDC", Right.CONFIRM, "exact"),
)
HELD = {
    MAYA: {"azores": "admin", "georgia": "confirm", "madeira": "admin"},
    VERA: {"azores": "view", "georgia": "confirm"},
    NIGHTLY: {"azores": "confirm", "georgia": "confirm"},
    OLE: {"azores": "view", "georgia": "admin", "madeira": "match"},
    SAM: {"norway": "admin"},
}
ALL = (*CATALOGUES, "default", "absent")
ITEM = {"path": "q.jpg", "type": "fluke", "embedding": [0.28, 0.96]}
RANK = {"type": "identify", "data": [ITEM]}
QUERY = Query("q.jpg", "fluke", (0.28, 0.96))


class Service(Edge):
    """The edge with a database of institutions behind it, and a token of everybody in it."""

    def __init__(self, url, catalogues=CATALOGUES, **arguments):
        make_catalogue(url)
        self.people = open_people(url)
        for user in HELD:
            self.people.add_user(user)
        for name, admin in catalogues.items():
            self.people.add_catalogue(name, admin, "sperm whale", OPERATOR)
            confirm(open_catalogue(url, name), [word(f"{name}.jpg", f"{name}'s whale")])
        for gift in GIFTS:
            self.people.give(gift, OPERATOR)
        self.tokens = {user: self.people.make_token(user, "test") for user in HELD}
        super().__init__(matcher=StoredMatcher(url), access="tokens", catalogue_url=url, **arguments)

    def open(self, user):
        return self.connect(additional_headers={"Authorization": f"Bearer {self.tokens[user]}"})

    def client(self, user):
        return Client(self.url, token=self.tokens[user])


@pytest.fixture
def service(tmp_path):
    with Service(f"sqlite:///{tmp_path}/catalogue.sqlite") as running:
        yield running


def ask(websocket, **request):
    """Return all that is answered, as it was sent."""
    websocket.send(json.dumps({"id": "x", **request}))
    texts = []
    while not texts or json.loads(texts[-1])["type"] not in ("complete", "error"):
        texts.append(websocket.recv(timeout=10))
    return texts


def answer_of(texts):
    return json.loads(texts[-2])["data"] if len(texts) > 1 else json.loads(texts[-1])


# What is sent of each kind, about one catalogue, by its lowest right; whoever adds a message adds it here.
# Changes name what no catalogue has, so that they go as far as the catalogue and change nothing.
NUMBER = 2**31 - 1
REQUESTS = {
    "match": [{"type": "identify", "data": [ITEM]}],
    "view": [
        {"type": "individuals"},
        {"type": "individual", "individual": NUMBER},
        {"type": "annotations"},
        {"type": "review"},
        {"type": "history"},
        {"type": "suggest_merges"},
        {"type": "subscribe"},
        {"type": "propose_sightings"},
        {**RANK, "topK": 1, "references": 1},
        {**RANK, "filters": {"side": "left"}},
    ],
    "confirm": [
        {"type": "identify", "data": [{**ITEM, "identity": "Nova"}]},
        {"type": "decide", "decisions": [{"annotation": NUMBER, "verdict": "unsure"}]},
        {"type": "rename", "individual": NUMBER, "name": "Nova"},
        {"type": "aliases", "individual": NUMBER, "add": ["Nova"]},
        {"type": "merge", "into": NUMBER, "others": [NUMBER]},
        {"type": "split", "annotations": [NUMBER], "name": "Nova"},
        {"type": "move", "annotations": [NUMBER]},
        {"type": "remove", "annotations": [NUMBER]},
        {"type": "describe", "individual": NUMBER, "values": {"note": "x"}},
        {"type": "undo", "version": NUMBER},
    ],
    "admin": [
        {"type": "members"},
        {"type": "grant", "institution": "nobody", "right": "view"},
        {"type": "revoke", "institution": "nobody"},
    ],
}
RIGHTS = ("match", "view", "confirm", "admin")


def first_answer(websocket, request):
    """Return what is answered until it is clear whether the request is carried out; a subscription goes on."""
    websocket.send(json.dumps({"id": "x", **request}))
    texts = []
    while not texts or json.loads(texts[-1])["type"] not in ("complete", "error", "subscribe"):
        texts.append(websocket.recv(timeout=10))
    if json.loads(texts[-1])["type"] == "subscribe":
        ask(websocket, type="cancel")
    return tuple(texts)


def test_every_request_about_a_catalogue_is_tried():
    tried = {request["type"] for requests in REQUESTS.values() for request in requests}
    assert tried == NEEDED.keys() - ANYWHERE - FOR_ALL


@pytest.mark.parametrize("user", HELD, ids=lambda user: user.name)
def test_everybody_may_what_they_hold_and_cannot_tell_what_is_absent_from_what_is_foreign(service, user):
    with service.open(user) as websocket:
        for lowest, requests in REQUESTS.items():
            for request in requests:
                refusals = set()
                for catalogue in ALL:
                    answered = first_answer(websocket, request | {"catalogue": catalogue})
                    held = HELD[user].get(catalogue)
                    allowed = held is not None and RIGHTS.index(held) >= RIGHTS.index(lowest)
                    refused = '"code":"no_such_catalogue"' in answered[-1]
                    assert allowed != refused, (request, catalogue)
                    refusals |= {answered} if refused else set()
                assert len(refusals) == 1, request


def test_a_foreign_catalogue_is_answered_as_by_a_service_that_does_not_have_it(tmp_path):
    def said(url, catalogues):
        with Service(url, catalogues) as service, service.open(VERA) as websocket:
            requests = [request for requests in REQUESTS.values() for request in requests]
            return [first_answer(websocket, request | {"catalogue": "norway"}) for request in requests]

    without = {name: admin for name, admin in CATALOGUES.items() if name != "norway"}
    with_it = said(f"sqlite:///{tmp_path}/with.sqlite", CATALOGUES)
    assert with_it == said(f"sqlite:///{tmp_path}/without.sqlite", without)


@pytest.mark.parametrize("user", HELD, ids=lambda user: user.name)
def test_everybody_is_told_of_the_catalogues_that_they_hold_something_in(service, user):
    with service.open(user) as websocket:
        entries = answer_of(ask(websocket, type="catalogues"))["catalogues"]
    assert {entry["name"]: entry["right"] for entry in entries} == HELD[user]
    assert {entry["name"] for entry in entries if "photos" in entry} == {
        name for name, right in HELD[user].items() if right != "match"
    }


def test_a_ranking_has_the_individuals_of_the_catalogue_that_was_named(service):
    with service.client(MAYA) as client:
        for catalogue in HELD[MAYA]:
            (found,) = client.identify([QUERY], catalogue=catalogue)
            assert {each.individual for each in found.candidates} == {f"{catalogue}'s whale", "Unknown"}


def test_who_may_rank_only_gets_rounded_distances(service):
    exact = float(np.hypot(0.28 - 1.0, 0.96 - 1.0))
    with service.client(OLE) as ole, service.client(MAYA) as maya:
        (rounded,) = ole.identify([QUERY], catalogue="madeira")
        (whole,) = maya.identify([QUERY], catalogue="madeira")
    assert [each.distance for each in rounded.candidates] == [round(exact, 2), 1.0]
    assert whole.candidates[0].distance == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("place", [{"box": Box(38, -29, 39, -28)}, {"around": Around(38.5, -28.5, 1000)}])
def test_who_does_not_see_exact_places_may_not_compare_them_and_nothing_is_stored(service, tmp_path, place):
    service.people.give(Gift("azores", "BAS", Right.CONFIRM, "coarse"), OPERATOR)
    service.people.give(Gift("azores", "IMR", Right.CONFIRM, "exact"), OPERATOR)
    before = open_catalogue(f"sqlite:///{tmp_path}/catalogue.sqlite", "azores").head()
    nova = replace(QUERY, identity="Nova")
    with service.client(OLE) as ole, service.client(SAM) as sam, service.client(VERA) as vera:
        with pytest.raises(RequestFailedError, match="exact places"):
            ole.identify([nova], catalogue="azores", filters=Filters(**place))
        assert open_catalogue(f"sqlite:///{tmp_path}/catalogue.sqlite", "azores").head() == before
        for client in (sam, vera):
            (found,) = client.identify([QUERY], catalogue="azores", filters=Filters(**place))
            assert found.individuals == 0
        (found,) = ole.identify([QUERY], catalogue="azores", filters=Filters(body_part="fluke"))
        assert found.individuals == 1


def test_several_catalogues_are_ranked_together_as_far_as_each_may_be_seen(service):
    exact = float(np.hypot(0.28 - 1.0, 0.96 - 1.0))
    with service.client(OLE) as ole, service.client(MAYA) as maya:
        (seen,) = ole.identify([QUERY], catalogues=["georgia", "madeira", "azores"])
        (two,) = ole.identify([QUERY], 2, catalogues=["azores", "georgia"], references=1)
        (own,) = maya.identify([QUERY], catalogues=["azores"])
    assert [(each.individual, each.catalogue, each.number is None) for each in seen.candidates] == [
        ("madeira's whale", "madeira", True),
        ("georgia's whale", "georgia", False),
        ("azores's whale", "azores", False),
        ("Unknown", None, True),
    ]
    distances = [each.distance for each in seen.candidates]
    assert distances == pytest.approx([round(exact, 2), exact, exact, 1.0], abs=1e-6)
    assert distances[0] == round(exact, 2)
    assert seen.individuals is None
    assert [(each.catalogue, len(each.references)) for each in two.candidates] == [("azores", 1), ("georgia", 1)]
    assert two.individuals == 2
    assert [(each.catalogue, each.individual) for each in own.candidates] == [
        ("azores", "azores's whale"),
        (None, "Unknown"),
    ]


@pytest.mark.parametrize("detail", [{}, {"topK": 1, "references": 1}, {"filters": {"side": "left"}}])
def test_one_catalogue_that_may_not_be_ranked_refuses_all_of_them_whether_it_exists_or_not(service, detail):
    refusals, answered = set(), []
    with service.open(OLE) as websocket:
        for named in (["georgia", "norway"], ["georgia", "absent"], ["absent", "georgia"], ["norway"], ["default"]):
            refusals.add(tuple(ask(websocket, catalogues=named, **RANK, **detail)))
        answered = ask(websocket, catalogues=["georgia", "madeira"], **RANK, **detail)
    (refusal,) = refusals
    assert json.loads(refusal[0])["code"] == "no_such_catalogue"
    assert (tuple(answered) == refusal) == bool(detail), "madeira may be ranked only"


def test_a_decision_brings_a_ranking_over_several_back_in_each_that_was_seen(service):
    service.people.give(Gift("azores", "BAS", Right.CONFIRM, "coarse"), OPERATOR)
    with service.client(OLE) as ole:
        (seen,) = ole.identify([QUERY], catalogues=["georgia", "madeira", "azores"])
        (annotation,) = [each.id for each in ole.catalogue.annotations()]

    def decide(catalogue):
        verdict = {"annotation": annotation, "verdict": "unsure", "ranking": seen.ranking}
        return ask(websocket, type="decide", catalogue=catalogue, decisions=[verdict])[-1]

    service.people.give(Gift("madeira", "BAS", Right.CONFIRM, "none"), OPERATOR)
    time.sleep(1.1)  # until what was known of the rights is looked up again
    with service.open(OLE) as websocket:
        assert json.loads(decide("georgia"))["type"] == "complete"
        assert json.loads(decide("azores"))["type"] == "complete"
        assert '"code":"bad_change"' in decide("madeira"), "it was ranked, and its state was not told"


def test_a_ranking_that_was_signed_in_one_catalogue_is_refused_in_another(service):
    with service.client(MAYA) as maya:
        (found,) = maya.identify([QUERY], 1, catalogue="azores", references=1)
        annotation = found.candidates[0].references[0].annotation
    decide = {
        "type": "decide",
        "decisions": [{"annotation": annotation, "verdict": "unsure", "ranking": found.ranking}],
    }
    with service.open(MAYA) as websocket:
        assert '"code":"bad_change"' in ask(websocket, catalogue="madeira", **decide)[-1]
        assert json.loads(ask(websocket, catalogue="azores", **decide)[-1])["type"] == "complete"


def test_a_confirmation_goes_to_the_catalogue_that_it_names_and_to_no_other(service):
    def counts():
        with service.open(MAYA) as websocket:
            entries = answer_of(ask(websocket, type="catalogues"))["catalogues"]
        return {entry["name"]: entry["photos"] for entry in entries}

    assert counts() == {"azores": 1, "georgia": 1, "madeira": 1}
    with service.client(VERA) as client:
        client.confirm([QUERY], "Nova", catalogue="georgia")
        with pytest.raises(RequestFailedError) as refused:
            client.confirm([QUERY], "Nova", catalogue="azores")
    assert refused.value.code == "no_such_catalogue"
    assert counts() == {"azores": 1, "georgia": 2, "madeira": 1}


def test_without_a_name_a_request_means_the_institution_s_only_catalogue(service):
    with service.client(OLE) as client:
        (found,) = client.identify([QUERY])
    assert found.candidates[0].individual == "georgia's whale"
    with service.client(MAYA) as client, pytest.raises(RequestFailedError) as refused:
        client.identify([QUERY])
    assert refused.value.code == "catalogue_needed"


def test_a_right_that_is_taken_back_ends_on_an_open_connection_within_a_second(service):
    with service.open(OLE) as websocket:
        request = RANK | {"catalogue": "azores"}
        assert json.loads(ask(websocket, **request)[-1])["type"] == "complete"
        service.people.take_back("azores", "BAS", MAYA)
        time.sleep(1)
        assert json.loads(ask(websocket, **request)[-1])["code"] == "no_such_catalogue"
        service.people.give(Gift("azores", OLE, Right.CONFIRM), MAYA)
        time.sleep(1)
        assert json.loads(ask(websocket, **request)[-1])["type"] == "complete"


def test_a_revoked_token_s_socket_is_closed_with_1008_and_the_owner_s_other_one_stays(service):
    other = service.people.make_token(OLE, "another machine")
    with (
        service.open(OLE) as lost,
        service.connect(additional_headers={"Authorization": f"Bearer {other}"}) as kept,
    ):
        begun = time.monotonic()
        service.people.revoke_token(digest(service.tokens[OLE])[:12])
        with pytest.raises(ConnectionClosed) as closed:
            lost.recv(timeout=10)
        assert closed.value.rcvd.code == 1008
        assert time.monotonic() - begun < 1.5
        assert answer_of(ask(kept, type="catalogues"))["catalogues"]
    with pytest.raises(InvalidStatus) as refused, service.open(OLE):
        pass
    assert refused.value.response.status_code == 401


def test_somebody_without_any_right_may_not_even_extract(tmp_path):
    nobody = Actor("NEW", "Nobody")
    with Service(f"sqlite:///{tmp_path}/c.sqlite", folders_of="NEW") as service:
        service.people.add_user(nobody)
        service.tokens[nobody] = service.people.make_token(nobody, "test")
        with service.open(nobody) as websocket:
            assert json.loads(ask(websocket, type="extract", fileNames=["/a.jpg"])[-1])["code"] == "forbidden"
            assert answer_of(ask(websocket, type="catalogues")) == {"catalogues": []}


def test_folders_are_for_the_institution_that_the_settings_name_and_for_their_own_tokens(tmp_path):
    def outcome(websocket):
        (entry,) = answer_of(ask(websocket, type="extract", fileNames=["/a.jpg"]))
        return entry.get("error", {}).get("code")

    lena = {"sha256": digest("old"), "name": "Lena"}
    with Service(f"sqlite:///{tmp_path}/c.sqlite", folders_of="WDC", tokens=[lena]) as service:
        with service.open(MAYA) as maya, service.open(OLE) as ole:
            assert (outcome(maya), outcome(ole)) == (None, "outside_roots")
        with service.connect(additional_headers={"Authorization": "Bearer old"}) as websocket:
            assert outcome(websocket) is None


def test_health_and_the_page_tell_what_default_holds_only_to_who_may_view_it(service):
    def seen(user):
        headers = {"Authorization": f"Bearer {service.tokens[user]}"}
        return json.loads(service.get("/healthz", **headers)[1])["catalogue"], service.get("/", **headers)[1]

    counts, page = seen(MAYA)
    assert counts is None
    assert "individuals" not in page.split("<h2>")[1]
    assert "3 individuals" not in page
    service.people.give(Gift("default", "WDC", Right.VIEW, "none"), OPERATOR)
    time.sleep(1)
    counts, page = seen(MAYA)
    assert counts == {"individuals": 3, "photos": 7}
    assert "3 individuals in 7 photos" in page


def test_a_database_that_is_away_leaves_sockets_open_and_says_so(service, tmp_path):
    with service.open(OLE) as websocket:
        assert json.loads(ask(websocket, **RANK, catalogue="georgia")[-1])["type"] == "complete"
        (tmp_path / "catalogue.sqlite").rename(tmp_path / "away")
        time.sleep(1)
        failed = json.loads(ask(websocket, **RANK, catalogue="georgia")[-1])
        assert failed["code"] == "catalogue_unavailable"
        with pytest.raises(InvalidStatus) as refused, service.open(SAM):
            pass
        assert refused.value.response.status_code == 503
        (tmp_path / "away").rename(tmp_path / "catalogue.sqlite")
        time.sleep(1)
        assert json.loads(ask(websocket, **RANK, catalogue="georgia")[-1])["type"] == "complete"


def test_a_token_of_the_settings_confirms_in_default_as_before(tmp_path):
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    lena = {"sha256": digest("old"), "name": "Lena", "institution": "WDC"}
    with Service(url, tokens=[lena]) as service, Client(service.url, token="old") as client:
        client.confirm([QUERY], "Nova")
        assert client.identify([QUERY])[0].candidates[0].individual == "Nova"
        assert client.identify([QUERY], catalogue="georgia")[0].candidates  # by the grant to WDC
        with pytest.raises(RequestFailedError):
            client.identify([QUERY], catalogue="azores")
    assert open_catalogue(url).counts().photos == 1

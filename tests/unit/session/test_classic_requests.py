"""The classic way of speaking, to the character."""

import json

import pytest

from pipeline.errors import CatalogueUnavailableError
from pipeline.records import Failure, PathSource, Ranking, SaveOutcome
from pipeline.session.actions import ExtractPhoto, RankQueries, SavePhoto, StoreConfirmations
from tests.unit.session.session_made import (
    FakeClock,
    SmallLimits,
    asked,
    calls,
    closed,
    find,
    finish,
    found,
    lines,
    make_session,
    not_found,
    ranking,
    send,
)

STARTING = "starting on cuda:0 with ./models/demo"
EXTRACT = {"type": "extract", "fileNames": ["a.jpg"]}
ITEM = {"path": "a.jpg", "type": "fluke", "embedding": [0.5]}


def test_an_extract_is_answered_as_the_original_answered() -> None:
    clock = FakeClock()
    session = make_session(clock)
    heard = lines(send(session, type="extract", fileNames=["a.jpg", "sea.jpg", "a.jpg"]))
    heard += lines(session.photo_segmented(1, 0))
    heard += lines(session.photo_segmented(1, 1))
    heard += lines(session.photo_extracted(1, 1, not_found()))
    heard += lines(session.photo_extracted(1, 0, found((0.5, -0.25))))
    heard += lines(session.photo_segmented(1, 2))
    clock.time_s += 25.579
    heard += lines(session.photo_extracted(1, 2, found((0.125, 1.0), body_part="flank")))
    assert heard == [
        STARTING,
        "segmenting: 1/3",
        "segmenting: 2/3",
        "extracting: 1/3",
        "extracting: 2/3",
        "segmenting: 3/3",
        "extracting: 3/3",
        '{"type":"extract","data":[{"path":"a.jpg","type":"fluke","embedding":[0.5,-0.25]},'
        '{"path":"sea.jpg","error":{"code":"no_animal","message":"no fluke or flank was found"}},'
        '{"path":"a.jpg","type":"flank","embedding":[0.125,1.0]}]}',
        "complete!",
        "18:02 25.58",
    ]


def test_an_identify_is_answered_as_the_original_answered() -> None:
    clock = FakeClock()
    session = make_session(clock)
    heard = lines(send(session, type="identify", data=[ITEM, {**ITEM, "embedding": []}]))
    clock.time_s += 0.5
    heard += lines(session.ranked(1, ranking(("PMOD001_DANTE", 0.339), ("Unknown", 1.0))))
    assert heard == [
        STARTING,
        "identifying: 1/2",
        "identifying: 2/2",
        '{"type":"identify","data":[{"path":"a.jpg","identities":[["PMOD001_DANTE",0.339],["Unknown",1.0]]},'
        '{"path":"a.jpg",'
        '"error":{"code":"bad_embedding","message":"embedding: must have 1 to 65536 numbers, has 0"}}]}',
        "complete!",
        "18:02 0.50",
    ]


def test_a_save_is_answered_as_the_original_answered() -> None:
    session = make_session()
    items = [{"file": f"{name}.jpg", "selectedIdentity": "Dante"} for name in "abc"]
    actions = send(session, type="save", whaleIdentities=[*items, {"file": "d.jpg", "selectedIdentity": ""}])
    assert calls(actions, SavePhoto) == [SavePhoto("a.jpg", "Dante")]
    heard = lines(actions)
    heard += lines(session.saved(1, SaveOutcome("export/Dante/a.jpg")))
    heard += lines(session.saved(1, SaveOutcome("export/Dante/b.jpg", skipped=True)))
    heard += lines(session.saved(1, SaveOutcome(None, failure=Failure("not_found", "there is no c.jpg"))))
    assert heard == [
        "not saving d.jpg: selectedIdentity: the identity is empty: give the individual a name",
        "saving a.jpg to export/Dante/a.jpg...",
        "saving b.jpg to export/Dante/b.jpg... already there",
        "not saving c.jpg: there is no c.jpg",
        "complete!",
        "18:02 0.00",
    ]


@pytest.mark.parametrize(
    ("request_text", "result"),
    [
        ('{"type":"extract","fileNames":[]}', [STARTING, '{"type":"extract","data":[]}']),
        ('{"type":"identify","data":[]}', [STARTING, '{"type":"identify","data":[]}']),
        ('{"type":"save","whaleIdentities":[]}', []),
    ],
)
def test_an_empty_request_is_complete_at_once(request_text: str, result: list[str]) -> None:
    heard = lines(make_session().receive_text(request_text))
    assert heard == [*result, "complete!", "18:02 0.00"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("hello", "error: the message is not JSON: "),
        ("[1]", "error: the message must be a JSON object"),
        ('{"type":"guess"}', 'error: type: "guess" is not known'),
        ('{"type":"individuals"}', "error: id: individuals needs one"),
        ('{"type":"undo","version":1}', "error: id: undo needs one"),
        ('{"type":"extract"}', "error: fileNames: must be a list"),
        ('{"type":"cancel"}', "error: id: "),
        ('{"type":"extract","id":7,"fileNames":[]}', "error: id: "),
        ('{"type":"extract","fileNames":' + json.dumps(["a"] * 1001) + "}", "error: the request has 1001 items"),
    ],
    ids=lambda text: text[:40],
)
def test_a_request_that_fails_as_a_whole_gets_one_line_and_the_connection_stays_usable(text: str, answer: str) -> None:
    session = make_session()
    (line,) = lines(session.receive_text(text))
    assert line.startswith(answer)
    assert lines(finish(session, send(session, **EXTRACT)))[-2] == "complete!"


def test_a_failure_of_the_shell_ends_the_request_with_one_line() -> None:
    session = make_session()
    send(session, type="identify", data=[{**ITEM, "identity": "Dante"}])
    assert lines(session.request_failed(1, CatalogueUnavailableError("disk full"))) == ["error: disk full"]
    assert session.idle


def test_paths_go_to_the_shell_as_they_came() -> None:
    path = "C:\\Fotos\\Größe\udc80\n.jpg"
    session = make_session(local_peer=False)
    (photo,) = calls(send(session, type="extract", fileNames=[path]), ExtractPhoto)
    assert photo.source == PathSource(path, local_peer=False)
    (result,) = find(session.photo_extracted(1, 0, found()), '{"type":"extract"')
    assert json.loads(result)["data"][0]["path"] == path


def test_every_line_can_be_sent_whatever_the_names() -> None:
    session = make_session()
    send(session, type="save", whaleIdentities=[{"file": "\ud800.jpg", "selectedIdentity": "Dante"}])
    for line in lines(session.saved(1, SaveOutcome("export/\udcff.jpg"))):
        line.encode("utf-8")


def test_all_animals_of_a_photo_are_numbered_on_request() -> None:
    session = make_session()
    send(session, type="extract", fileNames=["a.jpg"], animals="all")
    (result,) = find(session.photo_extracted(1, 0, found((1.0,), animals=2)), '{"type":"extract"')
    assert result == (
        '{"type":"extract","data":[{"path":"a.jpg","type":"fluke","embedding":[1.0],"animal":1},'
        '{"path":"a.jpg","type":"fluke","embedding":[1.0],"animal":2}]}'
    )


def test_an_embedding_that_json_cannot_carry_is_a_failure() -> None:
    session = make_session()
    send(session, **EXTRACT)
    (result,) = find(session.photo_extracted(1, 0, found((float("nan"),))), '{"type":"extract"')
    assert json.loads(result)["data"][0]["error"]["code"] == "failed"


# --- confirmations ---


def test_all_confirmations_of_a_request_are_stored_before_the_first_ranking() -> None:
    session = make_session()
    items = [{**ITEM, "identity": name} for name in (" Dante ", "Unknown", "Beatrice")]
    actions = send(session, type="identify", data=[ITEM, *items])
    (store,) = calls(actions, StoreConfirmations)
    assert [query.identity for query in store.queries] == ["Dante", "Beatrice"]
    assert not calls(actions, RankQueries)
    assert not [line for line in lines(actions) if line.startswith("identifying")]
    (rank,) = calls(session.stored(1), RankQueries)
    assert [query.identity for query in rank.queries] == [None, "Dante", "Beatrice"]
    assert session.stored(1) == []


def test_a_confirmation_that_the_catalogue_refused_is_answered_with_why() -> None:
    session = make_session()
    send(session, type="identify", data=[{**ITEM, "identity": name} for name in ("Vergil", "dante")])
    why = Failure("bad_identity", "b.jpg: Dante or DANTE?")
    actions = session.stored(1, None, why)
    (rank,) = calls(actions, RankQueries)
    assert [query.identity for query in rank.queries] == ["Vergil"]
    (result,) = find(finish(session, actions), '{"type":"identify"')
    assert json.loads(result)["data"][1]["error"] == {"code": "bad_identity", "message": "b.jpg: Dante or DANTE?"}


def test_a_large_identify_is_ranked_in_portions() -> None:
    session = make_session()
    actions = finish(session, send(session, type="identify", data=[ITEM] * 150, topK=3))
    portions = calls(actions, RankQueries)
    assert [len(portion.queries) for portion in portions] == [64, 64, 22]
    assert {portion.top_k for portion in portions} == {3}
    assert [line for line in lines(actions) if line.startswith("identifying")][-1] == "identifying: 150/150"


# --- one after the other ---


def test_classic_requests_are_answered_in_order_errors_included() -> None:
    session = make_session()
    send(session, **EXTRACT)
    assert lines(send(session, type="identify", data=[])) == []
    assert lines(session.receive_text("nonsense")) == []
    assert lines(send(session, type="save", whaleIdentities=[])) == []
    heard = lines(session.photo_extracted(1, 0, found()))
    assert [line for line in heard if line == "complete!" or line.startswith(("error", "starting"))] == [
        "complete!",
        STARTING,
        "complete!",
        "error: the message is not JSON: Expecting value: line 1 column 1 (char 0)",
        "complete!",
    ]


def test_nothing_is_begun_for_a_client_that_is_slow_to_read_until_it_has_read() -> None:
    session = make_session()
    send(session, **EXTRACT)
    send(session, type="identify", data=[ITEM])
    assert session.hold(True) == []
    actions = session.photo_extracted(1, 0, found())
    assert "complete!" in lines(actions)
    assert calls(actions, RankQueries) == []
    (rank,) = calls(session.hold(False), RankQueries)
    assert len(rank.queries) == 1


def test_requests_with_id_do_not_wait_for_classic_ones() -> None:
    session = make_session()
    send(session, **EXTRACT)
    assert asked(send(session, **EXTRACT, id="x")) == [(2, 0)]


def test_too_many_waiting_requests_close_the_connection() -> None:
    session = make_session(limits=SmallLimits(max_requests_per_connection=2))
    send(session, **EXTRACT)
    assert closed(send(session, **EXTRACT) + send(session, **EXTRACT)) == []
    assert closed(send(session, **EXTRACT)) == [1008]


def test_too_many_waiting_bytes_close_the_connection() -> None:
    session = make_session()
    send(session, **EXTRACT)
    text = '{"type":"extract","fileNames":["' + "x" * (12 * 2**20) + '"]}'
    assert closed(session.receive_text(text) + session.receive_text(text)) == []
    assert closed(session.receive_text(text)) == [1008]


# --- the desktop app ---


def test_the_desktop_app_gets_the_bare_list_of_photos_with_an_embedding() -> None:
    session = make_session(array_dialect=True)
    send(session, type="extract", fileNames=["a.jpg", "sea.jpg", "a.jpg"])
    heard = lines(session.photo_extracted(1, 0, found((1.0,))))
    heard += lines(session.photo_extracted(1, 1, not_found()))
    heard += lines(session.photo_extracted(1, 2, found((1.0,))))
    assert [line for line in heard if line.startswith("[")] == [
        '[{"path":"a.jpg","type":"fluke","embedding":[1.0]},{"path":"a.jpg","type":"fluke","embedding":[1.0]}]'
    ]
    assert "extracting: 3/3" in heard


def test_the_desktop_app_gets_an_entry_for_every_item_that_confirms_nothing() -> None:
    session = make_session(array_dialect=True)
    items = [ITEM, {**ITEM, "identity": "Dante"}, {**ITEM, "type": "fin"}, {**ITEM, "identity": ""}, ITEM]
    send(session, type="identify", data=items)
    heard = lines(session.stored(1))
    refused = Ranking((), Failure("other_model", "made by other weights"))
    heard += lines(session.ranked(1, ranking(("Dante", 0.25)), ranking(("Dante", 0.25)), refused))
    assert [line for line in heard if line.startswith("[")] == [
        '[{"path":"a.jpg","identities":[["Dante",0.25]]},{"path":"a.jpg","identities":[]},'
        '{"path":"a.jpg","identities":[]}]'
    ]


@pytest.mark.parametrize(("trusted", "with_id"), [(False, False), (False, True), (True, False)])
def test_only_what_the_desktop_app_confirms_without_an_id_may_be_a_guess(trusted: bool, with_id: bool) -> None:
    session = make_session(array_dialect=True, may_guess=not trusted)
    named = {"id": "x"} if with_id else {}
    (store,) = calls(send(session, type="identify", data=[{**ITEM, "identity": "Dante"}], **named), StoreConfirmations)
    assert store.may_guess == (not trusted and not with_id)


def test_a_service_that_stops_says_so_to_the_desktop_app_and_leaves_no_photo_out() -> None:
    session = make_session(array_dialect=True)
    send(session, type="extract", fileNames=["a.jpg", "b.jpg"])
    session.photo_extracted(1, 0, found())
    (line,) = lines(session.cancel_all())
    assert line == "error: the service is stopping; send the request again"
    assert session.idle


def test_the_desktop_app_may_speak_with_ids_too() -> None:
    session = make_session(array_dialect=True)
    (result, _) = lines(send(session, type="identify", id="x", data=[]))
    assert result == '{"type":"identify","id":"x","data":[]}'


def test_nothing_but_the_result_of_the_desktop_app_starts_with_a_bracket() -> None:
    session = make_session(array_dialect=True)
    for message in (EXTRACT, {"type": "identify", "data": [ITEM]}, {"type": "nonsense"}):
        heard = lines(finish(session, send(session, **message)))
        assert len([line for line in heard if line.startswith("[")]) == (message["type"] != "nonsense")

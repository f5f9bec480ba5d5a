import contextlib
import json
import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedMessageError, RequestError, TooManyPhotosError, UnknownTypeError
from pipeline.protocol.base import MAX_ID_CHARACTERS
from pipeline.protocol.filters import Around, Box, Detail
from pipeline.protocol.items import IdentifyItem
from pipeline.protocol.json_text import decode_object
from pipeline.protocol.reading import read_id, read_message
from pipeline.protocol.requests import Ack, Cancel, Extract, Identify, Message, Save
from pipeline.records import Failure, PhotoKey, Query


def parse(text: str, max_elements: int | None = None) -> Message:
    """Read a message as the session does."""
    fields = decode_object(text)
    return read_message(fields, read_id(fields), max_elements)


def identify_item(**changed: Any) -> IdentifyItem:
    fields = {"path": "a.jpg", "type": "fluke", "embedding": [0.5, 1]} | changed
    fields = {name: value for name, value in fields.items() if value is not ...}
    message = parse(json.dumps({"type": "identify", "data": [fields]}))
    assert isinstance(message, Identify)
    return message.data[0]


def query_of(**changed: Any) -> Query:
    query = identify_item(**changed).query
    assert isinstance(query, Query)
    return query


def refusal_of(**changed: Any) -> Failure:
    query = identify_item(**changed).query
    assert isinstance(query, Failure)
    return query


# --- references and filters ---


def detail_of(**fields: Any) -> Detail | None:
    message = parse(json.dumps({"type": "identify", "id": "x", "data": [], "topK": 3} | fields))
    assert isinstance(message, Identify)
    return message.detail


def test_an_identify_asks_for_no_detail_unless_it_says_so() -> None:
    assert detail_of() is None
    assert detail_of(references=None, filters=None) is None


def test_references_and_filters_are_read() -> None:
    filters = {"bodyPart": "fluke", "side": None, "from": "2015-06-30", "until": "2015-06-30"}
    box = {"south": -10, "west": 170.5, "north": 10.0, "east": -170}
    around = {"latitude": 0, "longitude": 180, "radius_m": 0.5}
    detail = detail_of(references=20, filters=filters | {"box": box, "around": around})
    assert detail is not None
    assert detail.references == 20
    assert detail.filters is not None
    assert detail.filters.since == detail.filters.until == date(2015, 6, 30)
    assert (detail.filters.body_part, detail.filters.side) == ("fluke", None)
    assert detail.filters.box == Box(south=-10, west=170.5, north=10, east=-170)
    assert detail.filters.around == Around(latitude=0, longitude=180, radius_m=0.5)


def test_filters_that_say_nothing_let_everything_through() -> None:
    assert detail_of(filters={}) == detail_of(filters={"side": None}) == Detail(0, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"references": 0}, "references: must be an integer from 1 to 20"),
        ({"references": True}, "references: must be an integer from 1 to 20"),
        ({"references": 3, "topK": None}, "references: need topK of at most 100"),
        ({"references": 3, "topK": 101}, "references: need topK of at most 100"),
        ({"filters": [1]}, "filters: must be an object"),
        ({"filters": {"sides": "left"}}, '"filters.sides": there is no such field'),
        ({"filters": {"side": 1}}, "filters.side: must be a string of 0 to 200 characters"),
        ({"filters": {"from": "30.6.2015"}}, "filters.from: must be a day, as 2015-06-30"),
        ({"filters": {"from": "2015-02-30"}}, "filters.from: must be a day, as 2015-06-30"),
        (
            {"filters": {"from": "2015-06-30", "until": "2015-06-29"}},
            "filters: from 2015-06-30 is after until 2015-06-29",
        ),
        (
            {"filters": {"box": {"south": 1, "west": 2, "north": 3}}},
            "filters.box.east: must be a number from -180 to 180",
        ),
        (
            {"filters": {"box": {"south": 2, "west": 2, "north": 1, "east": 3}}},
            "filters: the box's south lies above its north",
        ),
        (
            {"filters": {"around": {"latitude": 91, "longitude": 0, "radius_m": 1}}},
            "filters.around.latitude: must be a number from -90 to 90",
        ),
        (
            {"filters": {"around": {"latitude": 9, "longitude": 0, "radius_m": 0}}},
            "filters.around.radius_m: must be a number above 0",
        ),
        ({"filters": {"side": "left"}, "id": ...}, "id: filters needs one"),
        ({"references": 1, "id": ...}, "id: references needs one"),
    ],
)
def test_wrong_references_and_filters_are_named(fields: dict[str, Any], message: str) -> None:
    given = {"type": "identify", "id": "x", "data": [], "topK": 3} | fields
    text = json.dumps({name: value for name, value in given.items() if value is not ...})
    with pytest.raises(MalformedMessageError) as caught:
        parse(text)
    assert caught.value.message == message


# --- whole messages ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"extract","fileNames":["a","a"]}', Extract(type="extract", fileNames=("a", "a"))),
        ('{"type":"extract","fileNames":[],"animals":"all"}', Extract(type="extract", fileNames=(), animals="all")),
        (
            '{"type":"extract","id":"","fileNames":["a"],"stream":true}',
            Extract(type="extract", id="", fileNames=("a",), stream=True),
        ),
        ('{"type":"extract","id":"x","uploads":[],"stream":null}', Extract(type="extract", id="x", uploads=())),
        ('{"type":"identify","data":[]}', Identify(type="identify", data=())),
        (
            '{"type":"identify","id":"x","data":[],"topK":5,"stream":true}',
            Identify(type="identify", id="x", data=(), topK=5, stream=True),
        ),
        ('{"type":"save","whaleIdentities":[]}', Save(type="save", whaleIdentities=())),
        ('{"type":"cancel","id":"x"}', Cancel(type="cancel", id="x")),
        ('{"type":"ack","id":"x","items":3}', Ack(type="ack", id="x", items=3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_is_read(text: str, message: object) -> None:
    assert parse(text) == message


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "type"),
        ('{"type":5}', "type"),
        ('{"type":["extract"]}', "type"),
        ('{"type":"extract"}', "fileNames"),
        ('{"type":"extract","fileNames":"a.jpg"}', "fileNames"),
        ('{"type":"extract","fileNames":{"0":"a"}}', "fileNames"),
        ('{"type":"extract","fileNames":null}', "fileNames"),
        ('{"type":"extract","fileNames":[],"animals":"some"}', "animals"),
        ('{"type":"extract","fileNames":[],"animals":true}', "animals"),
        ('{"type":"extract","id":"x","fileNames":[],"stream":1}', "stream"),
        ('{"type":"extract","id":"x","fileNames":[],"stream":NaN}', "stream"),
        ('{"type":"extract","fileNames":[],"stream":true}', "id"),
        ('{"type":"extract","uploads":[]}', "id"),
        ('{"type":"extract","id":"x","uploads":{}}', "uploads"),
        ('{"type":"extract","id":"x","uploads":[],"fileNames":[]}', "uploads"),
        ('{"type":"identify"}', "data"),
        ('{"type":"identify","data":5}', "data"),
        ('{"type":"identify","data":[],"topK":0}', "topK"),
        ('{"type":"identify","data":[],"topK":1.0}', "topK"),
        ('{"type":"identify","data":[],"topK":true}', "topK"),
        ('{"type":"identify","data":[],"topK":' + "9" * 5000 + "}", "topK"),
        ('{"type":"identify","data":[],"stream":true}', "id"),
        ('{"type":"save"}', "whaleIdentities"),
        ('{"type":"save","whaleIdentities":"x"}', "whaleIdentities"),
        ('{"type":"cancel"}', "id"),
        ('{"type":"cancel","id":5}', "id"),
        ('{"type":"cancel","id":null}', "id"),
        ('{"type":"cancel","id":"' + "x" * (MAX_ID_CHARACTERS + 1) + '"}', "id"),
        ('{"type":"ack","items":1}', "id"),
        ('{"type":"ack","id":"x"}', "items"),
        ('{"type":"ack","id":"x","items":0}', "items"),
        ('{"type":"ack","id":"x","items":true}', "items"),
        ('{"type":"ack","id":"x","items":"1"}', "items"),
        ('{"type":"identify","id":"x","data":[],"topk":5}', '"topk"'),
        ('{"type":"cancel","id":"x","why":1}', '"why"'),
    ],
    ids=lambda value: value[:60],
)
def test_a_wrong_field_is_named(text: str, field: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(text)
    assert caught.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize("kind", ["guess", "progress", "Extract", "", "\ud800", "x" * 10_000])
def test_an_unknown_type_is_shown_shortened_and_can_be_sent(kind: str) -> None:
    with pytest.raises(UnknownTypeError) as caught:
        parse(json.dumps({"type": kind}))
    assert len(caught.value.message) < 500
    caught.value.message.encode("utf-8")


def test_unknown_fields_of_a_classic_request_are_ignored_as_the_original_did() -> None:
    assert parse('{"type":"extract","fileNames":["a"],"version":7}') == Extract(type="extract", fileNames=("a",))


def test_an_id_may_hold_what_utf_8_cannot() -> None:
    assert parse('{"type":"cancel","id":"\\ud800"}').id == "\ud800"


def test_a_list_that_is_too_long_is_refused_before_its_elements_are_looked_at() -> None:
    with pytest.raises(TooManyPhotosError, match="has 3 items; at most 2"):
        parse('{"type":"save","whaleIdentities":[1,2,3]}', max_elements=2)


def test_the_longest_id_is_accepted() -> None:
    assert read_id({"id": "x" * MAX_ID_CHARACTERS}) == "x" * MAX_ID_CHARACTERS


# --- elements that are wrong by themselves ---


def test_a_file_name_that_is_no_string_fails_alone() -> None:
    message = parse('{"type":"extract","fileNames":["a",5,null,["b"],"\\ud800"]}')
    assert isinstance(message, Extract)
    assert [path if isinstance(path, str) else path.code for path in message.file_names or ()] == [
        "a",
        "bad_item",
        "bad_item",
        "bad_item",
        "\ud800",
    ]


@pytest.mark.parametrize(
    ("upload", "name", "size_bytes", "code"),
    [
        ({"name": "a/b.jpg", "size": 5}, "a/b.jpg", 5, None),
        ({"name": "a.jpg", "size": 0}, "a.jpg", 0, None),
        ({"name": "a.jpg"}, "a.jpg", 0, "bad_item"),
        ({"name": "a.jpg", "size": -1}, "a.jpg", 0, "bad_item"),
        ({"name": "a.jpg", "size": 5.0}, "a.jpg", 0, "bad_item"),
        ({"name": "a.jpg", "size": True}, "a.jpg", 0, "bad_item"),
        ({"name": "", "size": 5}, None, 0, "bad_item"),
        ({"name": "x" * 1025, "size": 5}, None, 0, "bad_item"),
        ({"size": 5}, None, 0, "bad_item"),
        ("a.jpg", None, 0, "bad_item"),
        (None, None, 0, "bad_item"),
    ],
)
def test_an_upload_is_read_or_fails_alone(upload: object, name: str | None, size_bytes: int, code: str | None) -> None:
    message = parse(json.dumps({"type": "extract", "id": "x", "uploads": [upload]}))
    assert isinstance(message, Extract)
    assert message.uploads is not None
    (item,) = message.uploads
    assert (item.name, item.size_bytes, item.failure and item.failure.code) == (name, size_bytes, code)


@pytest.mark.parametrize(
    ("item", "file", "identity", "code"),
    [
        ({"file": "a.jpg", "selectedIdentity": " Dante "}, "a.jpg", "Dante", None),
        ({"file": "a.jpg", "selectedIdentity": "Unknown"}, "a.jpg", "Unknown", None),
        ({"file": "a.jpg", "selectedIdentity": "  "}, "a.jpg", "  ", "bad_identity"),
        ({"file": "a.jpg", "selectedIdentity": None}, "a.jpg", None, "bad_identity"),
        ({"file": "a.jpg", "selectedIdentity": "a\u0000b"}, "a.jpg", "a\u0000b", "bad_identity"),
        ({"file": "", "selectedIdentity": "Dante"}, "", "Dante", "bad_item"),
        ({"file": 5, "selectedIdentity": "Dante"}, None, "Dante", "bad_item"),
        ([], None, None, "bad_item"),
    ],
)
def test_a_photo_to_save_is_read_or_fails_alone(
    item: object, file: str | None, identity: str | None, code: str | None
) -> None:
    message = parse(json.dumps({"type": "save", "whaleIdentities": [item]}))
    assert isinstance(message, Save)
    (read,) = message.items
    assert (read.file, read.identity, read.failure and read.failure.code) == (file, identity, code)


def test_a_plain_query_is_about_its_path_and_of_the_loaded_model() -> None:
    query = query_of()
    assert (query.key, query.path, query.body_part) == (PhotoKey("path:a.jpg", 1), "a.jpg", "fluke")
    assert (query.model, query.identity) == (None, None)
    assert query.values.dtype == np.float32
    assert query.values.tolist() == [0.5, 1.0]


def test_a_query_with_sha256_is_about_those_bytes_whatever_the_path() -> None:
    assert query_of(sha256="AB" * 32, animal=2).key == PhotoKey("sha256:" + "ab" * 32, 2)


def test_an_entry_of_an_extract_result_can_be_sent_back_as_it_came() -> None:
    entry = {"index": 4, "score": 0.9, "box_xyxy_px": [1, 2, 3, 4], "model": "5e1f00d", "sha256": None, "animal": 1}
    assert query_of(**entry).model == "5e1f00d"


@pytest.mark.parametrize("name", ["PMOD001_DANTE", "  PMOD001_DANTE\n", "\u00a0PMOD001_DANTE"])
def test_identities_are_trimmed(name: str) -> None:
    assert query_of(identity=name).identity == "PMOD001_DANTE"


def test_identities_are_composed() -> None:
    assert query_of(identity="Rene\u0301").identity == "Ren\u00e9"


def test_a_null_identity_confirms_nothing() -> None:
    item = identify_item(identity=None)
    assert not item.confirms
    assert isinstance(item.query, Query)


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"embedding": ...}, "bad_embedding", "embedding"),
        ({"embedding": "0.5"}, "bad_embedding", "embedding"),
        ({"embedding": []}, "bad_embedding", "embedding"),
        ({"embedding": ["0.5"]}, "bad_embedding", "embedding"),
        ({"embedding": [True, False]}, "bad_embedding", "embedding"),
        ({"embedding": [[0.5]]}, "bad_embedding", "embedding"),
        ({"embedding": [None]}, "bad_embedding", "embedding"),
        ({"embedding": [math.nan]}, "bad_embedding", "embedding"),
        ({"embedding": [math.inf, 1.0]}, "bad_embedding", "embedding"),
        ({"embedding": [1e39]}, "bad_embedding", "embedding"),
        ({"embedding": [0.5] * 65_537}, "bad_embedding", "embedding"),
        ({"path": ...}, "bad_item", "path"),
        ({"path": 5}, "bad_item", "path"),
        ({"type": ...}, "bad_item", "type"),
        ({"animal": 0}, "bad_item", "animal"),
        ({"animal": "1"}, "bad_item", "animal"),
        ({"sha256": "ab"}, "bad_item", "sha256"),
        ({"sha256": "zz" * 32}, "bad_item", "sha256"),
        ({"sha256": 5}, "bad_item", "sha256"),
        ({"model": 5}, "bad_item", "model"),
        ({"identity": ""}, "bad_identity", "identity"),
        ({"identity": " \t"}, "bad_identity", "identity"),
        ({"identity": "Unknown"}, "bad_identity", "identity"),
        ({"identity": " Unknown "}, "bad_identity", "identity"),
        ({"identity": 5}, "bad_identity", "identity"),
        ({"identity": ["Dante"]}, "bad_identity", "identity"),
        ({"identity": "a\nb"}, "bad_identity", "identity"),
        ({"identity": "a\ud800"}, "bad_identity", "identity"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_identify_item_fails_alone_and_names_the_field(changed: dict[str, Any], code: str, field: str) -> None:
    refusal = refusal_of(**changed)
    assert refusal.code == code
    assert refusal.message.startswith(f"{field}: ")


@pytest.mark.parametrize("digits", ["1" * 400, "1" * 5000])
def test_a_huge_integer_spoils_its_embedding_only(digits: str) -> None:
    items = [{"path": path, "type": "fluke", "embedding": [path]} for path in ("huge", "7")]
    text = json.dumps({"type": "identify", "data": items})
    message = parse(text.replace('["huge"]', f"[{digits}]").replace('["7"]', "[7]"))
    assert isinstance(message, Identify)
    assert [isinstance(item.query, Query) for item in message.data] == [False, True]


def test_a_path_with_a_lone_surrogate_is_echoed_exactly_and_stored_in_a_form_that_can_be_stored() -> None:
    item = identify_item(path="a\udc80")
    assert item.path == "a\udc80"
    assert isinstance(item.query, Query)
    assert (item.query.path, item.query.key.photo) == ("a\\udc80", "path:a\\udc80")


# --- anything ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["extract", "identify", "save", "cancel", "ack", "other"])},
    optional={
        "id": st.text(max_size=3) | json_values,
        "fileNames": st.lists(st.text(max_size=3)) | json_values,
        "uploads": st.lists(st.fixed_dictionaries({"name": json_values, "size": json_values})) | json_values,
        "data": st.lists(
            st.fixed_dictionaries(
                {"path": st.text(max_size=3), "type": st.just("fluke")},
                optional={"embedding": st.lists(st.floats()) | json_values, "identity": json_values},
            )
        )
        | json_values,
        "whaleIdentities": json_values,
        "animals": json_values,
        "stream": json_values,
        "topK": json_values,
        "items": json_values,
    },
)


@given(st.text())
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse(text)


@given(messages)
def test_an_arbitrary_message_is_read_or_refused(message: dict[str, Any]) -> None:
    with contextlib.suppress(RequestError):
        parse(json.dumps(message))

"""Requests about what a catalogue holds: what they may say, and how a wrong field is named, however deep it lies."""

import json
from datetime import datetime
from typing import Any

import pytest

from pipeline.errors import MalformedMessageError
from pipeline.protocol.catalogue_requests import Decide, Describe, Individuals, Known, Undo, Verdict
from pipeline.protocol.json_text import decode_object
from pipeline.protocol.reading import read_id, read_message
from pipeline.protocol.requests import Message


def parse(**fields: Any) -> Message:
    """Read a message as the session does."""
    read = decode_object(json.dumps({"id": "x", **fields}))
    return read_message(read, read_id(read), 10_000)


def test_a_list_is_read_with_its_filters() -> None:
    wanted = parse(
        type="individuals", search="dan", bodyPart="fluke", sex=None, after="[1]", limit=5, catalogue="fjord"
    )
    assert isinstance(wanted, Individuals)
    assert (wanted.search, wanted.body_part, wanted.sex, wanted.species) == ("dan", "fluke", None, None)
    assert (wanted.after, wanted.limit, wanted.catalogue) == ("[1]", 5, "fjord")


def test_decisions_are_read_one_by_one() -> None:
    said = {"annotation": 5, "verdict": "new", "name": "Dante", "confidence": "certain", "individual": None}
    message = parse(type="decide", decisions=[said, {"annotation": 8, "verdict": "unsure"}], key="k", reason="seen")
    assert isinstance(message, Decide)
    assert message.decisions == (
        Verdict(annotation=5, verdict="new", name="Dante", confidence="certain"),
        Verdict(annotation=8, verdict="unsure"),
    )
    assert (message.key, message.reason, message.known) == ("k", "seen", None)


def test_the_state_that_was_decided_on_is_what_an_answer_s_head_is() -> None:
    message = parse(type="undo", version=3, known={"version": 0, "nonce": ""})
    assert isinstance(message, Undo)
    assert message.known == Known(version=0, nonce="")


def test_a_value_that_is_null_is_told_from_one_that_is_left_out() -> None:
    message = parse(type="describe", sighting=7, values={"begins_at": "2026-07-01T14:05:00", "locality": None})
    assert isinstance(message, Describe)
    given = message.values.model_dump(include=message.values.model_fields_set)
    assert given == {"begins_at": datetime(2026, 7, 1, 14, 5), "locality": None}


DECISION = {"annotation": 1, "verdict": "unsure"}


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"type": "individuals", "limit": 0}, "limit: must be an integer from 1 to 2147483647"),
        ({"type": "individuals", "limit": True}, "limit: must be an integer from 1 to 2147483647"),
        ({"type": "individuals", "search": "x" * 201}, "search: must be a string of 0 to 200 characters"),
        ({"type": "individuals", "search": "\ud800"}, "search: must be a string of 0 to 200 characters"),
        ({"type": "individuals", "body_part": "fluke"}, '"body_part": is not a field of this message'),
        ({"type": "individual"}, "individual: must be an integer from 1"),
        ({"type": "individual", "individual": "1"}, "individual: must be an integer from 1"),
        ({"type": "individual", "individual": 2**31}, "individual: must be an integer from 1"),
        ({"type": "history", "since": -1}, "since: must be an integer from 0 to 2147483647"),
        ({"type": "suggest_merges", "within": 0}, "within: must be a number from 0.1 to 10"),
        ({"type": "suggest_merges", "within": "1"}, "within: must be a number from 0.1 to 10"),
        ({"type": "decide"}, "decisions: must be a list of at least one"),
        ({"type": "decide", "decisions": []}, "decisions: must be a list of at least one"),
        ({"type": "decide", "decisions": [DECISION, 5]}, "decisions[1]: must be an object"),
        ({"type": "decide", "decisions": [{"verdict": "new"}]}, "decisions[0].annotation: must be an integer from 1"),
        (
            {"type": "decide", "decisions": [DECISION | {"verdict": "perhaps"}]},
            'decisions[0].verdict: must be "match" or "new" or "unsure" or "not_comparable"',
        ),
        ({"type": "decide", "decisions": [DECISION | {"nmae": "x"}]}, '"decisions[0].nmae": there is no such field'),
        ({"type": "undo", "version": 1, "key": ""}, "key: must be a string of 1 to 128 characters"),
        ({"type": "undo", "version": 1, "known": 5}, "known: must be an object"),
        ({"type": "undo", "version": 1, "known": {"version": 1}}, "known.nonce: must be a string"),
        ({"type": "undo", "version": 1, "known": {"version": -1, "nonce": "a"}}, "known.version: must be an integer"),
        ({"type": "rename", "individual": 1, "name": "x", "keep": 1}, "keep: must be true or false"),
        ({"type": "aliases", "individual": 1, "add": "x"}, "add: must be a list"),
        ({"type": "aliases", "individual": 1, "add": [5]}, "add[0]: must be a string of 0 to 200 characters"),
        ({"type": "merge", "into": 1, "others": [0]}, "others[0]: must be an integer from 1"),
        ({"type": "remove", "annotations": []}, "annotations: must be a list of at least one"),
        ({"type": "propose_sightings", "gap_min": 0}, "gap_min: must be an integer from 1 to 10080"),
        ({"type": "propose_sightings", "gap_min": 10081}, "gap_min: must be an integer from 1 to 10080"),
        ({"type": "propose_sightings", "annotations": []}, "annotations: must be a list of at least one"),
        (
            {"type": "move", "annotations": [1], "values": {"begins_at": "now"}},
            "values.begins_at: must be a local time",
        ),
        ({"type": "describe", "camera": "", "values": {}}, "camera: must be a string of 1 to 200 characters"),
        ({"type": "describe", "camera": "x", "values": {"clock_s": 1.5}}, "values.clock_s: must be an integer"),
        ({"type": "describe", "camera": "x", "sighting": 1, "values": {"clock_s": 1}}, "individual: name one"),
        ({"type": "describe", "values": {"timezone": "UTC", "note": "x"}}, "individual: name one"),
        ({"type": "describe", "values": {}}, "individual: name one of individual, annotation and sighting"),
        (
            {"type": "describe", "values": {}, "individual": 1, "sighting": 1},
            "individual: name one of individual, annotation and sighting",
        ),
        (
            {"type": "describe", "sighting": 1, "values": {"latitude": float("nan")}},
            "values.latitude: must be a number",
        ),
        ({"type": "describe", "sighting": 1, "values": {"latitude": "1"}}, "values.latitude: must be a number"),
        ({"type": "describe", "sighting": 1, "values": {"colour": "x"}}, '"values.colour": there is no such field'),
        ({"type": "describe", "sighting": 1}, "values: must be an object"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_wrong_field_is_named(fields: dict[str, Any], refusal: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(**fields)
    assert caught.value.message.startswith(refusal)


@pytest.mark.parametrize("time", ["2026-07-01T14:05:00+01:00", "2026-07-01T14:05:00Z", "2026-13-01", "now", 5, ["x"]])
def test_times_of_sightings_are_local(time: Any) -> None:
    with pytest.raises(
        MalformedMessageError, match=r"^values\.ends_at: must be a local time without an offset, such as"
    ):
        parse(type="describe", sighting=1, values={"ends_at": time})

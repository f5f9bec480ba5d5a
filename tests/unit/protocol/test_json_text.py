import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedMessageError
from pipeline.protocol.json_text import MAX_TEXT_BYTES, decode_object, encode, exceeds_limit, sendable


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", '{"a":}', "[]", "3", "null", '"text"', "\ufeff{}", "[" * 100_000, '{"a":' * 50_000],
    ids=lambda text: text[:8],
)
def test_what_is_no_json_object_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        decode_object(text)


def test_the_last_of_duplicate_names_counts() -> None:
    assert decode_object('{"a":1,"a":2}') == {"a": 2}


def test_an_integer_beyond_pythons_digit_limit_is_read_as_infinity() -> None:
    assert decode_object('{"a":' + "9" * 5000 + "}") == {"a": float("inf")}


def test_integers_of_64_bits_stay_exact() -> None:
    assert decode_object('{"a":-99999999999999999}') == {"a": -99999999999999999}


def test_not_a_number_literals_are_read() -> None:
    assert decode_object('{"a":-Infinity}') == {"a": float("-inf")}


@pytest.mark.parametrize(
    ("text", "exceeds"),
    [
        ("a" * MAX_TEXT_BYTES, False),
        ("a" * (MAX_TEXT_BYTES + 1), True),
        ("\u00e9" * (MAX_TEXT_BYTES // 2), False),
        ("\u00e9" * (MAX_TEXT_BYTES // 2 + 1), True),
    ],
    ids=["at the limit", "above", "two bytes each, at the limit", "two bytes each, above"],
)
def test_the_limit_counts_bytes(text: str, exceeds: bool) -> None:
    assert exceeds_limit(text) is exceeds


def test_a_message_that_is_too_long_is_malformed() -> None:
    with pytest.raises(MalformedMessageError, match="split"):
        decode_object("{" + " " * MAX_TEXT_BYTES + "}")


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_every_string_survives_encoding_and_can_be_sent(text: str) -> None:
    encoded = encode(text)
    assert json.loads(encoded) == text
    encoded.encode("utf-8")


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_every_line_can_be_sent(text: str) -> None:
    sendable(text).encode("utf-8")


def test_good_unicode_is_sent_as_it_is() -> None:
    assert sendable("Größe\U0001f40b") == "Größe\U0001f40b"
    assert sendable("a\udc80b") == "a\\udc80b"


@pytest.mark.parametrize("element", ["0", "{}", "[]", '""'])
def test_a_message_of_millions_of_values_is_refused_before_they_are_made(element: str) -> None:
    many = ",".join([element] * 5_000_000)
    with pytest.raises(MalformedMessageError, match="more values than any request needs"):
        decode_object(f'{{"type":"extract","fileNames":[{many}]}}')


def test_the_longest_identify_is_read() -> None:
    item = {"path": "a.jpg", "type": "fluke", "embedding": [0.125] * 128}
    text = json.dumps({"type": "identify", "data": [item] * 10_000})
    assert len(decode_object(text)["data"]) == 10_000  # type: ignore[arg-type]

"""One spelling for what looks the same, and no name that means nobody."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadIdentityError
from pipeline.identities import normalise_identity


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PMOD001_DANTE", "PMOD001_DANTE"),
        ("  Dante\t\n", "Dante"),
        ("\u00a0Dante\u3000", "Dante"),
        ("Jose\u0301", "Jos\u00e9"),
        ("Old  Tom", "Old  Tom"),
        ("Unknown 7", "Unknown 7"),
        ("x" * 200, "x" * 200),
    ],
)
def test_name_is_composed_and_trimmed(name: str, expected: str) -> None:
    assert normalise_identity(name) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        (" \n\u00a0", "is empty"),
        ("Unknown", "reserved"),
        (" unknown ", "reserved"),
        ("UNKNOWN", "reserved"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\u2029b", "control character"),
        ("a\ud800", "control character"),
        ("x" * 201, "longer than 200"),
    ],
)
def test_name_that_cannot_be_used_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(BadIdentityError, match=reason) as caught:
        normalise_identity(name)
    caught.value.message.encode("utf-8")


@given(st.text(min_size=1, max_size=30))
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    try:
        normal = normalise_identity(name)
    except BadIdentityError:
        return
    assert normalise_identity(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)

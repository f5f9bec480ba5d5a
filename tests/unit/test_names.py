"""Names: one spelling for what looks the same, harmless in messages, safe on every disk."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadIdentityError
from pipeline.names import (
    MAX_SHOWN_CHARS,
    fold_name,
    known_spelling,
    normalise_identity,
    normalise_new_identity,
    shown_name,
    why_unsafe,
)


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
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("ක්\u200dෂ", "ක්\u200dෂ"),
        ("\u0600١٢", "\u0600١٢"),
        ("Dante: <the 1st>?", "Dante: <the 1st>?"),
    ],
)
def test_name_is_composed_and_trimmed(name: str, expected: str) -> None:
    assert normalise_identity(name) == normalise_new_identity(name) == expected


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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Dan\u200bte", r"invisible character U\+200B"),
        ("\ufeffDante", r"U\+FEFF"),
        ("Dan\u00adte", r"U\+00AD"),
        ("\u202eetnaD", r"U\+202E"),
        ("a\u2067b", r"U\+2067"),
        ("\u200dDante", r"U\+200D"),
        ("Dante\u200c", r"U\+200C"),
        ("1\u200d2", r"U\+200D"),
        ("a\U000e0041b", r"U\+E0041"),
        ("\u3164", r"U\+3164"),
        ("Dan\u034fte", r"U\+034F"),
        ("a\u1160", r"U\+1160"),
        ("a\u17b5b", r"U\+17B5"),
        ("a\u180fb", r"U\+180F"),
        ("Dante\ufe0f", r"U\+FE0F"),
        ("a\uffa0b", r"U\+FFA0"),
        ("a\u2800b", r"U\+2800"),
        ("a\U000e01efb", r"U\+E01EF"),
        ("Un known", "reserved"),
        ("\uff35nknown", "reserved"),
    ],
)
def test_name_that_no_new_individual_may_have_passes_for_a_known_one(name: str, reason: str) -> None:
    with pytest.raises(BadIdentityError, match=reason) as caught:
        normalise_new_identity(name)
    caught.value.message.encode("utf-8")
    assert normalise_identity(name) == name
    assert known_spelling(name, [name]) == name
    with pytest.raises(BadIdentityError, match=reason):
        known_spelling(name, [])


@given(st.text(min_size=1, max_size=30))
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    try:
        normal = normalise_identity(name)
    except BadIdentityError:
        return
    assert normalise_identity(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)


@pytest.mark.parametrize("name", [r"C:\Photos\a.jpg", "/data/鯨/ñ.jpg", "a b.jpg"])
def test_sane_names_are_shown_whole(name: str) -> None:
    assert shown_name(name) == name


def test_what_no_message_can_carry_becomes_a_question_mark() -> None:
    assert shown_name("a\nb\0c\udce9d\u2028e") == "a?b?c?d?e"


def test_of_a_long_name_both_ends_are_shown() -> None:
    shown = shown_name("/photos/" + "x" * 5000 + "/IMG_0689.jpg")
    assert shown.startswith("/photos/")
    assert shown.endswith("/IMG_0689.jpg")
    assert len(shown) <= MAX_SHOWN_CHARS


def test_an_empty_name_is_said_to_be_empty() -> None:
    assert shown_name("") == "(no name)"


@given(st.text(alphabet=st.characters(), max_size=600))
def test_every_name_fits_one_line_of_valid_text(name: str) -> None:
    shown = shown_name(name)
    shown.encode("utf-8")
    assert len(shown.splitlines()) == 1
    assert len(shown) <= MAX_SHOWN_CHARS


@pytest.mark.parametrize(
    "name", ["PMOD001_DANTE", "Señora Ñ", "鯨", "a.b.jpg", ".hidden", "Console", "COM10", "NULL", "x" * 255]
)
def test_ordinary_names_are_safe(name: str) -> None:
    assert why_unsafe(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        (".", "dot"),
        ("..", "dot"),
        ("Dante.", "dot"),
        ("Dante ", "space"),
        ("../etc", "separator"),
        ("/etc", "separator"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("C:\\x", "separator"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\u2028b", "control"),
        ("CON", "device"),
        ("nul", "device"),
        ("Com1", "device"),
        ("LPT9.jpg", "device"),
        ("aux .tar.gz", "device"),
        ("COM¹", "device"),
        ("Dan\u200bte", "invisible character U+200B"),
        ("a\u202egpj.exe", "invisible character U+202E"),
        *((f"a{character}b", f"the character {character}") for character in '<>:"|?*'),
        ("x" * 256, "too long"),
        ("鯨" * 86, "too long"),
    ],
)
def test_unsafe_names_are_told_with_the_reason(name: str, reason: str) -> None:
    assert reason in (why_unsafe(name) or "")


@pytest.mark.parametrize(
    "other",
    [
        "Pmod001_Dante",
        "PMOD001 _DANTE",
        " pmod001_dante\t",
        "ＰＭＯＤ００１_ＤＡＮＴＥ",
        "PMOD001_\u200bDANTE",
        "PMOD\u3164001_DANTE\ufe0f",
    ],
)
def test_names_that_a_list_would_show_alike_have_one_fold(other: str) -> None:
    assert fold_name(other) == fold_name("PMOD001_DANTE")


@pytest.mark.parametrize(("one", "other"), [("Dante", "Danté"), ("Dante1", "Dante2"), ("A-B", "AB"), ("鯨", "鯢")])
def test_names_that_read_otherwise_have_other_folds(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


@given(st.text(max_size=30))
def test_a_fold_stays_as_it_is(name: str) -> None:
    assert fold_name(fold_name(name)) == fold_name(name)


@pytest.mark.parametrize(
    ("name", "alike", "taken"),
    [
        ("Dante", [], "Dante"),
        ("Dante", ["DANTE"], "DANTE"),
        ("Dante", ["DANTE", "Dante"], "Dante"),
    ],
)
def test_the_spelling_of_a_known_individual_is_taken(name: str, alike: list[str], taken: str) -> None:
    assert known_spelling(name, alike) == taken


def test_a_name_that_may_be_several_individuals_is_refused_and_names_some() -> None:
    with pytest.raises(BadIdentityError, match=r'"dante".*write "Dante" or "DANTE"$'):
        known_spelling("dante", ["Dante", "DANTE"])
    with pytest.raises(BadIdentityError) as caught:
        known_spelling("dante", [f"{' ' * n}DANTE" for n in range(1, 100)])
    assert len(caught.value.message) < 300


def test_folds_are_those_that_catalogues_hold() -> None:
    """One that differs needs a layout of the catalogue whose step folds the stored names again."""
    names = ["PMOD001_ DANTE", "Jose\u0301", "Stra\u00dfe", "\uff24\u200bante\ufe0f", "\u9be8 1", "\u0130nci"]
    folds = ["pmod001_dante", "jos\u00e9", "strasse", "dante", "\u9be81", "i\u0307nci"]
    assert [fold_name(name) for name in names] == folds

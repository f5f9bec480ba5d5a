"""Names in messages: whole where they are sane, harmless where they are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.photo_names import MAX_SHOWN_CHARS, shown_name


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

"""Names that cannot be one file or folder on every disk are told, with the reason."""

import pytest

from pipeline.safe_names import why_unsafe


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
        ("x" * 256, "too long"),
        ("鯨" * 86, "too long"),
    ],
)
def test_unsafe_names_are_told_with_the_reason(name: str, reason: str) -> None:
    assert reason in (why_unsafe(name) or "")

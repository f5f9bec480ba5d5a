"""How a photo's name is shown in messages and log lines: whole where it is sane, harmless where it is not."""

import unicodedata

MAX_SHOWN_CHARS = 300


def shown_name(name: str) -> str:
    """Return a name fit for a message: one line, valid Unicode, at most `MAX_SHOWN_CHARS` characters.

    Control characters and lone surrogates (which no UTF-8 message can carry) become "?"; of a longer name the middle is
    left out, so that the folder and the file name stay readable. An empty name is shown as "(no name)".
    """
    if len(name) > MAX_SHOWN_CHARS:
        half = (MAX_SHOWN_CHARS - 3) // 2
        name = f"{name[:half]}...{name[-half:]}"
    return "".join("?" if is_unprintable(character) else character for character in name) or "(no name)"


def is_unprintable(character: str) -> bool:
    """Tell whether a character is a control character, a line or paragraph separator or a lone surrogate."""
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}

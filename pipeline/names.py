"""Names as people and disks have them: of photos in messages, of individuals, of files and folders."""

import os
import unicodedata
from collections.abc import Sequence

from pipeline.errors import BadIdentityError
from pipeline.records import UNKNOWN

MAX_SHOWN_CHARS = 300
"""Longest name of a photo in a message."""

MAX_IDENTITY_CHARS = 200
"""Longest name of an individual."""

MAX_FILE_NAME_BYTES = 255

_SHOWN_SPELLINGS = 5  # that an error names

_JOINERS = "\u200c\u200d"  # zero-width, and part of the spelling between letters of Persian, Sinhala, Malayalam, ...

# Category Cf, but seen: signs that stand before or around numbers and words of Arabic, Syriac, Kaithi.
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")

# Not of category Cf, and not seen either: the other default-ignorable characters (joiner of graphemes, fillers of
# Hangul, vowels of Khmer that are never written, variation selectors), and the blank of Braille.
_UNSEEN = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)

_FORBIDDEN_ON_WINDOWS = frozenset('<>:"|?*')

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"}
)


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


def invisible_in(name: str) -> str | None:
    """Return the first character that cannot be seen or turns the direction of its neighbours; None where none does.

    These are Unicode's format characters (category Cf), its other characters that are shown as nothing and the blank of
    Braille, but for those that a script needs: ZWJ and ZWNJ between two letters or marks, and the number signs of
    Arabic, Syriac and Kaithi, which are seen.
    """
    for place, character in enumerate(name):
        if not _is_unseen(character):
            continue
        between = name[place - 1 : place] + name[place + 1 : place + 2]
        if character in _JOINERS and len(between) == 2 and all(unicodedata.category(c)[0] in "LM" for c in between):
            continue
        return character
    return None


def _is_unseen(character: str) -> bool:
    formats = unicodedata.category(character) == "Cf" and character not in _VISIBLE_FORMATS
    return formats or character in _UNSEEN


def fold_name(name: str) -> str:
    """Return what two names share that only their spelling tells apart: case, white space, width, invisible characters.

    NFKC, case folded, without white space and characters that are not seen; names of one fold would be taken for one
    another on a list, so a new one never becomes an individual beside a known one. The catalogue stores folds: whoever
    changes this function adds a layout of the catalogue whose step folds all stored names again.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in folded if not c.isspace() and not _is_unseen(c))
    return unicodedata.normalize("NFKC", seen)


def known_spelling(name: str, alike: Sequence[str]) -> str:
    """Return the spelling under which a named individual is known, the name itself where nobody is.

    Args:
        name: as somebody wrote it, of `normalise_identity`.
        alike: the known individuals of the same fold.

    Raises:
        BadIdentityError: several are, and none is spelled so; or nobody is, and the name cannot be that of a new one.
    """
    if name in alike:
        return name
    if not alike:
        _check_new(name)
        return name
    if len(alike) == 1:
        return alike[0]
    shown = " or ".join(f'"{shown_name(spelling)}"' for spelling in alike[:_SHOWN_SPELLINGS])
    raise BadIdentityError(
        f'the identity "{shown_name(name)}" may be any of several individuals whose names differ little: write {shown}'
    )


def normalise_new_identity(name: str) -> str:
    """Return the name of an individual as `normalise_identity` does, where it may be new.

    Raises:
        BadIdentityError: also where it holds a character that cannot be seen, or would be taken for "Unknown".
    """
    normal = normalise_identity(name)
    _check_new(normal)
    return normal


def _check_new(name: str) -> None:
    invisible = invisible_in(name)
    if invisible is not None:
        shown = shown_name(name.replace(invisible, "?"))
        raise BadIdentityError(f'the identity "{shown}" holds the invisible character {_code(invisible)}: remove it')
    if fold_name(name) == fold_name(UNKNOWN):
        raise _reserved()


def normalise_identity(name: str) -> str:
    """Return the name of an individual as `normalise_name` does.

    Raises:
        BadIdentityError: also where it is "Unknown" (in any case), which stands for no individual.
    """
    normal = normalise_name(name)
    if normal.casefold() == UNKNOWN.casefold():
        raise _reserved()
    return normal


def _reserved() -> BadIdentityError:
    return BadIdentityError(f'the identity "{UNKNOWN}" is reserved for photos of no known individual: choose another')


def normalise_name(name: str) -> str:
    """Return a name in Unicode's composed form (NFC) without surrounding white space.

    One that the catalogue knows may hold characters that cannot be seen; a new one may not (`normalise_new_identity`).

    Raises:
        BadIdentityError: the name is empty, longer than `MAX_IDENTITY_CHARS`, or holds a control character.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not normal:
        raise BadIdentityError("the identity is empty: give the individual a name")
    if len(normal) > MAX_IDENTITY_CHARS:
        raise BadIdentityError(
            f'the identity "{shown_name(normal)}" is longer than {MAX_IDENTITY_CHARS} characters: shorten it'
        )
    if any(is_unprintable(character) for character in normal):
        raise BadIdentityError(f'the identity "{shown_name(normal)}" holds a control character: remove it')
    return normal


def why_unsafe(name: str) -> str | None:
    """Say why a name cannot be that of one file or folder, or None where it can.

    Args:
        name: one component, never a path.

    Returns:
        The end of a sentence that begins with the name, or None.
    """
    if not name:
        return "is empty"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(is_unprintable(character) for character in name):
        return "holds a control character"
    invisible = invisible_in(name)
    if invisible is not None:
        return f"holds the invisible character {_code(invisible)}"
    forbidden = next((character for character in name if character in _FORBIDDEN_ON_WINDOWS), None)
    if forbidden is not None:
        return f"holds the character {forbidden}, which Windows forbids"
    if name[-1] in ". ":
        return "ends in a dot or a space"
    if name.split(".", maxsplit=1)[0].rstrip(" ").upper() in _DEVICES:
        return "is the name of a device on Windows"
    if len(os.fsencode(name)) > MAX_FILE_NAME_BYTES:
        return "is too long"
    return None


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"

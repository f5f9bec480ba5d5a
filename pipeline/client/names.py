"""Names of individuals as the service takes them: rules of the client's own, as it imports nothing of the service."""

import unicodedata

UNKNOWN = "Unknown"
"""The candidate that stands for none of the known individuals."""

RESERVED = "unknown"
"""The name that stands for no individual, case folded."""

_SEEN_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters (category Cf) that can be seen: signs around numbers and words of Arabic, Syriac, Kaithi."""

_UNSEEN_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2800, 0x2800),  # Braille blank
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xE0100, 0xE01EF),  # variation selectors
)
"""Characters that cannot be seen though their category is another."""


def normal_name(name: str) -> str:
    """Return an individual's name as the service stores it: NFC, trimmed."""
    return unicodedata.normalize("NFC", name).strip()


def fold_name(name: str) -> str:
    """Return what names of one individual share, as the service does: two names of one fold mean the same individual.

    NFKC, case folded, without white space and characters that cannot be seen.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = (character for character in folded if not (character.isspace() or _is_unseen(character)))
    return unicodedata.normalize("NFKC", "".join(seen))


def _is_unseen(character: str) -> bool:
    if unicodedata.category(character) == "Cf":
        return character not in _SEEN_FORMATS
    return any(first <= ord(character) <= last for first, last in _UNSEEN_RANGES)

"""Names of individuals: one spelling for what looks the same."""

import unicodedata

from pipeline.errors import BadIdentityError
from pipeline.records import UNKNOWN


def normalise_identity(name: str) -> str:
    """Return a name in Unicode's composed form (NFC) without surrounding white space.

    Raises:
        BadIdentityError: the name is empty, holds a control character, or is "Unknown", which stands for no individual.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not normal:
        raise BadIdentityError("the identity is empty: give the individual a name")
    if normal == UNKNOWN:
        raise BadIdentityError(
            f'the identity "{UNKNOWN}" is reserved for photos of no known individual: choose another'
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in normal):
        raise BadIdentityError(f"the identity {normal!r} holds a control character: remove it")
    return normal

"""Names of individuals: one spelling for what looks the same."""

import unicodedata

from pipeline.errors import BadIdentityError
from pipeline.photo_names import is_unprintable, shown_name
from pipeline.records import UNKNOWN

MAX_CHARS = 200


def normalise_identity(name: str) -> str:
    """Return the name of an individual as `normalise_name` does.

    Raises:
        BadIdentityError: also where it is "Unknown" (in any case), which stands for no individual.
    """
    normal = normalise_name(name)
    if normal.casefold() == UNKNOWN.casefold():
        raise BadIdentityError(
            f'the identity "{UNKNOWN}" is reserved for photos of no known individual: choose another'
        )
    return normal


def normalise_name(name: str) -> str:
    """Return a name in Unicode's composed form (NFC) without surrounding white space.

    Raises:
        BadIdentityError: the name is empty, longer than `MAX_CHARS`, or holds a control character.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not normal:
        raise BadIdentityError("the identity is empty: give the individual a name")
    if len(normal) > MAX_CHARS:
        raise BadIdentityError(f'the identity "{shown_name(normal)}" is longer than {MAX_CHARS} characters: shorten it')
    if any(is_unprintable(character) for character in normal):
        raise BadIdentityError(f'the identity "{shown_name(normal)}" holds a control character: remove it')
    return normal

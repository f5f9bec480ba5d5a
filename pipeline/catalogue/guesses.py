"""Tells a person's word from the guess of a client that sends the best candidate of a photo back as its name."""

import hashlib
from collections import OrderedDict

from pipeline.catalogue.rankable import RankableGallery
from pipeline.names import fold_name
from pipeline.records import Query, Ranking

MAX_REMEMBERED = 50_000
"""Photos whose last best candidate is kept."""

_ANSWER_BYTES = 250

_DIGEST_BYTES = 16


class LastAnswers:
    """The best candidate that each photo was last answered with, by its embedding; the oldest are forgotten."""

    def __init__(self, at_most: int = MAX_REMEMBERED) -> None:
        self._best: OrderedDict[bytes, str] = OrderedDict()
        self._at_most = at_most

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return _ANSWER_BYTES * len(self._best)

    def note(self, query: Query, ranking: Ranking) -> None:
        """Keep an answer to a query that carried no identity."""
        if query.identity is None and ranking.candidates:
            key = _key(query)
            self._best[key] = ranking.candidates[0].individual
            self._best.move_to_end(key)
            if len(self._best) > self._at_most:
                self._best.popitem(last=False)

    def best(self, query: Query) -> str | None:
        """Return the best candidate of the last answer; None where that is not known."""
        return self._best.get(_key(query))


def is_guess(query: Query, now: Ranking, last: LastAnswers, gallery: RankableGallery) -> bool:
    """Tell whether a confirmation may be nothing but what the service has told the client itself.

    Args:
        query: with an identity.
        now: the ranking of the same query without it.
        last: what was answered before.
        gallery: of the query's body part.

    Returns:
        True where the name is the best candidate now, or was in the last answer. Where that is not known, a name for a
        photo that no person has spoken about.
    """
    assert query.identity is not None
    name = fold_name(query.identity)
    if now.candidates and name == fold_name(now.candidates[0].individual):
        return True
    told = last.best(query)
    return gallery.without_photo(query.key) is None if told is None else name == fold_name(told)


def _key(query: Query) -> bytes:
    said = query.body_part.encode("utf-8", "backslashreplace") + b"\0" + query.values.tobytes()
    return hashlib.blake2b(said, digest_size=_DIGEST_BYTES).digest()

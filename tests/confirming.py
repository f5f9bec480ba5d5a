"""Something to confirm, a matcher beside a writer, and other processes that confirm in the same catalogue."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.queries import LoadedModel, confirm_queries, rows_of_other_models
from pipeline.catalogue.rows import CatalogueCounts, Confirmation
from pipeline.records import LOCAL_USER, Actor, Failure, PhotoKey, Query

REPOSITORY = Path(__file__).parents[1]

_CONFIRM = """
import itertools, sys
import numpy as np
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.records import LOCAL_USER, PhotoKey
url, prefix, count = sys.argv[1:]
catalogue = open_catalogue(url)
for n in itertools.count() if count == "forever" else range(int(count)):
    name = f"{prefix}{n}"
    words = [Confirmation(PhotoKey(f"path:{name}{i}"), "fluke", name, np.ones(2), "m1", "p") for i in "ab"]
    print(name, catalogue.confirm(words, LOCAL_USER).head.version, flush=True)
"""


class ConfirmingMatcher(CatalogueMatcher):
    """A matcher, and what the catalogue deployment does beside it for the same catalogue."""

    def __init__(self, catalogue: Catalogue, models: Sequence[LoadedModel]) -> None:
        super().__init__(catalogue, models)
        self._written = catalogue
        self._by_part = {model.body_part: model for model in models}

    def confirm(
        self,
        queries: Sequence[Query],
        actor: Actor,
        key: str | None = None,
        only_changes: bool = False,
        may_guess: bool = False,
    ) -> list[Failure | None]:
        """Store what carries an identity, as both deployments do together."""
        guesses: set[int] = set()
        if may_guess:
            self.catch_up()
            at_once = self.at_once
            for start in range(0, len(queries), at_once):
                guesses |= {start + place for place in self.guesses(queries[start : start + at_once])}
        return confirm_queries(self._written, self._by_part, queries, actor, key, only_changes, guesses)

    def counts(self) -> CatalogueCounts:
        """Return how much the catalogue holds."""
        return self._written.counts()

    def other_model_rows(self) -> int:
        """Return how many rows no loaded model made."""
        return rows_of_other_models(self.counts(), self._by_part)


def word(photo: str, individual: str = "DANTE", size: int = 2) -> Confirmation:
    """Return the statement that a photo's fluke is an individual's."""
    return Confirmation(PhotoKey(f"path:{photo}"), "fluke", individual, np.ones(size), "m1", photo)


def confirm(catalogue: Catalogue, words: Sequence[Confirmation], key: str | None = None) -> int:
    """Let the local user say something that is not refused, and return the version that holds it."""
    confirmed = catalogue.confirm(words, LOCAL_USER, key)
    assert not confirmed.refused
    return confirmed.head.version


def confirming(url: str, prefix: str, count: str) -> "subprocess.Popen[str]":
    """Start a process that confirms two photos at a time of one new individual after the other.

    It writes a line with the individual and the head for each confirmation that was acknowledged.

    Args:
        url: of the catalogue.
        prefix: the individuals are called <prefix>0, <prefix>1, ...
        count: how many, or "forever".
    """
    command = [sys.executable, "-c", _CONFIRM, url, prefix, count]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)

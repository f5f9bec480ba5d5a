"""A catalogue in memory for tests; passes the same contract as the SQL one (tests/unit/catalogue/test_contract.py)."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from pipeline.catalogue.rows import (
    EMPTY,
    CatalogueCounts,
    CatalogueRow,
    Changes,
    Confirmation,
    Confirmed,
    Head,
    ImportBatch,
    ImportFile,
    ImportOutcome,
    classify_import,
)
from pipeline.catalogue.vectors import Numbers
from pipeline.errors import BadIdentityError, CatalogueUnavailableError, KeyReusedError
from pipeline.names import fold_name, known_spelling
from pipeline.protocol.filters import Filters
from pipeline.records import SERVICE, Actor, PhotoKey

_Said = tuple[PhotoKey, str, str, str, tuple[float, ...]]


@dataclass
class _Entry:
    row: CatalogueRow
    version: int
    superseded_version: int | None = None


class MemoryCatalogue:
    """Implements `pipeline.catalogue.port.Catalogue`; `unavailable = True` makes every call fail.

    Attributes:
        events: who made each version, from 1 on.
    """

    def __init__(self) -> None:
        self.unavailable = False
        self.events: list[tuple[Head, Actor]] = []
        self._entries: list[_Entry] = []
        self._guesses: dict[tuple[PhotoKey, str], Confirmation] = {}
        self._held: set[str] = set()
        self._imports: list[ImportFile] = []
        self._numbers: dict[str, int] = {}
        self._annotations: dict[tuple[PhotoKey, str], int] = {}
        self._refusals_of_key: dict[tuple[Actor, str | None], dict[_Said, BadIdentityError | None]] = {}

    @property
    def name(self) -> str:
        return "default"

    @property
    def _version(self) -> int:
        return len(self.events)

    def head(self) -> Head:
        self._check()
        return self.events[-1][0] if self.events else EMPTY

    def changes_since(self, known: Head) -> Changes:
        self._check()
        if known != EMPTY and known not in [head for head, _ in self.events]:
            return Changes(self.head(), (), (), anew=True)
        version = known.version
        added = tuple(e.row for e in self._entries if e.version > version and e.superseded_version is None)
        before = [e for e in self._entries if e.version <= version]
        gone = tuple(e.row.row_id for e in before if (e.superseded_version or 0) > version)
        return Changes(self.head(), added, gone)

    def read_rows(self, take: Callable[[Sequence[CatalogueRow]], None]) -> Head:
        self._check()
        rows = [entry.row for entry in reversed(self._standing())]
        take(rows[::2])
        take(rows[1::2])
        return self.head()

    def find_matching(self, filters: Filters, known: Head, hold: Callable[[Head, Changes], bool]) -> Numbers | None:
        """Know nothing but body parts: no annotation has a side, and none a sighting."""
        if not hold(known, self.changes_since(known)):
            return None
        knows = filters == Filters(bodyPart=filters.body_part)
        rows = (entry.row for entry in self._standing() if filters.body_part in (None, entry.row.body_part))
        return np.array(sorted(row.annotation for row in rows if knows), dtype=np.int64)

    def encounters_of(self, annotations: Sequence[int]) -> Mapping[int, int]:
        self._check()
        return {}

    def told_apart(self, pairs: Sequence[tuple[int, int]]) -> Set[tuple[int, int]]:
        self._check()
        return set()

    def signing_key(self) -> bytes:
        self._check()
        return b"the key of the catalogue in memory"

    def confirm(
        self, confirmations: Sequence[Confirmation], actor: Actor, key: str | None = None, only_changes: bool = False
    ) -> Confirmed:
        self._check()
        said = [_said(word) for word in confirmations]
        if (actor, key) in self._refusals_of_key:
            known = self._refusals_of_key[actor, key]
            if not known.keys() >= set(said):
                raise KeyReusedError("the key came with other confirmations")
            repeated = {place: error for place, one in enumerate(said) if (error := known[one]) is not None}
            return Confirmed(self.head(), repeated)
        spelled, refused = self._spell(confirmations)
        words: dict[tuple[PhotoKey, str], Confirmation] = {}
        for word in spelled:
            about = (word.key, word.body_part)
            if word.reviewed or about not in words or not words[about].reviewed:
                words[about] = word
        news = [word for word in words.values() if self._is_new(word)]
        event = bool(news) or (key is not None and bool(confirmations) and not only_changes)
        if event:
            self._advance(actor)
        for word in news:
            self._say(word)
        if key is not None and event:
            self._refusals_of_key[actor, key] = {one: refused.get(place) for place, one in enumerate(said)}
        return Confirmed(self.head(), refused)

    def imports(self) -> tuple[ImportFile, ...]:
        self._check()
        return tuple(self._imports)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        self._check()
        imported = list(self._imports)
        statuses = []
        for batch in batches:
            statuses.append(classify_import(batch.file, imported))
            if statuses[-1] == "new" and batch.rows:
                imported.append(batch.file)
        came = [batch.rows if status == "new" else () for batch, status in zip(batches, statuses, strict=True)]
        if any(came):
            self._advance(SERVICE)
        for row in (row for rows in came for row in rows):
            self._append(row)
        self._imports = imported
        return tuple(
            ImportOutcome(batch.file, status, len(rows))
            for batch, status, rows in zip(batches, statuses, came, strict=True)
        )

    def counts(self) -> CatalogueCounts:
        self._check()
        rows = [entry.row for entry in self._standing()]
        return CatalogueCounts(
            individuals=len({row.individual for row in rows}),
            photos=len({row.key.photo for row in rows}),
            rows=Counter((row.body_part, row.model) for row in rows),
        )

    def _is_new(self, word: Confirmation) -> bool:
        standing = [entry.row for entry in self._standing()]
        if word.reviewed:
            return not any(_says(row, word) for row in standing)
        spoken = any((row.key, row.body_part) == (word.key, word.body_part) for row in standing)
        guess = self._guesses.get((word.key, word.body_part))
        return not spoken and (guess is None or _said(guess) != _said(word))

    def _say(self, word: Confirmation) -> None:
        if word.reviewed:
            self._guesses.pop((word.key, word.body_part), None)
            self._supersede(word)
            self._append(word)
        else:
            self._guesses[word.key, word.body_part] = word
            self._held.add(fold_name(word.individual))

    def _check(self) -> None:
        if self.unavailable:
            raise CatalogueUnavailableError("the catalogue could not be read: the test says so")

    def _advance(self, actor: Actor) -> None:
        self.events.append((Head(self._version + 1, secrets.token_hex(8)), actor))

    def _spell(self, words: Sequence[Confirmation]) -> tuple[list[Confirmation], dict[int, BadIdentityError]]:
        standing = [entry.row.individual for entry in self._standing()]
        known = list(dict.fromkeys([*standing, *(guess.individual for guess in self._guesses.values())]))
        spelled: list[Confirmation] = []
        refused: dict[int, BadIdentityError] = {}
        for place, word in enumerate(words):
            alike = [name for name in known if fold_name(name) == fold_name(word.individual)]
            try:
                name = known_spelling(word.individual, alike)
            except BadIdentityError as error:
                refused[place] = error
                continue
            if not alike:
                known.append(name)
            spelled.append(replace(word, individual=name, reviewed=word.reviewed or fold_name(name) not in self._held))
        return spelled, refused

    def _standing(self) -> list[_Entry]:
        return [entry for entry in self._entries if entry.superseded_version is None]

    def _supersede(self, word: Confirmation) -> None:
        for entry in self._standing():
            row = entry.row
            if (row.key, row.body_part) == (word.key, word.body_part):
                entry.superseded_version = self._version
                if row.model != word.model:
                    self._append(replace(word, model=row.model, values=row.values))

    def _append(self, word: Confirmation) -> None:
        row_id = len(self._entries) + 1
        number = self._numbers.setdefault(word.individual, len(self._numbers) + 1)
        annotation = self._annotations.setdefault((word.key, word.body_part), len(self._annotations) + 1)
        row = CatalogueRow(
            *(row_id, word.key, word.body_part, word.individual, word.values, word.model), annotation, number
        )
        self._entries.append(_Entry(row, self._version))
        self._held.add(fold_name(word.individual))


def _said(word: Confirmation) -> _Said:
    return word.key, word.body_part, word.individual, word.model, tuple(word.values.tolist())


def _says(row: CatalogueRow, word: Confirmation) -> bool:
    labels = (row.key, row.body_part, row.individual, row.model)
    return labels == (word.key, word.body_part, word.individual, word.model) and np.array_equal(row.values, word.values)

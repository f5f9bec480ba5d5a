"""Which individual a name means: every name and alias that stands, looked up by its fold."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from pipeline.catalogue.change import Change, Row, chunks
from pipeline.catalogue.schema import assignments, individuals, names
from pipeline.catalogue.vectors import storable_key
from pipeline.errors import NameInUseError
from pipeline.names import fold_name, known_spelling, normalise_new_identity, shown_name

_HAS_PHOTO = (
    select(assignments.c.row)
    .where(assignments.c.catalogue_id == names.c.catalogue_id, assignments.c.individual == names.c.individual)
    .where(assignments.c.gone.is_(None))
    .exists()
)


def name_key(name: str) -> str:
    """Return what the catalogue finds a name by: its fold, and a hash where that is too long for an index."""
    return storable_key(fold_name(name))


@dataclass(slots=True)
class _Known:
    """A name that stands, and whether its individual has a photo that does."""

    row: Row
    has_photo: bool

    @property
    def individual(self) -> int:
        return int(self.row["individual"])

    @property
    def name(self) -> str:
        return str(self.row["name"])


_OF_KEYS = (  # asked with every confirmation, so it is put together once
    select(names, _HAS_PHOTO.label("has_photo"))
    .where(names.c.catalogue_id == bindparam("of"), names.c.gone.is_(None))
    .where(names.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(names.c.row)
)


class KnownNames:
    """The names that a change has to do with; it opens individuals and names in that change.

    Args:
        change: in progress.
        spelled: every name that will be asked for.
    """

    def __init__(self, change: Change, spelled: Iterable[str]) -> None:
        self._change = change
        self._keys = {name: name_key(name) for name in set(spelled)}
        self._known: dict[str, list[_Known]] = {key: [] for key in self._keys.values()}
        for keys in chunks(sorted(self._known)):
            for found in change.connection.execute(_OF_KEYS, {"of": change.catalogue_id, "keys": keys}):
                row = dict(found._mapping)
                has_photo = bool(row.pop("has_photo"))
                self._known[row["key"]].append(_Known(row, has_photo))

    def never_held(self, spelled: Iterable[str]) -> set[str]:
        """Return the names that the catalogue holds nothing like, and never did."""
        keys = {name: self._key(name) for name in spelled}
        held: set[str] = set()
        for some in chunks(sorted(set(keys.values()))):
            of_key = select(names.c.key).where(names.c.catalogue_id == self._change.catalogue_id)
            held |= set(self._change.connection.execute(of_key.where(names.c.key.in_(some))).scalars())
        return {name for name, key in keys.items() if key not in held}

    def meant(self, name: str, respell: bool = True) -> int:
        """Return the individual that somebody who has a photo of it means; made where nobody is meant.

        An individual without a photo takes the spelling of the person who names it next (`respell`).

        Raises:
            BadIdentityError: several may be meant, or the name cannot be that of a new individual.
        """
        alike = self._known[self._keys[name]]
        seen = [known for known in alike if known.has_photo]
        if len({known.individual for known in seen}) == 1:
            return seen[0].individual
        spelling = known_spelling(name, [known.name for known in seen])
        if seen:
            return next(known.individual for known in seen if known.name == spelling)
        return self._unseen(spelling, alike, respell)

    def exactly(self, name: str) -> int:
        """Return the individual of exactly this name, made where there is none, also as another's twin."""
        for known in self._known[self._keys[name]]:
            if known.name == name:
                return known.individual
        return self._make(name)

    def new(self, name: str) -> int:
        """Make an individual.

        Raises:
            BadIdentityError: the name cannot be that of a new individual.
            NameInUseError: a name or alias that differs little, or not at all, stands.
        """
        name = normalise_new_identity(name)
        self.refuse_used(name)
        return self._make(name)

    def refuse_used(self, name: str, unless_of: int | None = None) -> None:
        """Refuse a name that anybody has, but for one individual.

        Raises:
            NameInUseError: as said.
        """
        for known in self._known[self._key(name)]:
            if known.individual != unless_of:
                kind = "an alias" if known.row["is_alias"] else "the name"
                raise NameInUseError(
                    f'"{shown_name(name)}" is taken: "{shown_name(known.name)}" is {kind} of individual '
                    f"{known.individual}; choose another name, or decide on that individual"
                )

    def _unseen(self, name: str, alike: list[_Known], respell: bool) -> int:
        """Take an individual that lost its photos, before a new one is made beside it."""
        if not alike:
            return self._make(name)
        taken = next((known for known in alike if known.name == name), alike[0])
        taken.has_photo = True
        if respell and taken.name != name and not taken.row["is_alias"]:
            self._change.replace(names, taken.row, name=name)
            taken.row = self._change.opened[names][-1]
        return taken.individual

    def _make(self, name: str) -> int:
        alike = self._known[self._key(name)]
        individual = self._change.open(individuals, {})
        twin = max((known.row["twin"] + 1 for known in alike), default=0)
        self.add(individual, name, is_alias=False, twin=twin)
        alike[-1].has_photo = True
        return individual

    def add(self, individual: int, name: str, is_alias: bool, twin: int = 0) -> None:
        """Give an individual a name."""
        key = self._key(name)
        values = {"individual": individual, "name": name, "is_alias": is_alias, "key": key, "twin": twin}
        self._change.open(names, values)
        self._known.setdefault(key, []).append(_Known(self._change.opened[names][-1], has_photo=False))

    def _key(self, name: str) -> str:
        return self._keys.get(name) or name_key(name)

"""What can be wrong with photos and labels, and how a list of it reads."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

_EXAMPLES = 8  # of each kind in a text: enough to see a pattern


class Kind(Enum):
    """Kinds of problem: a heading, and whether training on such data would be wrong."""

    LAYOUT = ("not laid out as expected", True)
    NO_PHOTOS = ("no photos", True)
    BAD_ROW = ("labels that cannot be read", True)
    UNREADABLE = ("unreadable photos", True)
    BOX_OUTSIDE = ("boxes outside their photo", True)
    OTHER_SIZE = ("photos of another size than the labels state", True)
    UNKNOWN_CATEGORY = ("unknown categories or body parts", True)
    COPY_ACROSS_SPLITS = ("copies of one photo in two splits", True)
    SHARED_INDIVIDUAL = ("individuals in two splits that must not share any", True)
    TWO_NAMES = ("copies of one photo under two individuals' names", False)
    SINGLE_PHOTO = ("individuals with one photo (negatives in training, unknown in evaluation)", False)
    SIMILAR_NAMES = ("names that differ in upper and lower case only", False)
    UNLABELLED = ("photos without an individual: left out", False)
    LEFT_OUT = ("files left out", False)

    def __init__(self, heading: str, fatal: bool) -> None:
        self.heading = heading
        self.fatal = fatal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: of what kind.
        where: the photo, row or individual.
        what: the reason, and what to do where that is not obvious; may be empty.
    """

    kind: Kind
    where: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.what else self.where


def describe(problems: Sequence[Problem]) -> str:
    """Return a text that counts every kind and shows the first of each, fatal kinds first; empty without problems."""
    by_kind: defaultdict[Kind, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    ordered = sorted(by_kind, key=lambda kind: (not kind.fatal, list(Kind).index(kind)))
    return "\n".join(line for kind in ordered for line in _section(kind, by_kind[kind]))


def count_kinds(problems: Iterable[Problem]) -> Counter[Kind]:
    """Count problems by kind."""
    return Counter(problem.kind for problem in problems)


def _section(kind: Kind, problems: Sequence[Problem]) -> list[str]:
    shown = [f"    {problem}" for problem in problems[:_EXAMPLES]]
    rest = len(problems) - len(shown)
    more = [f"    and {rest} more"] if rest else []
    return [f"  {kind.heading}: {len(problems)}", *shown, *more]

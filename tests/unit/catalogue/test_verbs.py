"""What each verb does to a catalogue, what refuses it, and how it is taken back; on each kind of database."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from pipeline.catalogue import undoing
from pipeline.catalogue.change import said
from pipeline.catalogue.rows import EMPTY, Head, ImportBatch, ImportFile
from pipeline.catalogue.schema import VERSIONED, annotations, names
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import (
    Alias,
    Changed,
    Decide,
    Decision,
    Describe,
    Merge,
    Move,
    Relocate,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
    Verdict,
)
from pipeline.errors import (
    BadIdentityError,
    ChangedSinceError,
    ChangeRefusedError,
    KeyReusedError,
    NameInUseError,
    NotInCatalogueError,
    UndoBlockedError,
)
from pipeline.records import LOCAL_USER, Actor, PhotoKey
from tests.confirming import confirm, word

MARIA = Actor("azores", "Maria")


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    confirm(opened, [word("a", "DANTE"), word("b", "DANTE"), word("c", "VERGIL")])
    yield opened
    opened.close()


def say(catalogue: SqlCatalogue, verb: Verb, actor: Actor = MARIA, **rest: str | Head | None) -> Changed:
    return catalogue.change(verb, actor, **rest)  # type: ignore[arg-type]


def shown(catalogue: SqlCatalogue) -> dict[str, str]:
    """Return who each photo shows, as a gallery has it."""
    rows = catalogue.changes_since(EMPTY).added
    return {row.key.photo.removeprefix("path:"): row.individual for row in rows}


def annotation(catalogue: SqlCatalogue, photo: str) -> int:
    with catalogue._database.reading() as connection:
        query = select(annotations.c.id).where(
            annotations.c.source_key == f"path:{photo}", annotations.c.gone.is_(None)
        )
        return int(connection.execute(query).scalar_one())


def individual(catalogue: SqlCatalogue, name: str) -> int:
    with catalogue._database.reading() as connection:
        query = select(names.c.individual).where(names.c.name == name, names.c.gone.is_(None))
        return int(connection.execute(query).scalar_one())


def match(catalogue: SqlCatalogue, photo: str, name: str) -> Decide:
    return Decide((Decision(annotation(catalogue, photo), "match", individual(catalogue, name)),))


def new(catalogue: SqlCatalogue, photo: str, name: str) -> Decide:
    return Decide((Decision(annotation(catalogue, photo), "new", name=name),))


# --- decide -----------------------------------------------------------------------------------------------------------


def test_many_decisions_are_one_event(catalogue: SqlCatalogue) -> None:
    verb = Decide(
        (
            Decision(annotation(catalogue, "a"), "match", individual(catalogue, "VERGIL")),
            Decision(annotation(catalogue, "b"), "new", name="Nova"),
            Decision(annotation(catalogue, "c"), "new", name="Nova"),
        )
    )
    changed = say(catalogue, verb)
    assert changed.head.version == 2
    assert changed.made == {"individuals": (individual(catalogue, "Nova"),)}
    assert shown(catalogue) == {"a": "VERGIL", "b": "Nova", "c": "Nova"}


@pytest.mark.parametrize("verdict", ["unsure", "not_comparable"])
def test_what_nobody_can_tell_is_ranked_for_nobody_and_kept(catalogue: SqlCatalogue, verdict: str) -> None:
    dante = individual(catalogue, "DANTE")
    decision = Decision(annotation(catalogue, "a"), verdict, dante, confidence="a guess")  # type: ignore[arg-type]
    say(catalogue, Decide((decision,)))
    assert shown(catalogue) == {"b": "DANTE", "c": "VERGIL"}
    assert say(catalogue, Decide((decision,))).head.version == 2, "the same again changes nothing"
    confirm(catalogue, [word("a", "VERGIL")])
    assert shown(catalogue)["a"] == "VERGIL"


@pytest.mark.parametrize("name", ["vergil", "VER GIL", "Ole", "ole"])
def test_a_new_individual_takes_no_name_or_alias_in_use(catalogue: SqlCatalogue, name: str) -> None:
    say(catalogue, Alias(individual(catalogue, "VERGIL"), add=("Ole",)))
    with pytest.raises(NameInUseError, match=r"is (the name|an alias) of individual"):
        say(catalogue, new(catalogue, "a", name))
    assert shown(catalogue)["a"] == "DANTE"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([("a", "match", None, None)], "needs an individual"),
        ([("a", "match", 1, "Nova")], "takes no name"),
        ([("a", "new", None, None)], "needs a name"),
        ([("a", "new", 1, "Nova")], "takes no individual"),
        ([("a", "unsure", None, "Nova")], "takes no name"),
        ([("a", "unsure", None, None), ("a", "not_comparable", None, None)], "two decisions"),
        ([("a", "match", 9999, None)], "no individuals 9999"),
    ],
)
def test_a_decision_that_lacks_something_is_refused_and_all_others_with_it(
    catalogue: SqlCatalogue, said: list[tuple[str, Verdict, int | None, str | None]], reason: str
) -> None:
    decisions = [Decision(annotation(catalogue, photo), *rest) for photo, *rest in said]
    with pytest.raises(ChangeRefusedError, match=reason):
        say(catalogue, Decide((Decision(annotation(catalogue, "b"), "new", name="Lost"), *decisions)))
    assert catalogue.head().version == 1


def test_a_decision_about_nothing_is_refused(catalogue: SqlCatalogue) -> None:
    with pytest.raises(NotInCatalogueError, match="no annotations 9999"):
        say(catalogue, Decide((Decision(9999, "unsure"),)))


# --- individuals ------------------------------------------------------------------------------------------------------


def test_a_renamed_individual_is_ranked_under_its_new_name_by_every_reader(catalogue: SqlCatalogue) -> None:
    seen = catalogue.changes_since(EMPTY)
    say(catalogue, Rename(individual(catalogue, "DANTE"), "Alighieri", keep=True))
    changes = catalogue.changes_since(seen.head)
    assert [row.individual for row in changes.added] == ["Alighieri", "Alighieri"]
    assert changes.superseded == tuple(row.row_id for row in seen.added if row.individual == "DANTE")
    confirm(catalogue, [word("d", "dante")])
    assert shown(catalogue)["d"] == "Alighieri", "the old name is an alias"


def test_a_spelling_can_be_corrected(catalogue: SqlCatalogue) -> None:
    say(catalogue, Rename(individual(catalogue, "DANTE"), "Dante"))
    assert shown(catalogue)["a"] == "Dante"
    confirm(catalogue, [word("d", "DANTE")])
    assert shown(catalogue)["d"] == "Dante"


def test_a_name_that_was_given_up_is_free(catalogue: SqlCatalogue) -> None:
    say(catalogue, Rename(individual(catalogue, "DANTE"), "Nova"))
    say(catalogue, new(catalogue, "c", "DANTE"))
    assert shown(catalogue) == {"a": "Nova", "b": "Nova", "c": "DANTE"}


def test_an_alias_is_what_a_confirmation_may_say(catalogue: SqlCatalogue) -> None:
    dante = individual(catalogue, "DANTE")
    say(catalogue, Alias(dante, add=("Durante", "Il Sommo")))
    confirm(catalogue, [word("d", "durante")])
    assert shown(catalogue)["d"] == "DANTE"
    say(catalogue, Alias(dante, remove=("DURANTE",)))
    confirm(catalogue, [word("e", "durante")])
    assert shown(catalogue)["e"] == "durante"
    with pytest.raises(NotInCatalogueError, match="no alias"):
        say(catalogue, Alias(dante, remove=("Durante",)))
    with pytest.raises(NameInUseError):
        say(catalogue, Alias(dante, add=("vergil",)))
    with pytest.raises(BadIdentityError):
        say(catalogue, Alias(dante, add=("Unknown",)))


def test_merged_individuals_are_one_and_old_numbers_mean_it(catalogue: SqlCatalogue) -> None:
    dante, vergil = individual(catalogue, "DANTE"), individual(catalogue, "VERGIL")
    say(catalogue, Merge(dante, (vergil,)))
    assert set(shown(catalogue).values()) == {"DANTE"}
    assert catalogue.counts().individuals == 1
    confirm(catalogue, [word("d", "Vergil")])
    assert shown(catalogue)["d"] == "DANTE"
    say(catalogue, Rename(vergil, "Both"))
    assert set(shown(catalogue).values()) == {"Both"}
    for others in ((), (vergil,), (dante,)):
        with pytest.raises(ChangeRefusedError):
            say(catalogue, Merge(dante, others))


def test_a_split_takes_annotations_of_one_individual_to_another(catalogue: SqlCatalogue) -> None:
    a, b, c = (annotation(catalogue, photo) for photo in "abc")
    changed = say(catalogue, Split((b,), name="Beatrice"))
    assert shown(catalogue) == {"a": "DANTE", "b": "Beatrice", "c": "VERGIL"}
    say(catalogue, Split((a,), individual=changed.made["individuals"][0]))
    assert shown(catalogue)["a"] == "Beatrice"
    for wrong in (Split((a, c), name="Nova"), Split((a,), individual(catalogue, "Beatrice"))):
        with pytest.raises(ChangeRefusedError, match="of one individual, to another"):
            say(catalogue, wrong)


# --- annotations ------------------------------------------------------------------------------------------------------


def test_a_removed_annotation_is_gone_and_its_photo_can_be_confirmed_anew(catalogue: SqlCatalogue) -> None:
    old = annotation(catalogue, "a")
    say(catalogue, Remove((old,)))
    assert shown(catalogue) == {"b": "DANTE", "c": "VERGIL"}
    with pytest.raises(NotInCatalogueError):
        say(catalogue, Remove((old,)))
    confirm(catalogue, [word("a", "VERGIL")])
    assert annotation(catalogue, "a") != old
    with pytest.raises(UndoBlockedError, match=r"version 3 \(confirm by local user\)"):
        say(catalogue, Undo(2))


def test_annotations_are_grouped_into_encounters_of_sightings(catalogue: SqlCatalogue) -> None:
    a, b, c = (annotation(catalogue, photo) for photo in "abc")
    first = say(catalogue, Move((a,)))
    ((encounter,), (sighting,)) = first.made["encounters"], first.made["sightings"]
    assert say(catalogue, Move((b,), encounter)).made == {}
    assert list(say(catalogue, Move((c,), sighting=sighting)).made) == ["encounters"]
    assert say(catalogue, Move((b,), encounter)).head.version == 4, "it is there already"
    with pytest.raises(NotInCatalogueError):
        say(catalogue, Move((a,), 9999))
    with pytest.raises(ChangeRefusedError, match="name one of the two"):
        say(catalogue, Move((a,), encounter, sighting))


def test_two_animals_of_one_photo_are_never_one_encounter(catalogue: SqlCatalogue) -> None:
    beside = replace(word("a", "VERGIL"), key=PhotoKey("path:a", 2))
    confirm(catalogue, [beside])
    changes = catalogue.changes_since(EMPTY)
    assert len(changes.added) == 4
    with catalogue._database.reading() as connection:
        query = select(annotations.c.id).where(annotations.c.source_key == "path:a").order_by(annotations.c.animal)
        one, two = connection.execute(query).scalars()
    with pytest.raises(ChangeRefusedError, match=rf"^a: annotations {one} and {two} show two animals of this photo"):
        say(catalogue, Move((one, two)))
    (encounter,) = say(catalogue, Move((one,))).made["encounters"]
    with pytest.raises(ChangeRefusedError, match="one animal at one time"):
        say(catalogue, Move((two,), encounter))
    say(catalogue, Move((one,)))
    say(catalogue, Move((two,), encounter))
    with pytest.raises(UndoBlockedError, match=r"version 5 \(move by Maria\)"):
        say(catalogue, Undo(4))
    with pytest.raises(ChangeRefusedError, match="one animal at one time"):
        say(catalogue, Move((one,), encounter))


def test_an_annotation_does_not_come_back_beside_another_animal_of_its_photo(catalogue: SqlCatalogue) -> None:
    a = annotation(catalogue, "a")
    (encounter,) = say(catalogue, Move((a,))).made["encounters"]
    say(catalogue, Remove((a,)))
    confirm(catalogue, [replace(word("a", "VERGIL"), key=PhotoKey("path:a", 2))])
    say(catalogue, Move((annotation(catalogue, "a"),), encounter))
    with pytest.raises(UndoBlockedError, match=r"version 5 \(move by Maria\)"):
        say(catalogue, Undo(3))
    say(catalogue, Undo(5))
    say(catalogue, Undo(3))


def test_photos_that_moved_to_one_path_are_not_two_animals_of_an_encounter(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [replace(word("d", "VERGIL"), key=PhotoKey("path:d", 2))])
    a, d = annotation(catalogue, "a"), annotation(catalogue, "d")
    say(catalogue, Move((a, d)))
    with pytest.raises(ChangeRefusedError, match=r"^d: annotations \d+ and \d+ show two animals"):
        say(catalogue, Relocate({a: "d"}))


def test_a_new_sighting_is_made_with_what_is_known_of_it(catalogue: SqlCatalogue) -> None:
    a, c = annotation(catalogue, "a"), annotation(catalogue, "c")
    values = {"begins_at": datetime(2026, 7, 1, 14, 5), "latitude": 38.5, "observer": "Maria"}
    made = say(catalogue, Move((a,), values=values), key="k").made
    assert say(catalogue, Move((a,), values=values), key="k").made == made
    with pytest.raises(KeyReusedError):
        say(catalogue, Move((a,), values=values | {"latitude": 38.6}), key="k")
    (seen,) = catalogue.individual(individual(catalogue, "DANTE")).encounters
    assert (seen.begins_at, seen.latitude, seen.observer) == tuple(values.values())
    for there in ({"encounter": made["encounters"][0]}, {"sighting": made["sightings"][0]}):
        with pytest.raises(ChangeRefusedError, match="values: are for a sighting that is made"):
            say(catalogue, Move((c,), values=values, **there))
    with pytest.raises(ChangeRefusedError, match="sighting has no side"):
        say(catalogue, Move((c,), values={"side": "left"}))
    with pytest.raises(ChangeRefusedError, match="a sighting ends after it begins"):
        say(catalogue, Move((c,), values=values | {"ends_at": datetime(2026, 7, 1, 14, 4)}))
    say(catalogue, Undo(2))
    assert catalogue.individual(individual(catalogue, "DANTE")).encounters == ()
    assert catalogue.differences_from_log() == []


def test_things_are_described(catalogue: SqlCatalogue) -> None:
    dante, a = individual(catalogue, "DANTE"), annotation(catalogue, "a")
    (sighting,) = say(catalogue, Move((a,))).made["sightings"]
    say(catalogue, Describe("individual", dante, {"sex": "female", "note": "scar"}))
    say(catalogue, Describe("annotation", a, {"side": "left", "quality": "good"}))
    begins = datetime(2026, 7, 1, 9, 30)
    say(catalogue, Describe("sighting", sighting, {"begins_at": begins, "latitude": 38.5, "longitude": -28}))
    head = say(catalogue, Describe("sighting", sighting, {"begins_at": begins, "latitude": 38.5})).head
    assert head.version == 5, "the same again changes nothing"
    assert shown(catalogue)["a"] == "DANTE"


@pytest.mark.parametrize(
    ("thing", "values", "reason"),
    [
        ("individual", {"side": "left"}, "individual has no side: it has species, sex, note"),
        ("individual", {"sex": 1.0}, "sex: must be text"),
        ("sighting", {"latitude": 91.0}, "at most 90"),
        ("sighting", {"uncertainty_m": -1.0}, "above 0"),
        ("sighting", {"begins_at": "today"}, "a local time"),
        ("sighting", {"begins_at": datetime(2026, 2, 2), "ends_at": datetime(2026, 1, 1)}, "ends after it begins"),
    ],
)
def test_what_a_thing_cannot_be_is_refused(
    catalogue: SqlCatalogue, thing: str, values: dict[str, object], reason: str
) -> None:
    (sighting,) = say(catalogue, Move((annotation(catalogue, "a"),))).made["sightings"]
    of = sighting if thing == "sighting" else individual(catalogue, "DANTE")
    with pytest.raises(ChangeRefusedError, match=reason):
        say(catalogue, Describe(thing, of, values))  # type: ignore[arg-type]


# --- decided on an older state ----------------------------------------------------------------------------------------


def test_a_decision_on_what_changed_since_is_refused_with_what_changed(catalogue: SqlCatalogue) -> None:
    seen = catalogue.head()
    stale = match(catalogue, "a", "VERGIL")
    say(catalogue, new(catalogue, "a", "Nova"), LOCAL_USER)
    with pytest.raises(ChangedSinceError, match=r"version 2 \(decide by local user\)"):
        say(catalogue, stale, known=seen)
    assert shown(catalogue)["a"] == "Nova"
    say(catalogue, match(catalogue, "b", "VERGIL"), known=seen)
    assert shown(catalogue)["b"] == "VERGIL", "nobody touched that one"


@pytest.mark.parametrize("stale", ["rename", "alias", "merge", "match", "describe"])
def test_whose_individual_was_merged_since_is_told(catalogue: SqlCatalogue, stale: str) -> None:
    dante, vergil = individual(catalogue, "DANTE"), individual(catalogue, "VERGIL")
    verbs: dict[str, Verb] = {
        "rename": Rename(vergil, "Maro"),
        "alias": Alias(vergil, add=("Maro",)),
        "merge": Merge(vergil, (dante,)),
        "match": match(catalogue, "a", "VERGIL"),
        "describe": Describe("individual", vergil, {"sex": "male"}),
    }
    seen = catalogue.head()
    (nova,) = say(catalogue, new(catalogue, "b", "Nova")).made["individuals"]
    say(catalogue, Merge(nova, (vergil,)))
    with pytest.raises(ChangedSinceError, match=r"version 3 \(merge by Maria\)"):
        say(catalogue, verbs[stale], known=seen)


def test_a_state_of_another_copy_is_refused(catalogue: SqlCatalogue) -> None:
    with pytest.raises(ChangedSinceError, match="not in this catalogue's history"):
        say(catalogue, match(catalogue, "a", "VERGIL"), known=Head(1, "of another copy"))


def test_a_key_makes_a_repeat_known_and_answers_it_as_the_first_time(catalogue: SqlCatalogue) -> None:
    verb = new(catalogue, "a", "Nova")
    first = say(catalogue, verb, key="k")
    say(catalogue, match(catalogue, "a", "VERGIL"), LOCAL_USER, key="k")
    assert say(catalogue, verb, key="k") == first
    assert shown(catalogue)["a"] == "VERGIL"
    for other in (new(catalogue, "b", "Nova"), Undo(1)):
        with pytest.raises(KeyReusedError):
            say(catalogue, other, key="k")
    with pytest.raises(KeyReusedError):
        catalogue.confirm([word("a")], MARIA, "k")


# --- undo -------------------------------------------------------------------------------------------------------------


def verbs(catalogue: SqlCatalogue) -> dict[str, Callable[[], object]]:
    dante, vergil = individual(catalogue, "DANTE"), individual(catalogue, "VERGIL")
    a, b = annotation(catalogue, "a"), annotation(catalogue, "b")
    return {
        "match": lambda: say(catalogue, match(catalogue, "a", "VERGIL")),
        "new": lambda: say(catalogue, new(catalogue, "a", "Nova")),
        "unsure": lambda: say(catalogue, Decide((Decision(a, "unsure"),))),
        "rename": lambda: say(catalogue, Rename(dante, "Nova", keep=True)),
        "alias": lambda: say(catalogue, Alias(dante, add=("Nova",))),
        "merge": lambda: say(catalogue, Merge(dante, (vergil,))),
        "split": lambda: say(catalogue, Split((b,), name="Nova")),
        "move": lambda: say(catalogue, Move((a, b))),
        "remove": lambda: say(catalogue, Remove((a, b))),
        "describe": lambda: say(catalogue, Describe("individual", dante, {"sex": "male"})),
        "confirm": lambda: confirm(catalogue, [word("a", "Nova"), word("new", "VERGIL")]),
    }


VERBS = ("match", "new", "unsure", "rename", "alias", "merge", "split", "move", "remove", "describe", "confirm")


def state(catalogue: SqlCatalogue) -> list[object]:
    """Return all that stands, without the numbers of rows and versions."""
    with catalogue._database.reading() as connection:
        return [
            sorted(repr({k: v for k, v in said(row._mapping).items() if k != "said_in"}) for row in rows)
            for rows in (connection.execute(select(table).where(table.c.gone.is_(None))) for table in VERSIONED)
        ]


@pytest.mark.parametrize("verb", VERBS)
def test_an_undone_event_leaves_all_as_it_was_and_an_undone_undo_as_it_became(
    catalogue: SqlCatalogue, verb: str
) -> None:
    before = state(catalogue)
    verbs(catalogue)[verb]()
    after = state(catalogue)
    assert after != before
    for version, expected in ((2, before), (3, after), (4, before)):
        assert say(catalogue, Undo(version)).head.version == version + 1
        assert state(catalogue) == expected
    with pytest.raises(UndoBlockedError, match=r"undone already, by version 5 \(undo by Maria\)|undone already"):
        say(catalogue, Undo(2))


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_later_event_builds_on_is_not_undone(catalogue: SqlCatalogue, verb: str) -> None:
    verbs(catalogue)[verb]()
    a = annotation(catalogue, "b" if verb in ("split",) else "a") if verb != "remove" else 0
    build: dict[str, Verb] = {
        "rename": Rename(individual(catalogue, "DANTE" if verb != "rename" else "Nova"), "Other"),
        "alias": Alias(individual(catalogue, "DANTE" if verb != "rename" else "Nova"), remove=("Nova",)),
        "merge": Alias(individual(catalogue, "DANTE" if verb != "rename" else "Nova"), remove=("Vergil",)),
        "describe": Describe(
            "individual", individual(catalogue, "DANTE" if verb != "rename" else "Nova"), {"sex": None}
        ),
    }
    if verb == "remove":
        confirm(catalogue, [word("b", "VERGIL")])
    else:
        say(catalogue, build.get(verb) or Remove((a,)))
    with pytest.raises(UndoBlockedError, match=r"version 3 \("):
        say(catalogue, Undo(2))
    if verb != "remove":
        say(catalogue, Undo(3))
        say(catalogue, Undo(2))


def test_an_individual_that_others_say_meanwhile_is_not_undone_away(catalogue: SqlCatalogue) -> None:
    say(catalogue, new(catalogue, "a", "Nova"))
    confirm(catalogue, [word("c", "Nova")])
    with pytest.raises(UndoBlockedError, match="version 3"):
        say(catalogue, Undo(2))


def test_a_word_about_an_individual_that_was_merged_meanwhile_is_not_restored(catalogue: SqlCatalogue) -> None:
    say(catalogue, match(catalogue, "c", "DANTE"))
    say(catalogue, Merge(individual(catalogue, "DANTE"), (individual(catalogue, "VERGIL"),)))
    with pytest.raises(UndoBlockedError, match=r"version 3 \(merge"):
        say(catalogue, Undo(2))


def test_an_undone_import_does_not_come_in_again(catalogue: SqlCatalogue) -> None:
    batch = ImportBatch(ImportFile("x.csv", "fluke", "d1", "m1"), (word("csv", "Dante"),))
    catalogue.import_rows([batch])
    assert shown(catalogue)["csv"] == "Dante"
    say(catalogue, Undo(2))
    assert "csv" not in shown(catalogue)
    assert catalogue.import_rows([batch])[0].status == "already_imported"


def test_every_table_is_undone_but_that_of_files_that_came_in() -> None:
    assert {table.name for table in VERSIONED} - {table.name for table in undoing._IDENTITY} == {"imports"}


def test_only_what_there_is_can_be_undone(catalogue: SqlCatalogue) -> None:
    with pytest.raises(NotInCatalogueError, match="no event of version 9"):
        say(catalogue, Undo(9))

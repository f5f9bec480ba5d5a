"""What every catalogue promises, held against the SQL store on each database and the fake that other tests use."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rows import EMPTY, CatalogueRow, Changes, Confirmation, Confirmed, Head, ImportBatch, ImportFile
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import KeyReusedError
from pipeline.records import LOCAL_USER, Actor, PhotoKey
from tests.confirming import confirm
from tests.memory_catalogue import MemoryCatalogue


def word(
    photo: str = "sha256:aa",
    individual: str = "DANTE",
    values: tuple[float, ...] = (1.0, 0.0),
    model: str = "m1",
    body_part: str = "fluke",
    animal: int = 1,
    reviewed: bool = True,
) -> Confirmation:
    key, path = PhotoKey(photo, animal), "/photos/a.jpg"
    return Confirmation(key, body_part, individual, np.array(values), model, path, reviewed=reviewed)


def csv_file(digest: str = "d1", model: str = "m1", body_part: str = "fluke") -> ImportFile:
    return ImportFile("pm_identification_fluke_ind.csv", body_part, digest, model)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    if request.param == "memory":
        yield MemoryCatalogue()
        return
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    store = open_catalogue(url)
    yield store
    store.close()


def labels(changes: Changes) -> list[tuple[str, str]]:
    return [(row.key.photo, row.individual) for row in changes.added]


def test_empty_catalogue_has_head_zero_and_no_changes(catalogue: Catalogue) -> None:
    assert catalogue.head().version == 0
    assert catalogue.changes_since(EMPTY) == Changes(head=EMPTY, added=(), superseded=())


def test_confirmed_photos_come_out_as_they_went_in(catalogue: Catalogue) -> None:
    digits = (0.1234567890123456, -1e-300)
    assert confirm(catalogue, [word(values=digits, animal=2, body_part="flank")]) == 1
    (row,) = catalogue.changes_since(EMPTY).added
    assert (row.key, row.body_part, row.individual, row.model) == (PhotoKey("sha256:aa", 2), "flank", "DANTE", "m1")
    assert row.values.dtype == np.float64
    assert row.values.tolist() == list(digits)


def test_each_request_raises_the_head_by_one(catalogue: Catalogue) -> None:
    assert [confirm(catalogue, [word(photo=f"path:{i}"), word(photo=f"path:{i}b")]) for i in range(3)] == [1, 2, 3]
    assert catalogue.head().version == 3


def test_confirming_nothing_changes_nothing(catalogue: Catalogue) -> None:
    assert confirm(catalogue, []) == 0


def test_repeating_a_confirmation_changes_nothing(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(), word(photo="path:b")])
    assert confirm(catalogue, [word(), word(photo="path:b")]) == 1
    assert len(catalogue.changes_since(EMPTY).added) == 2


def test_changes_hold_only_what_a_reader_lacks(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(photo="path:a")])
    seen = catalogue.head()
    confirm(catalogue, [word(photo="path:b")])
    assert labels(catalogue.changes_since(seen)) == [("path:b", "DANTE")]
    assert catalogue.changes_since(catalogue.head()) == Changes(catalogue.head(), (), ())


@pytest.mark.parametrize("again", [word(individual="VERGIL"), word(values=(0.0, 1.0))], ids=["individual", "embedding"])
def test_a_photo_confirmed_again_replaces_what_it_said(catalogue: Catalogue, again: Confirmation) -> None:
    confirm(catalogue, [word()])
    (first,) = catalogue.changes_since(EMPTY).added
    seen = catalogue.head()
    assert confirm(catalogue, [again]) == 2
    changes = catalogue.changes_since(seen)
    assert changes.superseded == (first.row_id,)
    assert labels(changes) == [("sha256:aa", again.individual)]
    assert labels(catalogue.changes_since(EMPTY)) == [("sha256:aa", again.individual)]
    assert catalogue.changes_since(EMPTY).superseded == ()


def test_a_row_that_came_and_went_between_two_looks_is_not_mentioned(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(individual="A")])
    seen = catalogue.head()
    for individual in ("B", "C"):
        confirm(catalogue, [word(individual=individual)])
    changes = catalogue.changes_since(seen)
    assert labels(changes) == [("sha256:aa", "C")]
    assert len(changes.superseded) == 1


def test_a_photo_said_to_be_what_it_was_before_last_is_new_again(catalogue: Catalogue) -> None:
    for individual in ("A", "B", "A"):
        confirm(catalogue, [word(individual=individual)])
    assert catalogue.head().version == 3
    assert labels(catalogue.changes_since(EMPTY)) == [("sha256:aa", "A")]


@pytest.mark.parametrize("other", [word(animal=2), word(body_part="flank"), word(photo="path:sha256:aa")])
def test_another_animal_body_part_or_photo_is_another_subject(catalogue: Catalogue, other: Confirmation) -> None:
    confirm(catalogue, [word()])
    confirm(catalogue, [other])
    assert len(catalogue.changes_since(EMPTY).added) == 2


def test_within_one_request_the_last_word_about_a_photo_counts(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(individual="A"), word(photo="path:b"), word(individual="B")])
    assert sorted(labels(catalogue.changes_since(EMPTY))) == [("path:b", "DANTE"), ("sha256:aa", "B")]


def test_the_same_label_by_another_model_stands_beside_the_first(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(model="m1")])
    confirm(catalogue, [word(model="m2")])
    assert {row.model for row in catalogue.changes_since(EMPTY).added} == {"m1", "m2"}


def test_another_label_by_another_model_holds_for_every_model_s_row(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(model="m1")])
    confirm(catalogue, [word(model="m2")])
    confirm(catalogue, [word(model="m2", individual="VERGIL")])
    rows = catalogue.changes_since(EMPTY).added
    assert {(row.model, row.individual) for row in rows} == {("m1", "VERGIL"), ("m2", "VERGIL")}


def test_row_ids_rise_in_the_order_of_arrival(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(photo="path:z"), word(photo="path:a")])
    confirm(catalogue, [word(photo="path:m")])
    rows = catalogue.changes_since(EMPTY).added
    assert [row.key.photo for row in rows] == ["path:z", "path:a", "path:m"]
    assert [row.row_id for row in rows] == sorted({row.row_id for row in rows})


def test_counts_of_what_stands(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(), word(body_part="flank"), word(photo="path:b", individual="VERGIL", model="m2")])
    confirm(catalogue, [word(photo="path:b", individual="DANTE", model="m2")])
    counts = catalogue.counts()
    assert (counts.individuals, counts.photos) == (1, 2)
    assert dict(counts.rows) == {("fluke", "m1"): 1, ("flank", "m1"): 1, ("fluke", "m2"): 1}


def test_more_photos_than_one_statement_takes(catalogue: Catalogue) -> None:
    words = [word(photo=f"path:{i}", individual=f"I{i % 700}") for i in range(1201)]
    assert confirm(catalogue, words) == 1
    assert confirm(catalogue, words) == 1
    assert confirm(catalogue, [word(photo=f"path:{i}", individual="ONE") for i in range(1201)]) == 2
    counts = catalogue.counts()
    assert (counts.individuals, counts.photos) == (1, 1201)


def test_files_of_one_start_come_in_as_one_version(catalogue: Catalogue) -> None:
    flukes = ImportBatch(csv_file(), (word(photo="csv:d1:1"), word(photo="csv:d1:2")))
    flanks = ImportBatch(csv_file("d2", body_part="flank"), (word(photo="csv:d2:1", body_part="flank"),))
    outcomes = catalogue.import_rows([flukes, flanks])
    assert [(outcome.status, outcome.rows) for outcome in outcomes] == [("new", 2), ("new", 1)]
    assert catalogue.head().version == 1
    assert len(catalogue.changes_since(EMPTY).added) == 3
    assert catalogue.imports() == (flukes.file, flanks.file)


@pytest.mark.parametrize(
    ("file", "status"),
    [
        (csv_file(), "already_imported"),
        (csv_file(model="m2"), "other_model"),
        (csv_file("d9"), "changed_since"),
        (csv_file("d9", model="m2"), "new"),
        (csv_file(body_part="flank"), "new"),
    ],
)
def test_a_file_comes_in_only_where_it_is_new(catalogue: Catalogue, file: ImportFile, status: str) -> None:
    catalogue.import_rows([ImportBatch(csv_file(), (word(photo="csv:d1:1"),))])
    again = ImportBatch(file, (word(photo="csv:again:1", model=file.model, body_part=file.body_part),))
    (outcome,) = catalogue.import_rows([again])
    came_in = status == "new"
    assert (outcome.status, outcome.rows) == (status, int(came_in))
    assert len(catalogue.changes_since(EMPTY).added) == 1 + came_in
    assert catalogue.head().version == 1 + came_in


def test_a_file_without_rows_is_not_remembered(catalogue: Catalogue) -> None:
    catalogue.import_rows([ImportBatch(csv_file("empty"), ())])
    assert (catalogue.head().version, catalogue.imports()) == (0, ())
    (outcome,) = catalogue.import_rows([ImportBatch(csv_file(), (word(photo="csv:d1:1"),))])
    assert outcome.status == "new"


def test_two_rows_of_one_individual_in_a_file_both_stand(catalogue: Catalogue) -> None:
    catalogue.import_rows([ImportBatch(csv_file(), (word(photo="csv:d1:1"), word(photo="csv:d1:2")))])
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["DANTE", "DANTE"]


# --- who said it, and which request -----------------------------------------------------------------------------------

MARIA = Actor("azores", "Maria")


def standing(catalogue: Catalogue) -> list[tuple[str, str]]:
    return labels(catalogue.changes_since(EMPTY))


def test_a_repeat_of_what_somebody_corrected_since_changes_nothing(catalogue: Catalogue) -> None:
    request = [word(individual="A"), word(photo="path:b", individual="A")]
    catalogue.confirm(request, LOCAL_USER, "k1")
    catalogue.confirm([word(individual="B")], MARIA, "k2")
    before = catalogue.head()
    for repeat in (request, request[:1], request[1:], [*request, *request]):
        assert catalogue.confirm(repeat, LOCAL_USER, "k1").head == before
    assert sorted(standing(catalogue)) == [("path:b", "A"), ("sha256:aa", "B")]


def test_a_repeat_of_what_changed_nothing_changes_nothing_later_either(catalogue: Catalogue) -> None:
    catalogue.confirm([word(individual="A")], MARIA, "k1")
    catalogue.confirm([word(individual="A")], LOCAL_USER, "k2")
    catalogue.confirm([word(individual="B")], MARIA, "k3")
    catalogue.confirm([word(individual="A")], LOCAL_USER, "k2")
    assert standing(catalogue) == [("sha256:aa", "B")]


def test_without_a_key_a_repeat_is_a_new_word(catalogue: Catalogue) -> None:
    for individual in ("A", "B", "A"):
        catalogue.confirm([word(individual=individual)], LOCAL_USER, None)
    assert standing(catalogue) == [("sha256:aa", "A")]


@pytest.mark.parametrize(
    "other",
    [
        word(individual="B"),
        word(photo="path:b"),
        word(animal=2),
        word(body_part="flank"),
        word(model="m2"),
        word(values=(1.0, 0.5)),
    ],
    ids=["individual", "photo", "animal", "body part", "model", "embedding"],
)
def test_a_key_with_other_confirmations_is_refused_and_nothing_is_stored(
    catalogue: Catalogue, other: Confirmation
) -> None:
    catalogue.confirm([word()], LOCAL_USER, "k1")
    before = catalogue.head()
    with pytest.raises(KeyReusedError, match="key"):
        catalogue.confirm([word(), other], LOCAL_USER, "k1")
    assert catalogue.head() == before
    assert standing(catalogue) == [("sha256:aa", "DANTE")]
    assert catalogue.confirm([other], LOCAL_USER, "k2").head != before


def test_a_word_that_a_later_one_of_its_request_overruled_is_known_in_a_repeat(catalogue: Catalogue) -> None:
    catalogue.confirm([word(individual="A"), word(individual="B")], LOCAL_USER, "k1")
    catalogue.confirm([word(individual="A")], LOCAL_USER, "k1")
    assert standing(catalogue) == [("sha256:aa", "B")]


def test_nothing_said_with_a_key_is_not_remembered(catalogue: Catalogue) -> None:
    assert catalogue.confirm([], LOCAL_USER, "k1") == Confirmed(EMPTY, {})
    assert catalogue.confirm([word()], LOCAL_USER, "k1").head.version == 1


def test_every_event_has_a_nonce_of_its_own(catalogue: Catalogue) -> None:
    heads = [catalogue.confirm([word(photo=f"path:{n}")], LOCAL_USER, f"k{n}").head for n in range(5)]
    assert [head.version for head in heads] == [1, 2, 3, 4, 5]
    assert len({head.nonce for head in heads}) == 5
    assert catalogue.head() == heads[-1]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_reader_of_another_history_begins_anew(catalogue: Catalogue, version: int) -> None:
    confirm(catalogue, [word(photo="path:a")])
    confirm(catalogue, [word(photo="path:b")])
    changes = catalogue.changes_since(Head(version, "of another copy"))
    assert changes == Changes(catalogue.head(), (), (), anew=True)


def test_whoever_begins_reads_every_current_row_and_the_head(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(photo="path:a")])
    confirm(catalogue, [word(photo="path:b"), word(photo="path:a", individual="VERGIL")])
    rows: list[CatalogueRow] = []
    head = catalogue.read_rows(rows.extend)
    assert head == catalogue.head()
    rows.sort(key=lambda row: row.row_id)
    for read, given in zip(rows, catalogue.changes_since(EMPTY).added, strict=True):
        assert replace(read, values=given.values) == given
        np.testing.assert_array_equal(read.values, given.values)
    assert sorted((row.key.photo, row.individual) for row in rows) == [("path:a", "VERGIL"), ("path:b", "DANTE")]
    assert len({row.number for row in rows}) == len({row.annotation for row in rows}) == 2


def test_reading_every_row_of_an_empty_catalogue_hands_over_none(catalogue: Catalogue) -> None:
    rows: list[CatalogueRow] = []
    assert catalogue.read_rows(rows.extend) == EMPTY
    assert rows == []


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Pmod001_Dante", "PMOD001 _DANTE", "ＰＭＯＤ００１_DANTE", "pmod001_dante"])
def test_a_name_spelled_otherwise_is_that_of_the_known_individual(catalogue: Catalogue, name: str) -> None:
    confirm(catalogue, [word(individual="PMOD001_DANTE")])
    confirm(catalogue, [word(photo="path:b", individual=name)])
    assert standing(catalogue) == [("sha256:aa", "PMOD001_DANTE"), ("path:b", "PMOD001_DANTE")]
    assert catalogue.counts().individuals == 1


def test_saying_the_same_in_another_spelling_changes_nothing(catalogue: Catalogue) -> None:
    assert confirm(catalogue, [word(individual="Dante")]) == confirm(catalogue, [word(individual="DANTE")]) == 1


def test_of_two_new_spellings_in_one_request_the_first_wins(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(individual="Nova"), word(photo="path:b", individual="NOVA")])
    assert standing(catalogue) == [("sha256:aa", "Nova"), ("path:b", "Nova")]


def twins(catalogue: Catalogue) -> None:
    rows = [word(photo=f"csv:d1:{n}", individual=name) for n, name in enumerate(("Dante", "DANTE"))]
    catalogue.import_rows([ImportBatch(csv_file(), tuple(rows))])


def test_twins_of_a_file_stay_two_and_are_confirmed_by_their_exact_spelling(catalogue: Catalogue) -> None:
    twins(catalogue)
    confirm(catalogue, [word(individual="DANTE"), word(photo="path:b", individual="Dante")])
    assert standing(catalogue)[2:] == [("sha256:aa", "DANTE"), ("path:b", "Dante")]


def test_a_spelling_that_may_be_either_twin_is_refused_alone_and_again_in_a_repeat(catalogue: Catalogue) -> None:
    twins(catalogue)
    names = {"path:a": "Vergil", "path:b": "dante", "path:c": "NOVA"}
    request = [word(photo=photo, individual=name) for photo, name in names.items()]
    for key in (None, "k1", "k1"):
        confirmed = catalogue.confirm(request, LOCAL_USER, key)
        assert list(confirmed.refused) == [1]
        assert confirmed.refused[1].code == "bad_identity"
        assert 'write "Dante" or "DANTE"' in confirmed.refused[1].message
    assert standing(catalogue)[2:] == [("path:a", "Vergil"), ("path:c", "NOVA")]
    assert list(catalogue.confirm(request[1:], LOCAL_USER, "k1").refused) == [0]


def test_a_name_without_photos_any_more_is_not_known(catalogue: Catalogue) -> None:
    twins(catalogue)
    confirm(catalogue, [word(individual="nova")])
    confirm(catalogue, [word(individual="Vergil")])
    confirm(catalogue, [word(photo="path:b", individual="Nova")])
    assert standing(catalogue)[-1] == ("path:b", "Nova")


def test_a_key_is_its_actor_s_own(catalogue: Catalogue) -> None:
    other = Actor("elsewhere", "somebody", "person")
    catalogue.confirm([word()], LOCAL_USER, "key")
    assert catalogue.confirm([word("sha256:bb", "VERGIL")], other, "key").head.version == 2
    assert ("sha256:bb", "VERGIL") in labels(catalogue.changes_since(EMPTY))
    assert catalogue.confirm([word()], LOCAL_USER, "key").head.version == 2
    with pytest.raises(KeyReusedError):
        catalogue.confirm([word()], other, "key")


def test_a_key_of_the_service_is_known_again_and_makes_no_event_where_nothing_changes(catalogue: Catalogue) -> None:
    catalogue.confirm([word()], LOCAL_USER, "first", only_changes=True)
    assert catalogue.confirm([word()], LOCAL_USER, "second", only_changes=True).head.version == 1
    catalogue.confirm([word(individual="VERGIL")], LOCAL_USER, "correction", only_changes=True)
    assert catalogue.confirm([word()], LOCAL_USER, "first", only_changes=True).head.version == 2
    assert labels(catalogue.changes_since(EMPTY)) == [("sha256:aa", "VERGIL")]


# --- guesses ---


def guess(photo: str = "path:b", individual: str = "DANTE", values: tuple[float, ...] = (1.0, 0.0)) -> Confirmation:
    return word(photo=photo, individual=individual, values=values, reviewed=False)


def test_a_guess_is_an_event_and_neither_ranked_nor_counted(catalogue: Catalogue) -> None:
    confirm(catalogue, [word()])
    seen, counts = catalogue.head(), catalogue.counts()
    assert confirm(catalogue, [guess()]) == 2
    assert catalogue.changes_since(seen) == Changes(catalogue.head(), (), ())
    assert catalogue.counts() == counts


def test_the_same_guess_again_changes_nothing_and_another_replaces_it(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(), word(photo="path:v", individual="VERGIL")])
    assert [confirm(catalogue, [guess(individual=name)]) for name in ("DANTE", "DANTE", "VERGIL")] == [2, 2, 3]


def test_a_guess_changes_nothing_where_a_person_has_spoken(catalogue: Catalogue) -> None:
    confirm(catalogue, [word(), word(photo="path:b", individual="VERGIL")])
    assert confirm(catalogue, [guess(), guess(values=(0.0, 1.0))]) == 1
    assert standing(catalogue) == [("sha256:aa", "DANTE"), ("path:b", "VERGIL")]


@pytest.mark.parametrize("said", ["DANTE", "VERGIL"])
def test_a_person_s_word_takes_a_guess_s_place_and_is_ranked(catalogue: Catalogue, said: str) -> None:
    confirm(catalogue, [word()])
    confirm(catalogue, [guess()])
    seen = catalogue.head()
    assert confirm(catalogue, [word(photo="path:b", individual=said)]) == 3
    changes = catalogue.changes_since(seen)
    assert (labels(changes), changes.superseded) == ([("path:b", said)], ())
    assert confirm(catalogue, [guess()]) == 3


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_word_and_a_guess_in_one_request_the_word_counts(catalogue: Catalogue, order: int) -> None:
    confirm(catalogue, [word()])
    confirm(catalogue, [guess(), word(photo="path:b", individual="VERGIL")][::order])
    assert standing(catalogue)[1:] == [("path:b", "VERGIL")]


def test_a_name_that_the_catalogue_never_held_is_a_person_s_word(catalogue: Catalogue) -> None:
    confirm(catalogue, [guess("path:a", "Nova"), guess("path:b", "NOVA")])
    assert standing(catalogue) == [("path:a", "Nova"), ("path:b", "Nova")]
    confirm(catalogue, [guess("path:c", "nova")])
    assert len(standing(catalogue)) == 2


def test_a_key_answers_a_guess_as_the_first_time_also_where_it_would_be_a_word_now(catalogue: Catalogue) -> None:
    confirm(catalogue, [word()])
    confirm(catalogue, [guess()], "key")
    assert confirm(catalogue, [word(photo="path:b")], "key") == 2
    assert len(standing(catalogue)) == 1

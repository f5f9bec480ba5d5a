"""Who plays which part in an evaluation, what training has seen, and which mistakes are shown."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.records import Failure
from training.errors import TrainingDataError
from training.evaluation.comparison import by_embedding, by_thumbnail, make_comparison
from training.evaluation.confusions import false_names, wrong_names
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles, given_roles, has_given_roles, honest_roles, seed_roles
from training.evaluation.seen_in_training import seen_in_training
from training.photos.records import LabelledPhoto


def photo(individual: str, number: int, encounter: str | None = None, split: str = "") -> LabelledPhoto:
    return LabelledPhoto(Path(f"{individual}-{number}.jpg"), individual, "fluke", encounter=encounter, split=split)


def collection(individuals: int, encounters: int, photos: int) -> list[LabelledPhoto]:
    return [
        photo(f"I{who}", when * photos + number, f"{who}-{when}")
        for who in range(individuals)
        for when in range(encounters)
        for number in range(photos)
    ]


# --- roles ---


def test_honest_roles_take_the_wanted_number_of_references() -> None:
    roles = honest_roles(collection(10, 3, 4), references=3, unknown=3, seed=0)
    assert roles.encounters == "disjoint"
    assert len(roles.references) == 7 * 3
    assert not {one.encounter for one in roles.references} & {one.encounter for one in (*roles.queries, *roles.unknown)}


def test_the_originals_protocol_takes_five_of_individuals_with_more_than_six_photos() -> None:
    photos = [*collection(3, 1, 7), *[photo("Few", number, "f") for number in range(6)]]
    roles = seed_roles(photos, (), seed=0)
    assert roles.encounters == "ignored"
    assert len(roles.references) == 3 * 5
    assert len(roles.queries) == 3 * 2
    assert roles.left_out == ("Few",)
    assert not set(roles.references) & set(roles.queries)


def test_the_originals_protocol_says_when_nobody_has_enough_photos() -> None:
    with pytest.raises(TrainingDataError, match="7 photos"):
        seed_roles(collection(3, 1, 6), (), seed=0)


def test_roles_that_the_data_gives_are_taken() -> None:
    photos = [
        photo("a", 0, "1", "gallery"),
        photo("a", 1, "2", "gallery"),
        photo("a", 2, "3", "query"),
        photo("b", 0, "4", "query"),
        photo("c", 0, "5", "gallery"),
        photo("d", 0, "6", "unknown"),
    ]
    assert has_given_roles(photos)
    roles = given_roles(photos, references=1)
    assert roles.references == (photos[0], photos[4])
    assert roles.queries == (photos[2],)
    assert roles.unknown == (photos[3], photos[5])
    assert roles.encounters == "disjoint"


@pytest.mark.parametrize(("encounter", "expected"), [("1", "shared"), ("2", "disjoint"), (None, "not known")])
def test_what_the_given_sides_share_is_found_out(encounter: str | None, expected: str) -> None:
    photos = [photo("a", 0, "1", "catalogue"), photo("a", 1, encounter, "query")]
    assert given_roles(photos, references=3).encounters == expected


def test_given_roles_without_anybody_on_both_sides_are_refused() -> None:
    with pytest.raises(TrainingDataError, match="both"):
        given_roles([photo("a", 0, "1", "gallery"), photo("b", 1, "2", "query")], references=1)


def test_training_splits_are_not_roles() -> None:
    assert not has_given_roles([photo("a", 0, "1", "dataset"), photo("a", 1, "2", "holdout")])


# --- what training has seen ---


def card(folder: Path, names: list[str] | None, content: bytes = b"weights") -> Path:
    weights = folder / "pm_fluke.pth"
    weights.write_bytes(content)
    record: dict[str, object] = {"sha256": hashlib.sha256(b"weights").hexdigest()}
    if names is not None:
        record["training individuals"] = names
    (folder / "pm_fluke.json").write_text(json.dumps(record))
    return weights


def test_individuals_seen_in_training_are_named(tmp_path: Path) -> None:
    seen = seen_in_training(card(tmp_path, ["a", "b", "x"]), ["a", "b", "c"])
    assert seen.known
    assert seen.among_these == ("a", "b")
    assert "WARNING: 2 of the 3" in seen.text


def test_unseen_individuals_are_said_to_be_unseen(tmp_path: Path) -> None:
    seen = seen_in_training(card(tmp_path, ["x", "y"]), ["a"])
    assert seen.known
    assert seen.among_these == ()
    assert "trained on 2 individuals; none of the 1" in seen.text


@pytest.mark.parametrize("names", [None, []])
def test_a_card_that_names_nobody_leaves_it_unknown(tmp_path: Path, names: list[str] | None) -> None:
    assert not seen_in_training(card(tmp_path, names), ["a"]).known


def test_a_card_of_other_weights_is_not_believed(tmp_path: Path) -> None:
    seen = seen_in_training(card(tmp_path, ["x"], b"other weights"), ["a"])
    assert not seen.known
    assert "of other weights" in seen.text


def test_no_card_leaves_it_unknown(tmp_path: Path) -> None:
    (tmp_path / "pm_fluke.pth").write_bytes(b"weights")
    assert "no model card" in seen_in_training(tmp_path / "pm_fluke.pth", ["a"]).text


# --- what is compared ---


def test_thumbnails_are_compared_by_correlation() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.integers(0, 256, (2, 32, 32), dtype=np.uint8)
    vectors = [by_thumbnail(EmbeddedPhoto(photo("a", 0), thumbnail=pixels)) for pixels in (one, other)]
    assert vectors[0] is not None
    assert vectors[1] is not None
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert float(np.sum((vectors[0] - vectors[1]) ** 2)) == pytest.approx(2 - 2 * correlation)


def test_brightness_and_contrast_do_not_change_a_thumbnail() -> None:
    pixels = np.arange(1024, dtype=np.uint8).reshape(32, 32) // 4
    vectors = [by_thumbnail(EmbeddedPhoto(photo("a", 0), thumbnail=grey)) for grey in (pixels, pixels * 2 + 10)]
    assert vectors[0] == pytest.approx(vectors[1])


def test_a_flat_or_missing_picture_is_no_number_to_stumble_over() -> None:
    flat = by_thumbnail(EmbeddedPhoto(photo("a", 0), thumbnail=np.full((32, 32), 7, np.uint8)))
    assert flat is not None
    assert not flat.any()
    failed = EmbeddedPhoto(photo("a", 0), failure=Failure("no_animal", "nothing"))
    assert by_thumbnail(failed) is None
    assert by_embedding(failed) is None


# --- mistakes ---


def test_the_most_confident_mistakes_come_first_one_a_pair() -> None:
    spots = {
        "references": [("a", 0, 0.0), ("b", 0, 10.0), ("b", 1, 14.0), ("c", 0, 30.0)],
        "queries": [("a", 10, 13.0), ("a", 11, 11.0), ("a", 12, 29.5), ("b", 10, 12.5), ("c", 10, None)],
        "unknown": [("x", 20, 25.0), ("x", 21, 27.0), ("y", 20, 1.0)],
    }
    embedded: dict[LabelledPhoto, EmbeddedPhoto] = {}
    roles: dict[str, tuple[LabelledPhoto, ...]] = {}
    for part, rows in spots.items():
        for who, number, spot in rows:
            values = None if spot is None else np.array([spot], dtype=np.float32)
            failure = Failure("no_animal", "nothing") if spot is None else None
            one = photo(who, number)
            embedded[one] = EmbeddedPhoto(one, values, failure=failure)
            roles[part] = (*roles.get(part, ()), one)
    parts = Roles(roles["references"], roles["queries"], roles["unknown"], (), "disjoint")
    comparison = make_comparison(parts, embedded, by_embedding, seed=0)
    wrong = wrong_names(comparison, "centroid", 2, 10)  # centroids: 0, 12, 30
    assert [(one.query.photo.path.name, one.taken_for.photo.path.name, one.distance) for one in wrong] == [
        ("a-12.jpg", "c-0.jpg", 0.5),
        ("a-10.jpg", "b-1.jpg", 1.0),  # a-11 is the same pair and no nearer
    ]
    assert wrong[0].right is not None
    assert wrong[0].right.photo.individual == "a"
    assert wrong[0].right_distance == 29.5
    false = false_names(comparison, "centroid", 2, 10)
    assert [(one.query.photo.path.name, one.taken_for.photo.individual, one.distance) for one in false] == [
        ("y-20.jpg", "a", 1.0),
        ("x-21.jpg", "c", 3.0),
    ]
    assert len(wrong_names(comparison, "centroid", 2, 1)) == 1

"""`python -m training.evaluate` and `python -m training.enroll` on rendered whales and random models."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.catalogue.csv_rows import parse_csv
from pipeline.model_files import MODELS_FILE, ModelFolder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, decode_photo, detector_input
from pipeline.records import Detections, Embedding, Failure
from training import enroll, evaluate
from training.evaluation.extraction import Boxes, PhotoEmbedder
from training.photos.folders import read_folder
from training.photos.records import LabelledPhoto
from training.random_models import make_random_models
from training.synthetic.__main__ import main as render


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 individuals with 8 photos of the fluke each, in 4 encounters."""
    folder = tmp_path_factory.mktemp("whales")
    sizes = ["--individuals", "1", "--holdout", "8", "--photos", "8", "--encounters", "4", "--size", "240x160"]
    render(["dataset", str(folder), "--parts", "fluke", *sizes])
    return folder / "holdout" / "fluke"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """One body part, so that every box is of it."""
    return make_random_models(tmp_path_factory.mktemp("models") / "one", seed=3, body_parts=["fluke"])


@pytest.fixture(scope="module")
def two_parts(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A detector that takes some of the flukes for flanks."""
    return make_random_models(tmp_path_factory.mktemp("models") / "two", seed=3, body_parts=["fluke", "flank"])


@pytest.fixture
def photos(data: Path) -> tuple[LabelledPhoto, ...]:
    return read_folder(data).photos


@pytest.fixture
def empty_catalogue(models: ModelFolder) -> Iterator[Path]:
    """The place of the catalogue, empty before and as it was after."""
    file = models.path / models.part("fluke").catalogue
    before = file.read_bytes()
    file.unlink()
    yield file
    file.write_bytes(before)


def evaluated(models: ModelFolder, data: Path, folder: Path, *more: str) -> tuple[str, dict[str, Any]]:
    """Run the command; return the report's text and the numbers."""
    report, numbers = folder / "report.html", folder / "numbers.json"
    options = ["--models", str(models.path), "--data", str(data), "--resamples", "40"]
    status = evaluate.main([*options, "--report", str(report), "--json", str(numbers), *more])
    assert status == 0
    loaded: dict[str, Any] = json.loads(numbers.read_text())
    return report.read_text(), loaded


# --- embedding ---


def test_photos_are_embedded_as_the_stages_of_the_service_do_it(
    models: ModelFolder, photos: tuple[LabelledPhoto, ...]
) -> None:
    one = photos[0]
    photo = decode_photo(one.path.read_bytes(), one.path.name)
    (found,) = SegmentationNetwork(models).detect([detector_input(photo)])
    assert isinstance(found, Detections)
    box_px = box_in_photo(found.items[0].box, photo.size_px)
    part = models.part("fluke")
    (expected,) = EmbeddingNetwork(models, "fluke").embed([crop(photo, box_px, part.margin, part.input_size_px)])
    assert isinstance(expected, Embedding)
    (done,) = PhotoEmbedder(models, "fluke").embed([one])
    assert done.box_px == box_px
    assert done.values is not None
    assert np.array_equal(done.values, expected.values)


def test_true_boxes_are_cut_out_instead(models: ModelFolder, photos: tuple[LabelledPhoto, ...]) -> None:
    one = photos[0]
    assert one.box_px is not None
    part = models.part("fluke")
    photo = decode_photo(one.path.read_bytes(), one.path.name)
    (expected,) = EmbeddingNetwork(models, "fluke").embed([crop(photo, one.box_px, part.margin, part.input_size_px)])
    assert isinstance(expected, Embedding)
    (done,) = PhotoEmbedder(models, "fluke", boxes="truth").embed([one])
    assert done.values is not None
    assert np.array_equal(done.values, expected.values)


def test_one_bad_photo_has_its_reason_and_stops_no_other(
    models: ModelFolder, photos: tuple[LabelledPhoto, ...], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo at all")
    bad = LabelledPhoto(tmp_path / "bad.jpg", "Dante", "fluke")
    for boxes in ("detected", "truth", "photo"):
        first, second = PhotoEmbedder(models, "fluke", boxes=boxes).embed([bad, photos[0]])
        assert first.failure is not None
        assert first.failure.code == "unsupported"
        assert first.values is None
        assert second.failure is None


@pytest.mark.parametrize("boxes", ["detected", "truth", "photo"])
def test_a_networks_failure_keeps_its_code(
    models: ModelFolder, photos: tuple[LabelledPhoto, ...], monkeypatch: pytest.MonkeyPatch, boxes: Boxes
) -> None:
    monkeypatch.setattr(EmbeddingNetwork, "embed", lambda self, crops: [Failure("unavailable", "busy") for _ in crops])
    (done,) = PhotoEmbedder(models, "fluke", boxes=boxes).embed(photos[:1])
    assert done.failure is not None
    assert done.failure.code == "unavailable"
    assert done.values is None


def test_another_body_part_is_a_failure(two_parts: ModelFolder, photos: tuple[LabelledPhoto, ...]) -> None:
    done = [PhotoEmbedder(two_parts, part).embed(photos[:6]) for part in ("fluke", "flank")]
    for fluke, flank in zip(*done, strict=True):
        assert (fluke.failure is None) != (flank.failure is None)
        failure = fluke.failure or flank.failure
        assert failure is not None
        assert failure.code == "unknown_body_part"


# --- evaluate ---


def test_evaluation_of_rendered_whales(models: ModelFolder, data: Path, tmp_path: Path) -> None:
    text, numbers = evaluated(models, data, tmp_path, "--unknown", "3", "--references", "2", "--baseline", "thumbnail")
    honest = numbers["protocols"]["encounters"]
    assert honest["counts"]["known individuals"] == 5
    assert honest["counts"]["reference photos"] == 10
    assert honest["counts"]["queries"] == 5 * 4
    assert honest["counts"]["unknown queries"] == 3 * 8
    assert honest["encounters"] == "disjoint"
    for method in ("embedder", "thumbnail"):
        for matching in ("centroid", "nearest"):
            assert set(honest["methods"][method][matching]) == {"1", "2"}
            scores = honest["methods"][method][matching]["2"]
            for name in ("top1", "top5", "mean_average_precision"):
                assert 0.0 <= scores[name]["low"] <= scores[name]["value"] <= scores[name]["high"] <= 1.0
            assert scores["top5"]["value"] == 1.0  # of five individuals
            assert 0.0 <= scores["open_set"]["auroc"]["value"] <= 1.0
    assert f"{honest['methods']['embedder']['centroid']['2']['top1']['value']:.3f}" in text


def test_report_is_one_file_with_curves_and_mistakes(models: ModelFolder, data: Path, tmp_path: Path) -> None:
    text, numbers = evaluated(models, data, tmp_path, "--unknown", "3", "--references", "1")
    assert text.count("data:image/svg+xml;base64,") == 4
    assert text.count("data:image/jpeg;base64,") >= 6
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "5 known individuals" in text
    assert "not known which individuals the embedder was trained on" in text
    assert numbers["hashes"]["embedder"] in text
    assert "python -m training.evaluate" in text


def test_the_originals_protocol_stands_beside_the_honest_one(models: ModelFolder, data: Path, tmp_path: Path) -> None:
    text, numbers = evaluated(models, data, tmp_path, "--protocol", "seed", "--unknown", "2")
    honest, seed = numbers["protocols"]["encounters"], numbers["protocols"]["seed"]
    assert numbers["references"] == 5
    assert seed["encounters"] == "ignored"
    assert seed["counts"]["reference photos"] == 6 * 5
    assert seed["counts"]["queries"] == 6 * 3
    difference = (
        seed["methods"]["embedder"]["centroid"]["5"]["top1"]["value"]
        - max(honest["methods"]["embedder"]["centroid"].items(), key=lambda item: int(item[0]))[1]["top1"]["value"]
    )
    assert "optimistic" in text
    assert f"<td>top-1</td><td>{difference:+.3f}</td>" in text


def test_same_seed_same_numbers(models: ModelFolder, data: Path, tmp_path: Path) -> None:
    one, other = (evaluated(models, data, tmp_path, "--limit", "5", "--seed", "4")[1] for _ in range(2))
    assert one == other
    assert one["protocols"]["encounters"]["counts"]["known individuals"] == 3  # two of five are unknown


def test_photos_without_an_answer_are_counted_and_wrong(two_parts: ModelFolder, data: Path, tmp_path: Path) -> None:
    _, numbers = evaluated(two_parts, data, tmp_path, "--unknown", "2", "--references", "1")
    honest = numbers["protocols"]["encounters"]
    failed = sum(honest["failures"]["queries"].values())
    assert failed > 0
    top1 = honest["methods"]["embedder"]["nearest"]["1"]["top1"]
    assert top1["per_photo"] <= 1.0 - failed / honest["counts"]["queries"] + 1e-9


def test_bad_data_is_listed_whole_and_stops_the_evaluation(
    models: ModelFolder, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Dante", "Virgil"):
        (tmp_path / "fluke" / name).mkdir(parents=True)
        (tmp_path / "fluke" / name / "bad.jpg").write_bytes(b"\xff\xd8 no photo")
    report = tmp_path / "report.html"
    options = ["--models", str(models.path), "--data", str(tmp_path / "fluke"), "--report", str(report)]
    assert evaluate.main(options) == 1
    error = capsys.readouterr().err
    assert "unreadable photos: 2" in error
    assert "Dante" in error
    assert "Virgil" in error
    assert not report.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--part", "fin"], "fin"), (["--data", "nowhere"], "nowhere"), (["--models", "nowhere"], "nowhere")],
)
def test_what_is_not_there_is_said(
    models: ModelFolder, data: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert evaluate.main(["--models", str(models.path), "--data", str(data), *more]) == 1
    assert message in capsys.readouterr().err


def test_metadata_that_mixes_splits_needs_one_named(
    models: ModelFolder, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = data.parents[1] / "metadata.csv"
    assert evaluate.main(["--models", str(models.path), "--data", str(metadata)]) == 1
    assert "--split" in capsys.readouterr().err
    _, numbers = evaluated(models, metadata, tmp_path, "--split", "holdout", "--references", "1")
    assert numbers["protocols"]["encounters"]["counts"]["known individuals"] == 6


def test_evaluating_what_was_trained_on_is_warned_of(models: ModelFolder, data: Path, tmp_path: Path) -> None:
    weights = models.embedder_file("fluke")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = weights.with_suffix(".json")
    card.write_text(json.dumps({"sha256": digest, "training individuals": ["H00000", "H00001", "T00000"]}))
    try:
        text, numbers = evaluated(models, data, tmp_path, "--unknown", "2", "--references", "1")
    finally:
        card.unlink()
    assert numbers["seen"]["embedder"]["among_these"] == ["H00000", "H00001"]
    assert "WARNING: 2 of the 8" in text


def test_a_folder_with_one_embedder_so_far_can_be_evaluated(two_parts: ModelFolder, data: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for file in (two_parts.segmenter_file, two_parts.embedder_file("fluke")):
        (unfinished / file.name).write_bytes(file.read_bytes())
    document = yaml.safe_load((two_parts.path / MODELS_FILE).read_text())
    document["segmenter"]["labels"] = ["fluke", "flank"]
    document["body_parts"] = document["body_parts"][:1]
    (unfinished / MODELS_FILE).write_text(yaml.safe_dump(document))
    status = evaluate.main(
        ["--models", str(unfinished), "--data", str(data), "--resamples", "5", "--report", str(tmp_path / "r.html")]
    )
    assert status == 0


# --- enroll ---


def test_enrolment_writes_a_catalogue_that_the_service_reads(
    models: ModelFolder, data: Path, photos: tuple[LabelledPhoto, ...], empty_catalogue: Path
) -> None:
    root = data.parents[1]
    options = ["--models", str(models.path), "--data", str(data), "--individuals", "3", "--root", str(root)]
    assert enroll.main(options) == 0
    rows = parse_csv(empty_catalogue.read_bytes(), empty_catalogue.name, models.part("fluke").dimension)
    chosen = [photo for photo in photos if photo.individual in {"H00000", "H00001", "H00002"}]
    assert [row.individual for row in rows] == [photo.individual for photo in chosen]
    assert [row.path for row in rows] == [photo.path.relative_to(root).as_posix() for photo in chosen]
    expected = PhotoEmbedder(models, "fluke").embed(chosen[:2])
    for row, done in zip(rows, expected, strict=False):
        assert done.values is not None
        assert np.array_equal(row.values.astype(np.float32), done.values)


def test_photos_that_fail_are_listed_and_the_status_says_so(
    models: ModelFolder, data: Path, tmp_path: Path, empty_catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "Cafe\u0301"  # decomposed, as some disks write it
    (tmp_path / "fluke" / name).mkdir(parents=True)
    (tmp_path / "fluke" / name / "bad.jpg").write_bytes(b"no photo")
    good = next(iter(sorted(data.rglob("*.jpg"))))
    (tmp_path / "fluke" / name / "good.jpg").write_bytes(good.read_bytes())
    assert enroll.main(["--models", str(models.path), "--data", str(tmp_path / "fluke")]) == enroll.SOME_FAILED
    (row,) = parse_csv(empty_catalogue.read_bytes(), "catalogue", models.part("fluke").dimension)
    assert row.individual == "Caf\u00e9"
    assert row.path == f"{tmp_path.as_posix()}/fluke/{name}/good.jpg"
    shown = capsys.readouterr().err
    assert "bad.jpg: unsupported" in shown
    assert not list(models.path.glob("*.partial"))


def test_a_catalogue_is_only_replaced_on_demand(models: ModelFolder, data: Path, empty_catalogue: Path) -> None:
    empty_catalogue.write_text("what was there\n")
    options = ["--models", str(models.path), "--data", str(data), "--individuals", "1"]
    assert enroll.main(options) == 1
    assert empty_catalogue.read_text() == "what was there\n"
    assert enroll.main([*options, "--replace"]) == 0
    assert empty_catalogue.read_text().startswith("H00000,")


def test_nothing_is_written_where_nothing_could_be_enrolled(
    models: ModelFolder, data: Path, tmp_path: Path, empty_catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fluke" / "Dante").mkdir(parents=True)
    (tmp_path / "fluke" / "Dante" / "bad.jpg").write_bytes(b"no photo")
    assert enroll.main(["--models", str(models.path), "--data", str(tmp_path / "fluke")]) == 1
    assert "bad.jpg" in capsys.readouterr().err
    other = ["--models", str(models.path), "--data", str(data), "--root", str(tmp_path)]
    assert enroll.main(other) == 1
    assert "--root" in capsys.readouterr().err
    assert not empty_catalogue.exists()

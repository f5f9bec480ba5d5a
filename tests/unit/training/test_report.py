"""The report that people read, of a small evaluation whose embeddings are known."""

import io
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.records import BoundingBox, Failure
from training.evaluation import wording
from training.evaluation.charts import all_charts
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles
from training.evaluation.report import crop_jpeg, write_report
from training.evaluation.results import ProtocolResult, evaluate_protocols
from training.evaluation.summary import Subject
from training.photos.records import LabelledPhoto

BOX_PX = BoundingBox(20.0, 20.0, 100.0, 40.0)
SPOTS = {"a0": 0.0, "a1": 0.2, "a2": 0.1, "b0": 1.0, "b1": 1.2, "b2": 0.3, "<i>c</i>0": 2.0, "<i>c</i>1": 2.1}
"""Where each known photo's embedding lies; b2 lies nearer to a."""

UNKNOWN_SPOTS = {"x0": 0.5, "y0": 3.0, "y1": None}
NEEDS_NO_END = {"meta", "img", "br"}


class Placed:
    """Embeds photos at their places."""

    def embed(self, photos: Sequence[LabelledPhoto]) -> list[EmbeddedPhoto]:
        return [self._one(photo, (SPOTS | UNKNOWN_SPOTS)[photo.path.stem.replace("_", "/")]) for photo in photos]

    def _one(self, photo: LabelledPhoto, spot: float | None) -> EmbeddedPhoto:
        if spot is None:
            return EmbeddedPhoto(photo, failure=Failure("no_animal", "only sea"))
        return EmbeddedPhoto(photo, np.array([spot, 0.0], np.float32), BOX_PX, None, np.eye(32, dtype=np.uint8))


class Page(HTMLParser):
    """Collects what a page holds, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.rows: dict[str, int] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
        if tag == "tr":
            self.rows[self.headings[-1]] = self.rows.get(self.headings[-1], 0) + 1
        if tag not in NEEDS_NO_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            self.headings.append(data)


def photos(folder: Path, spots: Sequence[str]) -> tuple[LabelledPhoto, ...]:
    made = []
    for name in spots:
        path = folder / f"{name.replace('/', '_')}.jpg"
        if not path.exists():
            Image.new("RGB", (120, 60), "grey").save(path)
        made.append(LabelledPhoto(path, name[:-1], "fluke", encounter=f"{name}-day"))
    return tuple(made)


def evaluated(folder: Path, unknown: Sequence[str] = tuple(UNKNOWN_SPOTS), baseline: bool = True) -> ProtocolResult:
    references = photos(folder, ["a0", "a1", "b0", "b1", "<i>c</i>0"])
    queries = photos(folder, ["a2", "b2", "<i>c</i>1"])
    roles = Roles(references, queries, photos(folder, unknown), (), "disjoint")
    return evaluate_protocols({"encounters": roles}, Placed(), 2, 0, baseline, resamples=20)["encounters"]


def report(folder: Path, results: dict[str, ProtocolResult]) -> str:
    subject = Subject("holdout/fluke", "models/x", "fluke", "detected", {"embedder": "ab12"}, {}, 2, 0, "", "command")
    write_report(folder / "report.html", subject, results)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def result(folder: Path) -> ProtocolResult:
    return evaluated(folder)


@pytest.fixture(scope="module")
def text(folder: Path, result: ProtocolResult) -> str:
    return report(folder, {"encounters": result})


def test_page_is_whole_and_needs_nothing_from_elsewhere(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert page.headings[0] == "How well fluke photos are recognised"
    assert "http:" not in text
    assert "https:" not in text
    assert all((image["src"] or "").startswith("data:image/") for image in page.images)


def test_every_picture_says_in_words_what_it_shows(text: str) -> None:
    alternatives = [image["alt"] for image in Page(text).images]
    # four charts; b2 beside a and b; x0 and y0 beside the names that they are nearest to
    assert len(alternatives) == 4 + 3 + 2 * 2
    assert all(alternatives)
    assert alternatives[4:] == [f"fluke of {name}" for name in ("b", "a", "b", "x", "a", "y", "<i>c</i>")]


def test_names_from_the_data_are_text_not_markup(text: str) -> None:
    assert "<i>" not in text
    assert "&lt;i&gt;c&lt;/i&gt;" in text


def test_first_table_holds_the_most_references_and_the_last_one_the_fewer(text: str) -> None:
    rows = Page(text).rows
    assert rows["Scores"] == 1 + 2 * 2  # two ways of matching of model and thumbnails
    assert rows["Scores with fewer reference photos"] == 1 + 2 * 2


def test_mistakes_say_what_the_threshold_makes_of_them(result: ProtocolResult, text: str) -> None:
    open_set = result.main().open_set
    assert open_set is not None
    # means: a 0.1, b 1.1, c 2; each half holds one unknown: x at 0.4 from a (0.6 from b), y at 1 from c
    assert open_set.threshold == pytest.approx((0.4 + 1.0) / 2)
    assert text.count("Nearer than the threshold") == 2  # b2 at 0.2 from a, x
    assert text.count("Beyond the threshold") == 1  # y


def test_reasons_of_failures_are_words(text: str) -> None:
    assert "no animal found: 1" in text
    assert wording.failures({"unreadable": 2, "of_tomorrow": 1}) == "damaged file: 2, of_tomorrow: 1"
    assert wording.failures({}) == "none"


def test_without_unknown_animals_nothing_is_said_of_them(tmp_path: Path) -> None:
    page = report(tmp_path, {"encounters": evaluated(tmp_path, (), baseline=False)})
    assert "There were not enough unknown individuals" in page
    assert {"New or known?", "Unknown animals that look most like known ones"}.isdisjoint(Page(page).headings)
    assert "not to be had" in page
    assert "without any model" not in page


def test_charts_tell_their_main_numbers(result: ProtocolResult) -> None:
    cmc, references, distances, rejection = (chart.alternative for chart in all_charts(result))
    assert "first for 67\u00a0% of the photos, among the first five for 100\u00a0%" in cmc
    assert "1: 67\u00a0%, 2: 67\u00a0%" in references
    assert "known, wrong name first: 0.20" in distances
    assert "unknown animal: 0.70" in distances  # of 0.4 and 1
    assert "photos of unknown animals are given a name" in rejection


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0"), (0.004, "under 1"), (0.006, "1"), (0.934, "93"), (0.994, "99"), (0.996, "over 99"), (1.0, "100")],
)
def test_only_all_is_100_percent_and_only_none_is_0(share: float, shown: str) -> None:
    assert wording.percent(share) == f"{shown}\u00a0%"


def test_percent_of_nothing_is_not_to_be_had() -> None:
    assert wording.percent(float("nan")) == "not to be had"


def test_picture_shows_the_box_in_its_true_proportions(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), "grey").save(tmp_path / "a0.jpg")
    photo = LabelledPhoto(tmp_path / "a0.jpg", "a", "fluke")
    embedded = EmbeddedPhoto(photo, np.zeros(2, np.float32), BoundingBox(1000.0, 500.0, 2000.0, 750.0))
    with Image.open(io.BytesIO(crop_jpeg(embedded))) as shown:
        width, height = shown.size
    assert width == 400  # and not the photo's 1000 pixels and more
    assert width / height == pytest.approx(4.0, rel=0.03)

"""Photos squashed once for the detector, with their boxes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.photos.images import box_in_photo, decode_photo, detector_input
from pipeline.records import BoundingBox
from training.photos.records import BoxedPhoto, LabelledBox
from training.segmenter.squashed import SquashedPhotos, data_digest, squash_box, squash_photos

LABELS = ("fluke", "flank")


def photo_file(path: Path, size: tuple[int, int] = (40, 20), turn: int = 1, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[ExifTags.Base.Orientation] = turn
    image.save(path, exif=image.getexif())
    return path


def boxed(path: Path, *boxes: tuple[float, float, float, float], part: str = "fluke") -> BoxedPhoto:
    return BoxedPhoto(path, tuple(LabelledBox(BoundingBox(*box), part) for box in boxes))


def test_box_is_scaled_in_each_direction_on_its_own() -> None:
    # A photo of 640 x 320 becomes 224 x 224: x by 0.35, y by 0.7.
    squashed = squash_box(BoundingBox(100.0, 10.0, 200.0, 110.0), (640, 320), 224)
    assert squashed == pytest.approx((35.0, 7.0, 70.0, 77.0))


def test_box_is_cut_off_at_the_photos_edges() -> None:
    assert squash_box(BoundingBox(-1.0, 5.0, 41.0, 20.5), (40, 20), 224) == (0.0, 56.0, 224.0, 224.0)


@given(
    st.tuples(st.integers(1, 6000), st.integers(1, 6000)),
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.5, 1), st.floats(0.5, 1)),
)
def test_squashing_is_undone_by_the_services_own_scaling(
    size: tuple[int, int], shares: tuple[float, float, float, float]
) -> None:
    box = BoundingBox(shares[0] * size[0], shares[1] * size[1], shares[2] * size[0], shares[3] * size[1])
    back = box_in_photo(BoundingBox(*squash_box(box, size, 224)), size, 224)
    assert back.xyxy() == pytest.approx(box.xyxy(), abs=1e-6)


def test_pictures_are_what_the_service_gives_its_detector(tmp_path: Path) -> None:
    path = photo_file(tmp_path / "a.png")
    squash_photos([boxed(path)], LABELS, 64, tmp_path / "cache", progress=False)
    served = detector_input(decode_photo(path.read_bytes(), "a.png"), 64)
    assert np.array_equal(SquashedPhotos(tmp_path / "cache").picture(0), served)


def test_animals_of_every_photo_are_its_own(tmp_path: Path) -> None:
    paths = [photo_file(tmp_path / f"{number}.png", seed=number) for number in range(4)]
    photos = [
        boxed(paths[0], (0, 0, 20, 10)),
        boxed(paths[1]),
        boxed(paths[2], (10, 5, 30, 15), (20, 0, 40, 20), part="flank"),
        boxed(paths[3]),
    ]
    squash_photos(photos, LABELS, 80, tmp_path / "cache", progress=False)
    cache = SquashedPhotos(tmp_path / "cache")
    assert len(cache) == 4
    assert cache.animals(0).boxes_px.tolist() == [[0, 0, 40, 40]]  # x twice, y four times as long
    assert cache.animals(0).classes.tolist() == [1]
    assert cache.animals(1).boxes_px.shape == (0, 4)
    assert cache.animals(2).boxes_px.tolist() == [[20, 20, 60, 60], [40, 0, 80, 80]]
    assert cache.animals(2).classes.tolist() == [2, 2]
    assert cache.animals(3).classes.tolist() == []


def test_a_turned_camera_is_turned_back_first(tmp_path: Path) -> None:
    # Stored 40 x 20 and tagged "rotate by 90 degrees", the photo is 20 wide and 40 high.
    path = photo_file(tmp_path / "a.png", turn=6)
    squash_photos([boxed(path, (0, 0, 10, 10))], LABELS, 80, tmp_path / "cache", progress=False)
    assert SquashedPhotos(tmp_path / "cache").animals(0).boxes_px.tolist() == [[0, 0, 40, 20]]


def test_a_killed_attempt_is_begun_anew_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    path = photo_file(tmp_path / "a.png")
    (tmp_path / "cache.partial").mkdir()
    (tmp_path / "cache.partial" / "pictures.npy").write_bytes(b"half")
    squash_photos([boxed(path)], LABELS, 64, tmp_path / "cache", progress=False)
    assert len(SquashedPhotos(tmp_path / "cache")) == 1
    path.unlink()
    squash_photos([boxed(path)], LABELS, 64, tmp_path / "cache", progress=False)  # does not open it again


def test_a_picture_can_be_changed_without_changing_the_cache(tmp_path: Path) -> None:
    squash_photos([boxed(photo_file(tmp_path / "a.png"))], LABELS, 64, tmp_path / "cache", progress=False)
    cache = SquashedPhotos(tmp_path / "cache")
    before = cache.picture(0)
    cache.picture(0)[:] = 0
    assert np.array_equal(cache.picture(0), before)


def test_digest_changes_with_whatever_would_be_written() -> None:
    path = Path("a.png")
    photo, digests = boxed(path, (0, 0, 10, 10)), {path: "d1"}
    digest = data_digest([photo], digests, LABELS, 224)
    others = [
        data_digest([boxed(path, (0, 0, 10, 11))], digests, LABELS, 224),
        data_digest([boxed(path, (0, 0, 10, 10), part="flank")], digests, LABELS, 224),
        data_digest([photo], {path: "d2"}, LABELS, 224),
        data_digest([photo], digests, ("flank", "fluke"), 224),
        data_digest([photo], digests, LABELS, 320),
        data_digest([photo, photo], digests, LABELS, 224),
    ]
    assert digest == data_digest([photo], digests, LABELS, 224)
    assert len({digest, *others}) == 7

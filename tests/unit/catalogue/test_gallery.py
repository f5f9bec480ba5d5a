import numpy as np
import pytest
import torch

from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.rows import CatalogueRow, Changes
from pipeline.records import PhotoKey


def row(
    row_id: int, individual: str, values: tuple[float, ...], model: str = "m1", part: str = "fluke"
) -> CatalogueRow:
    return CatalogueRow(row_id, PhotoKey(f"path:{row_id}"), part, individual, np.array(values), model)


def filled(*rows: CatalogueRow) -> Gallery:
    gallery = Gallery("fluke", "m1", dimension=2)
    gallery.update(Changes(1, rows, ()))
    return gallery


def means(gallery: Gallery) -> dict[str, list[float]]:
    return dict(zip(gallery.names, gallery.means.tolist(), strict=True))


def test_an_empty_gallery_has_no_means() -> None:
    gallery = filled()
    assert (gallery.names, gallery.means.shape, len(gallery)) == ((), (0, 2), 0)


def test_the_mean_is_not_normalised_again() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (0, 1)), row(3, "B", (0, 1)))
    assert means(gallery) == {"A": [0.5, 0.5], "B": [0.0, 1.0]}
    assert gallery.means.dtype == torch.float64


def test_rows_of_other_models_and_body_parts_are_left_out() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (9, 9), model="m2"), row(3, "A", (9, 9), part="flank"))
    assert means(gallery) == {"A": [1.0, 0.0]}
    assert len(gallery) == 1


def test_individuals_stand_in_the_order_of_their_first_row() -> None:
    assert filled(row(1, "Z", (1, 0)), row(2, "A", (1, 0)), row(3, "Z", (0, 1))).names == ("Z", "A")


def test_a_superseded_row_counts_no_longer() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "B", (1, 1)), row(3, "A", (0, 1)))
    gallery.update(Changes(2, (row(4, "C", (5, 5)),), (1,)))
    assert gallery.names == ("B", "A", "C")
    assert means(gallery) == {"A": [0.0, 1.0], "B": [1.0, 1.0], "C": [5.0, 5.0]}


def test_an_individual_without_rows_is_gone() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "B", (1, 1)))
    gallery.update(Changes(2, (), (1,)))
    assert means(gallery) == {"B": [1.0, 1.0]}


def test_changes_that_concern_others_leave_the_means_untouched() -> None:
    gallery = filled(row(1, "A", (1, 0)))
    before = gallery.means
    gallery.update(Changes(2, (row(2, "A", (0, 1), part="flank"),), (77,)))
    assert gallery.means is before


@pytest.mark.parametrize(
    ("row_id", "expected"),
    [(1, (0, [0.0, 1.0])), (2, (0, [1.0, 0.0])), (3, (1, None)), (9, None)],
    ids=["first", "second", "only", "absent"],
)
def test_leaving_out_one_photo(row_id: int, expected: tuple[int, list[float] | None] | None) -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (0, 1)), row(3, "B", (1, 1)))
    found = gallery.without_photo(PhotoKey(f"path:{row_id}"))
    assert (found and (found[0], None if found[1] is None else found[1].tolist())) == expected
    assert len(gallery) == 3, "it is only left out of the answer"


def test_another_animal_of_the_photo_is_another_row() -> None:
    assert filled(row(1, "A", (1, 0))).without_photo(PhotoKey("path:1", animal=2)) is None

"""Reembed: new weights' embeddings of stored boxes; what cannot be embedded is said first, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from pipeline.admin.command_line import main
from pipeline.catalogue.rows import EMPTY, CatalogueRow, Confirmation
from pipeline.catalogue.schema import embeddings
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Decide, Decision, Undo
from pipeline.catalogue.views import AnnotationFilter, HistoryFilter
from pipeline.model_files import ModelFolder, short_hash
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.photos.images import crop, decode_photo
from pipeline.records import LOCAL_USER, BoundingBox, Embedding, PhotoKey
from tests.photos_made import camera_photo, sha256_of
from tests.unit.admin.photos_made import Service

Captured = pytest.CaptureFixture[str]
BOX = BoundingBox(20.0, 30.0, 120.0, 180.0)


def said(key: str, path: str, box: BoundingBox | None = BOX, animal: int = 1) -> Confirmation:
    """Return a word about a photo, with an embedding by the weights of before."""
    return Confirmation(PhotoKey(key, animal), "fluke", "DANTE", np.full(2, 0.5), "m1", path, box)


@pytest.fixture
def catalogue(service: Service, narrow_folder: ModelFolder) -> Iterator[SqlCatalogue]:
    service.models_dir = str(narrow_folder.path)
    opened = open_catalogue(service.url)
    yield opened
    opened.close()


def confirm(catalogue: SqlCatalogue, *words: Confirmation) -> None:
    assert not catalogue.confirm(list(words), LOCAL_USER).refused


def rows_of(catalogue: SqlCatalogue, model: str) -> dict[PhotoKey, CatalogueRow]:
    return {row.key: row for row in catalogue.changes_since(EMPTY).added if row.model == model}


def test_what_can_be_embedded_is_and_the_rest_is_said_first_and_stays(
    service: Service, catalogue: SqlCatalogue, narrow_folder: ModelFolder, tmp_path: Path, capsys: Captured
) -> None:
    kept, on_disk = camera_photo(seed=1), camera_photo(seed=2)
    sha256 = service.keep(kept)
    file = tmp_path / "on disk.jpg"
    file.write_bytes(on_disk)
    second = BoundingBox(60.0, 90.0, 190.0, 280.0)
    confirm(
        catalogue,
        said(f"sha256:{sha256}", "/kept.jpg"),
        said(f"sha256:{sha256}", "/kept.jpg", second, animal=2),
        said(f"sha256:{sha256_of(on_disk)}", str(file)),
        said(f"sha256:{sha256_of(b'gone')}", "/gone.jpg"),
        said("path:/no box.jpg", "/no box.jpg", None),
    )
    before = rows_of(catalogue, "m1")
    assert service.run("reembed") == 3
    told = capsys.readouterr().out
    assert "of /gone.jpg: its photo was not kept" in told
    assert "of /no box.jpg: nobody has said where" in told
    assert "0 of 5 annotations are embedded" in told
    assert "3 can be embedded" in told
    assert catalogue.head().version == 1
    assert service.run("reembed", "--apply") == 3
    told = capsys.readouterr().out
    assert told.index("its photo was not kept") < told.index("3 of 5")
    model = short_hash(narrow_folder.embedder_file("fluke"))
    made = rows_of(catalogue, model)
    assert rows_of(catalogue, "m1").keys() == before.keys(), "the older embeddings stay"
    network = EmbeddingNetwork(narrow_folder, "fluke")
    for key, content, box in (
        (PhotoKey(f"sha256:{sha256}", 1), kept, BOX),
        (PhotoKey(f"sha256:{sha256}", 2), kept, second),
        (PhotoKey(f"sha256:{sha256_of(on_disk)}", 1), on_disk, BOX),
    ):
        spec = narrow_folder.part("fluke")
        pixels = crop(decode_photo(content, "photo"), box, spec.margin, spec.input_size_px)
        (expected,) = network.embed([pixels])
        assert isinstance(expected, Embedding)
        np.testing.assert_allclose(made.pop(key).values, expected.values, atol=1e-6)
    assert not made
    assert catalogue.differences_from_log() == []
    assert service.run("check") == 0


def test_going_on_embeds_only_what_is_left(service: Service, catalogue: SqlCatalogue, capsys: Captured) -> None:
    first, second = service.keep(camera_photo(seed=1)), service.keep(camera_photo(seed=2))
    confirm(catalogue, said(f"sha256:{first}", "/1.jpg"))
    assert service.run("reembed", "--apply") == 0
    confirm(catalogue, said(f"sha256:{second}", "/2.jpg"))
    assert service.run("reembed", "--apply") == 0
    assert "2 of 2 annotations are embedded" in capsys.readouterr().out
    version = catalogue.head().version
    assert service.run("reembed", "--apply") == 0
    assert catalogue.head().version == version
    with catalogue.database.reading() as connection:
        assert len(connection.execute(select(embeddings.c.row)).all()) == 4
    kinds = [(event.kind, event.actor.kind) for event in catalogue.history(HistoryFilter()).entries]
    assert kinds == [("reembed", "program"), ("confirm", "person")] * 2


def test_another_photo_in_the_place_of_one_is_not_embedded_for_it(
    service: Service, catalogue: SqlCatalogue, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(camera_photo(seed=2))
    confirm(catalogue, said(f"sha256:{sha256_of(camera_photo(seed=1))}", str(file)))
    assert service.run("reembed", "--apply") == 3
    assert "is another photo now" in capsys.readouterr().out
    assert catalogue.head().version == 1


def test_what_lies_at_a_path_alone_is_not_embedded(
    service: Service, catalogue: SqlCatalogue, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "IMG_0001.JPG"
    file.write_bytes(camera_photo(seed=2))  # of another season, for all that anybody knows
    confirm(catalogue, said(f"path:{file}", str(file)))
    assert service.run("reembed", "--apply") == 3
    assert f"of {file}: nobody has said its photo's hash" in capsys.readouterr().out
    assert catalogue.head().version == 1


def test_a_photo_that_cannot_be_decoded_sinks_no_other(
    service: Service, catalogue: SqlCatalogue, capsys: Captured
) -> None:
    broken, whole = service.keep(b"no photo"), service.keep(camera_photo(seed=1))
    confirm(catalogue, said(f"sha256:{broken}", "/broken.jpg"), said(f"sha256:{whole}", "/whole.jpg"))
    assert service.run("reembed", "--apply") == 3
    told = capsys.readouterr().out
    assert "of /broken.jpg" in told
    assert "1 of 2 annotations are embedded" in told


def test_people_s_words_are_undone_and_decided_on_as_if_nothing_had_been_embedded(
    service: Service, catalogue: SqlCatalogue
) -> None:
    photo = service.keep(camera_photo(seed=1))
    confirm(catalogue, said(f"sha256:{photo}", "/a.jpg"))
    seen = catalogue.head()
    assert service.run("reembed", "--apply") == 0
    (annotation,) = [each.id for each in catalogue.annotations(AnnotationFilter()).entries]
    decided = catalogue.change(Decide((Decision(annotation, "new", name="VERGIL"),)), LOCAL_USER, known=seen)
    assert {row.individual for row in catalogue.changes_since(EMPTY).added} == {"VERGIL"}
    catalogue.change(Undo(decided.head.version), LOCAL_USER)
    catalogue.change(Undo(1), LOCAL_USER)
    assert catalogue.changes_since(EMPTY).added == ()
    assert catalogue.annotations(AnnotationFilter()).entries == ()
    assert catalogue.differences_from_log() == []
    catalogue.change(Undo(catalogue.head().version), LOCAL_USER)
    assert len(catalogue.changes_since(EMPTY).added) == 2, "both models' embeddings are back"
    assert service.run("check") == 0


def test_it_needs_the_config_file(service: Service, capsys: Captured) -> None:
    assert main(["--catalogue-url", service.url, "reembed"]) == 1
    assert "--config" in capsys.readouterr().err

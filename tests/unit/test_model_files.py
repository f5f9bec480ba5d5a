"""models.yaml: the original's defaults, what may be said, and how wrong folders are refused."""

import hashlib
import pickle
from dataclasses import FrozenInstanceError

import pytest
import yaml

from pipeline.errors import ModelFilesError
from pipeline.model_files import load_model_folder, short_hash

SEED_FILES = ("segmentation.pth", "pm_fluke.pth", "pm_flank.pth")
DOLPHIN = {
    "species": "Tursiops truncatus",
    "segmenter": {"architecture": "fasterrcnn_narrow_resnet_fpn"},
    "body_parts": [{"name": "fin", "architecture": "narrow_resnet", "dimension": 64}],
}


@pytest.fixture
def seed_folder(tmp_path):
    for name in SEED_FILES:
        (tmp_path / name).write_bytes(b"weights")
    return tmp_path


def with_models_yaml(folder, document):
    (folder / "models.yaml").write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return folder


def test_without_models_yaml_the_folder_is_the_originals(seed_folder):
    folder = load_model_folder(seed_folder)
    assert folder.body_part_names == ("fluke", "flank")
    assert folder.segmenter.labels == ("fluke", "flank")  # class 1 is fluke, class 2 flank
    assert folder.segmenter.architecture == "fasterrcnn_resnet50_fpn"
    assert [part.architecture for part in folder.body_parts] == ["resnet101", "resnet101"]
    assert [part.dimension for part in folder.body_parts] == [128, 128]
    assert [path.name for path in folder.weight_files()] == list(SEED_FILES)
    assert folder.part("fluke").mean == (0.485, 0.456, 0.406)
    assert folder.part("flank").margin == 0.01


@pytest.mark.parametrize("content", ["", "# nothing yet\n"])
def test_an_empty_models_yaml_says_nothing(seed_folder, content):
    assert load_model_folder(with_models_yaml(seed_folder, content)).body_part_names == ("fluke", "flank")


def test_a_dolphin_folder_has_one_part(tmp_path):
    for name in ("segmentation.pth", "pm_fin.pth"):
        (tmp_path / name).write_bytes(b"weights")
    folder = load_model_folder(with_models_yaml(tmp_path, DOLPHIN))
    assert folder.body_part_names == ("fin",)
    assert folder.segmenter.labels == ("fin",)
    assert folder.part("fin").catalogue == "pm_identification_fin_ind.csv"
    assert folder.part("fin").dimension == 64


def test_the_catalogue_file_is_none_where_the_folder_has_none(seed_folder):
    (seed_folder / "pm_identification_fluke_ind.csv").write_text("")
    folder = load_model_folder(seed_folder)
    assert folder.catalogue_file("fluke") == seed_folder / "pm_identification_fluke_ind.csv"
    assert folder.catalogue_file("flank") is None


def test_two_classes_may_be_one_body_part(seed_folder):
    document = {"segmenter": {"labels": ["flank", "fluke", "flank"]}}
    assert load_model_folder(with_models_yaml(seed_folder, document)).segmenter.labels == ("flank", "fluke", "flank")


def test_the_record_is_immutable_and_travels_between_processes(seed_folder):
    folder = load_model_folder(seed_folder)
    with pytest.raises(FrozenInstanceError):
        folder.species = "another"
    assert pickle.loads(pickle.dumps(folder)) == folder


def test_an_unknown_body_part_is_a_key_error(seed_folder):
    with pytest.raises(KeyError, match="fin"):
        load_model_folder(seed_folder).part("fin")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("species: [", "cannot be read as YAML"),
        ("- a list", "ModelsSpec"),
        ({"specis": "x"}, "specis"),
        ({"segmenter": {"input_size": 224}}, "segmenter.input_size"),
        ({"segmenter": {"input_size_px": 0}}, "segmenter.input_size_px"),
        ({"segmenter": {"score_threshold": 1.5}}, "segmenter.score_threshold"),
        ({"segmenter": {"labels": ["fluke"]}}, "name different parts"),
        ({"segmenter": {"labels": ["fluke", "flank", "fin"]}}, "name different parts"),
        ({"segmenter": {"std": [0.2, 0.0, 0.2]}}, "segmenter.std.1"),
        ({"segmenter": {"mean": [0.5, 0.5]}}, "segmenter.mean"),
        ({"body_parts": []}, "body_parts"),
        ({"body_parts": [{"name": "fluke"}, {"name": "fluke"}]}, "stands twice"),
        ({"body_parts": [{"name": "Left Flank"}]}, "body_parts.0.name"),
        ({"body_parts": [{"architecture": "resnet101"}]}, "body_parts.0.name"),
        ({"body_parts": [{"name": "fluke", "dimension": 0}]}, "body_parts.0.dimension"),
        ({"body_parts": ["fluke"]}, "body_parts.0"),
    ],
)
def test_a_wrong_models_yaml_is_refused_and_says_where(seed_folder, document, said):
    with pytest.raises(ModelFilesError, match=r"models\.yaml") as refused:
        load_model_folder(with_models_yaml(seed_folder, document))
    assert said in str(refused.value)


def test_a_missing_folder_says_how_to_get_one(tmp_path):
    with pytest.raises(ModelFilesError, match=r"python -m training\.random_models"):
        load_model_folder(tmp_path / "nowhere")


def test_missing_weight_files_are_all_named_with_what_is_there(seed_folder):
    (seed_folder / "pm_fluke.pth").unlink()
    (seed_folder / "pm_flank.pth").rename(seed_folder / "pm_flank.pt")
    with pytest.raises(ModelFilesError, match=r"pm_fluke\.pth, pm_flank\.pth; the folder holds pm_flank\.pt, seg"):
        load_model_folder(seed_folder)


def test_a_catalogue_that_models_yaml_names_must_exist(seed_folder):
    document = {"body_parts": [{"name": "fluke", "catalogue": "ours.csv"}, {"name": "flank"}]}
    with pytest.raises(ModelFilesError, match=r"ours\.csv"):
        load_model_folder(with_models_yaml(seed_folder, document))


def test_the_short_hash_is_the_head_of_the_files_sha256(tmp_path):
    content = bytes(range(256)) * 8192  # 2 MiB: more than one chunk
    (tmp_path / "weights").write_bytes(content)
    assert short_hash(tmp_path / "weights") == hashlib.sha256(content).hexdigest()[:12]


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ModelFilesError, match="cannot be read"):
        short_hash(tmp_path)

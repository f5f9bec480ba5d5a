"""A whole models folder of random weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import nn

from pipeline.catalogue.csv_rows import format_csv
from pipeline.errors import ModelFilesError
from pipeline.model_files import MODELS_FILE, ModelFolder, ModelsSpec, load_model_folder
from pipeline.networks.architectures import NARROW_DETECTOR, NARROW_EMBEDDER
from pipeline.photos.images import Photo, crop, detector_input
from training.random_models.calibration import seeded
from training.random_models.detector import random_detector
from training.random_models.embedder import random_catalogue, random_embedder
from training.random_models.pictures import draw_pictures

Architecture = Literal["narrow", "seed"]

PROVENANCE = "random weights: every answer is meaningless"

_PICTURES = 8
_OTHERS = 12
_README = """These models have RANDOM WEIGHTS. They find boxes and rank individuals, and every answer is MEANINGLESS.

They exist so that the service can be started and tested before trained models are there. The individuals RANDOM_01 to
RANDOM_12 do not exist. Put trained models into another folder and name it as `models_dir` in serve_config.yaml.
"""


def make_random_models(
    folder: Path,
    architecture: Architecture = "narrow",
    seed: int = 0,
    photos: Sequence[Photo] = (),
    body_parts: Sequence[str] = ("fluke", "flank"),
    module_prefix: bool = False,
) -> ModelFolder:
    """Make a models folder of random weights, calibrated so that boxes and embeddings come out and differ.

    In every photo that it is calibrated on, the best box leads by 0.002 or more, no crop edge is nearer than 0.02 px to
    a rounding boundary, and distances differ by 5e-4 or more: what comes out does not depend on the machine.

    Args:
        folder: made; must not exist, or be empty.
        architecture: "narrow" for small, fast networks and a models.yaml that says so; "seed" for exactly the
            original's files, which need no models.yaml where the body parts are the original's.
        seed: the same seed makes the same files on the same machine with the same number of torch threads.
        photos: to calibrate on; drawn where there are none.
        body_parts: names in the order of the detector's classes.
        module_prefix: put `module.` before every key, as the original's training did.

    Returns:
        The folder's description.

    Raises:
        ModelFilesError: the folder is in use, or the photos allow no clear answers.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelFilesError(f"{folder}: is there already; random models are only written to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    document = _document(architecture, body_parts)
    with seeded(seed), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        filled = Path(temporary) / folder.name  # an interrupted run leaves no half-filled folder behind
        filled.mkdir()
        _fill(filled, document, photos or draw_pictures(_PICTURES, seed), seed, module_prefix)
        filled.rename(folder)
    return load_model_folder(folder)


def _document(architecture: Architecture, body_parts: Sequence[str]) -> dict[str, Any]:
    """Return the contents of models.yaml; empty where the defaults say it all."""
    if architecture == "narrow":
        parts = [{"name": name, "architecture": NARROW_EMBEDDER} for name in body_parts]
        return {
            "species": "none",
            "provenance": PROVENANCE,
            "segmenter": {"architecture": NARROW_DETECTOR},
            "body_parts": parts,
        }
    original = tuple(part.name for part in ModelsSpec().body_parts)
    return {} if tuple(body_parts) == original else {"body_parts": [{"name": name} for name in body_parts]}


def _fill(path: Path, document: dict[str, Any], photos: Sequence[Photo], seed: int, module_prefix: bool) -> None:
    spec = ModelsSpec.model_validate(document)
    folder = ModelFolder(path, spec.species, spec.provenance, spec.segmenter, spec.body_parts)
    if document:
        (path / MODELS_FILE).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    (path / "README.txt").write_text(_README, encoding="utf-8")
    detector, best = random_detector(folder, photos)
    _save(detector, folder.segmenter_file, module_prefix)
    for part in folder.body_parts:
        others = [detector_input(photo, part.input_size_px) for photo in draw_pictures(_OTHERS, seed + 1)]
        crops = [
            crop(photo, box.box_px, part.margin, part.input_size_px) for photo, box in zip(photos, best, strict=True)
        ]
        network, embeddings = random_embedder(part, crops, others)
        _save(network, folder.embedder_file(part.name), module_prefix)
        rows = random_catalogue(part.name, embeddings, seed)
        (path / part.catalogue).write_bytes(format_csv((row.individual, row.path, row.values) for row in rows))


def _save(network: nn.Module, file: Path, module_prefix: bool) -> None:
    state = network.state_dict()
    torch.save({f"module.{key}": value for key, value in state.items()} if module_prefix else state, file)

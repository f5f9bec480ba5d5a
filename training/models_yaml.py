"""Writes models.yaml as the trainers go: each replaces its own block and leaves the others' as they are."""

import logging
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.model_files import MODELS_FILE, BodyPartSpec, ModelFolder, ModelsSpec, SegmenterSpec
from training.errors import TrainingError
from training.files import write_atomically

logger = logging.getLogger(__name__)


def write_part(folder: Path, spec: BodyPartSpec) -> None:
    """Put one body part's block into models.yaml, in the place of a former one of that name or at the end.

    Args:
        folder: the models folder; models.yaml is made where it is missing.
        spec: of the part that was trained.

    Raises:
        TrainingError: there is a models.yaml that is not one.
    """
    document = _read(folder)
    block = spec.model_dump(mode="json", exclude_defaults=True) | {"name": spec.name, "architecture": spec.architecture}
    parts = document.setdefault("body_parts", [])
    places = [place for place, part in enumerate(parts) if part.get("name") == spec.name]
    if places:
        parts[places[0]] = block
    else:
        parts.append(block)
    _write(folder, document)


def write_segmenter(folder: Path, spec: SegmenterSpec) -> None:
    """Put the detector's block into models.yaml.

    Args:
        folder: the models folder; models.yaml is made where it is missing.
        spec: of the detector that was trained; its labels are written, whatever the order of the body parts.

    Raises:
        TrainingError: there is a models.yaml that is not one.
    """
    document = _read(folder)
    block = spec.model_dump(mode="json", exclude_defaults=True)
    document["segmenter"] = block | {"architecture": spec.architecture, "labels": list(spec.labels)}
    _write(folder, document)


def read_detector_folder(folder: Path) -> ModelFolder:
    """Read what a models folder says of its detector; embedders may still be missing.

    Raises:
        TrainingError: there is no detector in it, or models.yaml is wrong.
    """
    block = _read(folder).get("segmenter", {})
    try:
        spec = SegmenterSpec.model_validate(block)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"] for problem in error.errors())
        raise TrainingError(f"{folder / MODELS_FILE}: segmenter: {reasons}") from error
    labels = spec.labels or tuple(part.name for part in ModelsSpec().body_parts)
    found = ModelFolder(folder, "", "", spec.model_copy(update={"labels": labels}), ())
    if not found.segmenter_file.is_file():
        raise TrainingError(
            f"{folder}: has no detector ({spec.file}); train one with `python -m training.train_segmenter`"
        )
    return found


def read_unfinished_folder(folder: Path) -> ModelFolder:
    """Read a models folder of which not everything is there yet: weights, catalogues, or another part's embedder.

    Weights that are missing are noticed when they are loaded.

    Raises:
        TrainingError: there is no such folder, or models.yaml is wrong.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such models folder")
    document = _read(folder)
    blocks = document.get("body_parts", [])
    try:
        segmenter = SegmenterSpec.model_validate(document.get("segmenter", {}))
        parts = tuple(BodyPartSpec.model_validate(block) for block in blocks) or ModelsSpec().body_parts
    except ValidationError as error:
        reasons = "; ".join(problem["msg"] for problem in error.errors())
        raise TrainingError(f"{folder / MODELS_FILE}: {reasons}") from error
    labels = segmenter.labels or tuple(part.name for part in parts)
    species, provenance = (str(document.get(key, "")) for key in ("species", "provenance"))
    return ModelFolder(folder, species, provenance, segmenter.model_copy(update={"labels": labels}), parts)


def _read(folder: Path) -> dict[str, Any]:
    file = folder / MODELS_FILE
    if not file.exists():
        return {}
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{file}: cannot be read as YAML ({error}); repair or remove it") from error
    parts = document.get("body_parts", []) if isinstance(document, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise TrainingError(f"{file}: is not a models.yaml; repair or remove it")
    assert isinstance(document, dict)
    return document


def _write(folder: Path, document: dict[str, Any]) -> None:
    file = folder / MODELS_FILE
    write_atomically(file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    try:
        ModelsSpec.model_validate(document)
    except ValidationError as error:  # a detector for two body parts, and one embedder so far
        reasons = "; ".join(problem["msg"] for problem in error.errors())
        logger.warning("%s: not complete yet: %s; train what is missing", file, reasons)

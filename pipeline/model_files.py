"""What a models folder holds: `models.yaml`, its defaults (the original system's files) and the weights' hashes.

Importable without torch: the ingress reads body parts and dimensions from here.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from pipeline.errors import ModelFilesError

MODELS_FILE = "models.yaml"
HASH_LENGTH = 12
"""Hex digits of the weights' sha256 that name a model on the wire and in the catalogue."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""RGB statistics of ImageNet in [0, 1]; torchvision's detectors and the original's embedders both use them."""

_HASH_CHUNK_BYTES = 1 << 20

Name = Annotated[str, Field(pattern=re.compile(r"^[a-z][a-z0-9_]{0,31}$"))]
FileName = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
InputSize = Annotated[int, Field(ge=32, le=2048)]
Channel = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _Block(BaseModel):
    """Unknown keys are errors: a misspelt field must not silently fall back to its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    mean: tuple[Channel, Channel, Channel] = IMAGENET_MEAN
    std: tuple[Spread, Spread, Spread] = IMAGENET_STD
    input_size_px: InputSize = 224


class SegmenterSpec(_Block):
    """The detector.

    Attributes:
        architecture: a name of `pipeline.networks.architectures`.
        file: weight file, relative to the models folder.
        labels: body part of each of the detector's classes in order, class 1 first (class 0 is background).
        score_threshold: boxes below it are dropped where all animals of a photo are asked for; the best box is
            answered whatever its score, as in the original.
        suppression_iou: overlap above which two boxes of different classes count as the same animal, where all animals
            are asked for.
        input_size_px: side of the square that a photo is squashed to.
        mean: RGB mean in [0, 1], subtracted by the network's own transform.
        std: RGB standard deviation in [0, 1].
    """

    architecture: str = "fasterrcnn_resnet50_fpn"
    file: FileName = "segmentation.pth"
    labels: tuple[Name, ...] = ()
    score_threshold: Fraction = 0.5
    suppression_iou: Fraction = 0.5


class BodyPartSpec(_Block):
    """A body part with the network that embeds its crops.

    Attributes:
        name: as it stands on the wire ("fluke", "fin").
        architecture: a name of `pipeline.networks.architectures`.
        file: weight file, relative to the models folder; `pm_<name>.pth` by default.
        dimension: length of the embedding.
        catalogue: CSV of the known individuals, relative to the models folder; `pm_identification_<name>_ind.csv` by
            default.
        margin: share of the box's width and height that the crop adds on each side.
        input_size_px: side of the square crop.
        mean: RGB mean in [0, 1].
        std: RGB standard deviation in [0, 1].
    """

    name: Name
    architecture: str = "resnet101"
    file: FileName
    dimension: PositiveInt = 128
    catalogue: FileName
    margin: Fraction = 0.01

    @model_validator(mode="before")
    @classmethod
    def _name_files(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            return raw
        defaults = {"file": f"pm_{raw['name']}.pth", "catalogue": f"pm_identification_{raw['name']}_ind.csv"}
        return defaults | raw


def _seed_parts() -> tuple[BodyPartSpec, ...]:
    return tuple(BodyPartSpec.model_validate({"name": name}) for name in ("fluke", "flank"))


class ModelsSpec(BaseModel):
    """The contents of models.yaml; every field has the original system's value as its default.

    Attributes:
        species: for people to read.
        provenance: where the weights come from, for people to read; shown by the service.
        segmenter: the detector.
        body_parts: at least one; their order is the order of the detector's classes unless `labels` says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    species: str = "unspecified"
    provenance: str = ""
    segmenter: SegmenterSpec = SegmenterSpec()
    body_parts: Annotated[tuple[BodyPartSpec, ...], Field(min_length=1)] = Field(default_factory=_seed_parts)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [part.name for part in self.body_parts]
        if len(set(names)) != len(names):
            raise ValueError(f"body_parts: a name stands twice in {names}")
        labels = self.segmenter.labels or tuple(names)
        if set(labels) != set(names):
            raise ValueError(f"segmenter.labels {list(labels)} and body_parts {names} name different parts")
        segmenter = self.segmenter.model_copy(update={"labels": labels})
        object.__setattr__(self, "segmenter", segmenter)  # frozen for everybody but this validator
        return self


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checked models folder: what stands in it and how it is to be used.

    Attributes:
        path: the folder.
        species: for people to read.
        provenance: where the weights come from, for people to read; empty where nothing says so.
        segmenter: the detector; `labels` is filled in.
        body_parts: in the order of models.yaml.
    """

    path: Path
    species: str
    provenance: str
    segmenter: SegmenterSpec
    body_parts: tuple[BodyPartSpec, ...]

    @property
    def body_part_names(self) -> tuple[str, ...]:
        """Names in the order of models.yaml."""
        return tuple(part.name for part in self.body_parts)

    @property
    def segmenter_file(self) -> Path:
        """The detector's weights."""
        return self.path / self.segmenter.file

    def part(self, name: str) -> BodyPartSpec:
        """Return the body part of that name.

        Raises:
            KeyError: there is none.
        """
        for part in self.body_parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def embedder_file(self, name: str) -> Path:
        """Return the path of a body part's embedder weights."""
        return self.path / self.part(name).file

    def catalogue_file(self, name: str) -> Path | None:
        """Return the path of a body part's catalogue CSV, or None where the folder has none."""
        file = self.path / self.part(name).catalogue
        return file if file.is_file() else None

    def weight_files(self) -> tuple[Path, ...]:
        """Return every weight file, the detector's first."""
        return (self.segmenter_file, *(self.embedder_file(name) for name in self.body_part_names))


def load_model_folder(folder: Path) -> ModelFolder:
    """Read a models folder and check that its files are there; the weights themselves are not opened.

    Args:
        folder: with weight files, catalogue CSVs and, optionally, models.yaml.

    Returns:
        The folder's description.

    Raises:
        ModelFilesError: the folder or a file is missing, or models.yaml is wrong; says what was expected.
    """
    if not folder.is_dir():
        raise ModelFilesError(f"{folder}: no such models folder; `python -m training.random_models {folder}` makes one")
    spec = _read_spec(folder / MODELS_FILE)
    checked = ModelFolder(folder, spec.species, spec.provenance, spec.segmenter, spec.body_parts)
    _require(checked.weight_files(), "weight file")
    _require(_named_catalogues(checked), "catalogue named in models.yaml")
    return checked


def short_hash(file: Path) -> str:
    """Return the name of the weights in a file: the first 12 hex digits of its sha256.

    Raises:
        ModelFilesError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise ModelFilesError(f"{file}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()[:HASH_LENGTH]


def _read_spec(file: Path) -> ModelsSpec:
    if not file.exists():
        return ModelsSpec()
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelFilesError(f"{file}: cannot be read as YAML: {error}") from error
    if raw is None:
        return ModelsSpec()
    try:
        return ModelsSpec.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_describe(problem["loc"], problem["msg"]) for problem in error.errors())
        raise ModelFilesError(f"{file}: {problems}") from error


def _describe(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in location)}: {message}" if location else message


def _named_catalogues(folder: ModelFolder) -> tuple[Path, ...]:
    """Catalogues under another name than the default were asked for, so they must exist."""
    defaults = {part.name: f"pm_identification_{part.name}_ind.csv" for part in folder.body_parts}
    named = (part.catalogue for part in folder.body_parts if part.catalogue != defaults[part.name])
    return tuple(folder.path / name for name in named)


def _require(files: tuple[Path, ...], what: str) -> None:
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        folder = files[0].parent
        raise ModelFilesError(f"{folder}: missing {what}: {', '.join(missing)}; the folder holds {_listing(folder)}")


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())[:10] if folder.is_dir() else []
    return ", ".join(names) if names else "nothing"

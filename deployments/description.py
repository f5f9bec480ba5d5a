"""What the edge tells about the service behind it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """What the edge tells about the service behind it.

    Attributes:
        device: "cpu" or "cuda:0".
        models_dir: as it stands in the settings.
        species: from models.yaml.
        provenance: from models.yaml; says so where the weights are meaningless.
        body_parts: names from models.yaml.
    """

    device: str
    models_dir: str
    species: str
    provenance: str
    body_parts: tuple[str, ...]

"""The service's configuration: the `args` block of serve_config.yaml, validated before anything starts."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.catalogue_url import default_catalogue_url, default_photo_store, with_absolute_file, with_absolute_folder
from pipeline.errors import SettingsError
from pipeline.records import LOCAL_USER, OPERATOR, SERVICE, Actor

Device = Literal["auto", "cuda", "cpu"]
Backend = Literal["auto", "torch", "openvino"]
Access = Literal["local", "tokens"]
GpuFraction = Annotated[float, Field(gt=0.0, le=1.0)]
Sha256Hex = Annotated[str, Field(pattern=re.compile(r"^[0-9a-f]{64}$"))]
OwnerName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]

SHOWN_DIGITS = 8
"""How much of its hash stands in the name of a token that the settings do not name."""


class _Block(BaseModel):
    """Unknown keys are errors: a misspelt limit must not silently fall back to its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuShare(_Block):
    """Fraction of one GPU that each replica of a deployment takes, where the cluster has GPUs."""

    segmenter: GpuFraction = 0.4
    embedder: GpuFraction = 0.2
    matcher: GpuFraction = 0.1


class Replicas(_Block):
    """Bounds between which one deployment autoscales, and how long more or fewer must be wanted before it does."""

    min: PositiveInt = 1
    max: PositiveInt = 1
    upscale_delay_s: NonNegativeFloat = 30.0
    downscale_delay_s: NonNegativeFloat = 600.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max ({self.max}) is below min ({self.min})")
        return self


class Scaling(_Block):
    """Replica bounds of every deployment; `embedder` holds for each body part's embedder."""

    ingress: Replicas = Replicas(min=1, max=2)
    extractor: Replicas = Replicas(min=1, max=2)
    segmenter: Replicas = Replicas()
    embedder: Replicas = Replicas()
    matcher: Replicas = Replicas()
    catalogue: Replicas = Replicas()


class CpuShare(_Block):
    """CPUs that Ray reserves for each replica (scheduling only; `torch_threads` bounds what it really uses)."""

    ingress: PositiveFloat = 0.1
    extractor: PositiveFloat = 0.2
    segmenter: PositiveFloat = 0.4
    embedder: PositiveFloat = 0.2
    matcher: PositiveFloat = 0.1
    catalogue: PositiveFloat = 0.1


class Batching(_Block):
    """How many photos one forward pass of a model takes at most, and how long it waits for them.

    A CPU gains nothing from larger batches, and a photo of another client would wait for the whole of one.
    """

    max_batch_size: PositiveInt = 8
    cpu_max_batch_size: PositiveInt = 1
    wait_s: Annotated[float, Field(ge=0.0)] = 0.005

    def batch_size(self, device: str) -> int:
        """Return the bound for a replica on this device ("cpu" or "cuda:0")."""
        return self.cpu_max_batch_size if device == "cpu" else self.max_batch_size


class Limits(_Block):
    """Bounds on what one client can make the service do."""

    max_photo_bytes: PositiveInt = 64 * 2**20
    max_photo_pixels: Annotated[int, Field(gt=0, le=178_956_970)] = 120_000_000  # Pillow refuses more
    max_photos_per_request: PositiveInt = 10_000
    max_result_bytes: PositiveInt = 64 * 2**20
    max_unsent_bytes: Annotated[int, Field(ge=2**18)] = 8 * 2**20  # what is taken is told in steps of half of that
    max_requests_per_connection: PositiveInt = 32
    max_connections: PositiveInt = 1_000
    decoding_memory_bytes: PositiveInt = 4 * 2**30
    gallery_memory_bytes: PositiveInt = 2 * 2**30
    upload_memory_bytes: PositiveInt = 128 * 2**20
    max_store_bytes: PositiveInt | None = None
    in_flight_per_connection: PositiveInt = 4
    in_flight_per_replica: PositiveInt = 8

    @model_validator(mode="after")
    def _holds_the_largest_upload(self) -> Self:
        if self.upload_memory_bytes < self.max_photo_bytes:
            raise ValueError(f"upload_memory_bytes ({self.upload_memory_bytes}) is below max_photo_bytes")
        return self


class Timeouts(_Block):
    """All in seconds."""

    idle_timeout_s: PositiveFloat = 600.0
    ack_timeout_s: PositiveFloat = 60.0
    unsent_timeout_s: PositiveFloat = 60.0
    upload_timeout_s: PositiveFloat = 30.0
    photo_timeout_s: PositiveFloat = 120.0
    decode_timeout_s: PositiveFloat = 20.0
    identify_timeout_s: PositiveFloat = 60.0
    drain_timeout_s: PositiveFloat = 86400.0
    stop_timeout_s: NonNegativeFloat = 10.0


class Token(_Block):
    """One bearer token and who speaks with it; a bare hash is a token whose owner is not named."""

    sha256: Sha256Hex
    name: OwnerName
    institution: OwnerName = "default"
    kind: Literal["person", "program"] = "person"

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_hash(cls, value: object) -> object:
        if isinstance(value, str):
            return {"sha256": value, "name": f"token {value[:SHOWN_DIGITS]}"}
        return value

    @property
    def owner(self) -> Actor:
        """Who speaks with this token."""
        return Actor(self.institution, self.name, self.kind)


class Settings(_Block):
    """Arguments of `deployments.application:build`; serve_config.yaml explains each.

    Attributes:
        models_dir: folder with the weight files, the catalogue CSVs and, optionally, models.yaml.
        device: "auto" takes fractions of GPUs where the cluster has any and the CPU otherwise.
        backend: what runs the networks on a CPU; on a GPU it is always torch.
        torch_threads: CPU threads of each model replica; 0: its node's cores divided by its most replicas.
        photo_roots: folders that clients may name photos in; empty means any path for loopback peers, none for others.
        uploads_only: refuse every path, also from loopback peers.
        path_map: client path prefix -> server path prefix, for a client that sees the folders under another name.
        photo_store: where uploaded photos are kept, an fsspec URL; by default a folder beside the catalogue's file.
        access: "local" lets in this machine alone, without tokens, to do everything in the catalogue `default`;
            "tokens" lets in who shows one of `python -m pipeline.admin` or of `tokens`; default where these are set.
        tokens: bearer tokens that are accepted beside those of the database, and their owners, who may confirm in the
            catalogue `default`.
        folders_of: with tokens, the institution whose people may name paths and `save`, beside owners of `tokens`.
        local_paths_with_tokens: with tokens, who comes from this machine's address may still name any path where
            `photo_roots` is empty; not behind a proxy, which comes from there for everybody.
        allowed_origins: `Origin` headers that may connect; requests without the header are not browsers. `file://` is
            the desktop app's, and may also be what a browser sends for any HTML file opened from disk: a hostile one
            that somebody opens could then use the service. Leave it out where nobody uses the app.
        array_origins: the desktop app's origins, which are answered with bare lists.
        array_confirmations: whether best candidates that the app sends back as identities wait for a person
            ("provisional") or count as a person's word ("trusted").
    """

    models_dir: Path = Path("models/demo")
    device: Device = "auto"
    backend: Backend = "auto"
    gpu_share: GpuShare = GpuShare()
    cpu_share: CpuShare = CpuShare()
    torch_threads: Annotated[int, Field(ge=0)] = 0
    replicas: Scaling = Scaling()
    batching: Batching = Batching()
    photo_roots: tuple[Path, ...] = ()
    uploads_only: bool = False
    path_map: dict[str, str] = {}
    export_dir: Path = Path("export")
    catalogue_url: str = Field(default_factory=default_catalogue_url)
    photo_store: str = Field(default_factory=lambda given: default_photo_store(given.get("catalogue_url", "")))
    allowed_origins: tuple[str, ...] = ("file://", "http://localhost:1212")
    array_origins: tuple[str, ...] = ("file://", "http://localhost:1212")
    array_confirmations: Literal["provisional", "trusted"] = "provisional"
    access: Access = "local"
    tokens: tuple[Token, ...] = ()
    folders_of: OwnerName | None = None
    local_paths_with_tokens: bool = False
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    @field_validator("tokens")
    @classmethod
    def _tell_their_owners_apart(cls, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        hashes: set[str] = set()
        owners = {_identity(ours) for ours in (LOCAL_USER, SERVICE, OPERATOR)}
        for token in tokens:
            if token.sha256 in hashes:
                raise ValueError(f"the hash {token.sha256[:SHOWN_DIGITS]}... stands there twice")
            if _identity(token.owner) in owners:
                raise ValueError(f"{token.name!r} of {token.institution!r} is taken: give each token a name of its own")
            hashes.add(token.sha256)
            owners.add(_identity(token.owner))
        return tokens

    @model_validator(mode="before")
    @classmethod
    def _access_of_before_it_had_a_name(cls, arguments: object) -> object:
        if isinstance(arguments, dict) and arguments.get("tokens") and "access" not in arguments:
            return {**arguments, "access": "tokens"}
        return arguments

    @model_validator(mode="after")
    def _local_access_asks_for_no_tokens(self) -> Self:
        if self.access == "local" and self.tokens:
            raise ValueError("access: local asks nobody for a token: set access: tokens, or take the tokens out")
        return self

    def token_owners(self) -> dict[str, Actor]:
        """Return who speaks with which token: sha256 (hex) -> owner."""
        return {token.sha256: token.owner for token in self.tokens}

    def with_absolute_paths(self) -> Self:
        """Return the same settings for processes whose working directory is another."""
        return self.model_copy(
            update={
                "models_dir": self.models_dir.absolute(),
                "export_dir": self.export_dir.absolute(),
                "photo_roots": tuple(root.absolute() for root in self.photo_roots),
                "catalogue_url": with_absolute_file(self.catalogue_url),
                "photo_store": with_absolute_folder(self.photo_store),
            }
        )


def load_settings(config: Path, application: int = 0) -> Settings:
    """Read and validate the `args` of one application of a Serve config file.

    Args:
        config: path of serve_config.yaml.
        application: its place under `applications:`.

    Returns:
        The validated settings.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or holds a wrong argument; names each.
    """
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
        arguments = document["applications"][application].get("args") or {}
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise SettingsError(f"{config}: cannot be read as a Serve config file: {error}") from error
    return parse_settings(arguments, str(config))


def parse_settings(arguments: object, source: str) -> Settings:
    """Validate raw arguments.

    Args:
        arguments: the `args` mapping.
        source: named in the error.

    Raises:
        SettingsError: names every wrong argument with what was found.
    """
    try:
        return Settings.model_validate(arguments)
    except ValidationError as error:
        problems = "; ".join(_describe(problem["loc"], problem["msg"]) for problem in error.errors())
        raise SettingsError(f"{source}: {problems}") from error


def _identity(actor: Actor) -> tuple[str, str]:
    """What tells actors apart."""
    return actor.institution, actor.name


def _describe(location: tuple[int | str, ...], message: str) -> str:
    return f"args.{'.'.join(str(part) for part in location)}: {message}" if location else message

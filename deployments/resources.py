"""What each deployment asks of Ray: device, fractions of CPUs and GPUs, threads, replica bounds. Pure."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.catalogue_url import catalogue_file
from pipeline.errors import SettingsError
from pipeline.settings import Replicas, Settings

Role = Literal["ingress", "extractor", "segmenter", "embedder", "matcher", "catalogue"]
SPARE_SOCKETS = 200
"""Sockets past `max_connections` that an ingress replica accepts in order to answer 1013, and page requests."""

CATALOGUE_CALLS = 100
"""Calls that one replica of the matcher or the catalogue takes at once; they wait there, in the order they came."""

CATALOGUE_ROLES: tuple[Role, ...] = ("matcher", "catalogue")

PHOTO_ROLES: tuple[Role, ...] = ("ingress", "extractor")
"""Roles that hold whole photos, megabytes each."""

RETURN_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**18),
    "MALLOC_TRIM_THRESHOLD_": str(2**20),
    "MALLOC_ARENA_MAX": "2",
}
"""Has glibc give what a photo took back to the system. Left to itself it raises its threshold to the size of the first
photo freed, and from then on keeps the holes that later ones leave."""

NETWORK_ROLES: tuple[Role, ...] = ("segmenter", "embedder")
"""Roles that run a network: each photo allocates the same tensors anew, tens of megabytes each."""

KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_ARENA_MAX": "1",
}
"""Has glibc keep what a network's tensors took, for the next photo's. Otherwise it hands large ones back to the system
at once, which clears them page by page when they are taken again: 92,000 page faults and a sixth of the computing time
for a photo through the seed's detector. One arena, since only the main one can hold blocks of any size."""

GPU_ROLES: tuple[Role, ...] = ("segmenter", "embedder", "matcher")


@dataclass(frozen=True, slots=True)
class ClusterResources:
    """What the Ray cluster has when the application is built."""

    cpus: float
    gpus: float
    nodes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The resources of the whole graph.

    Attributes:
        device: "cuda:0" (inside a replica, the GPU it was given) or "cpu".
        settings: where the shares and bounds come from.
        cores: CPU cores of one node, for dividing threads.
    """

    device: str
    settings: Settings
    cores: int

    @property
    def on_gpu(self) -> bool:
        """Whether the models take shares of GPUs."""
        return self.device != "cpu"

    def actor_options(self, role: Role) -> dict[str, Any]:
        """Return `ray_actor_options` of one deployment.

        OMP_NUM_THREADS is set because Ray otherwise sets it from `num_cpus`, which is a scheduling fraction here.
        """
        threads = self.threads(role)
        environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if role in PHOTO_ROLES:
            environment |= RETURN_FREED_MEMORY
        if role in NETWORK_ROLES:
            environment |= KEEP_FREED_MEMORY
        options: dict[str, Any] = {
            "num_cpus": getattr(self.settings.cpu_share, role),
            "runtime_env": {"env_vars": environment},
        }
        if self.on_gpu and role in GPU_ROLES:
            options["num_gpus"] = getattr(self.settings.gpu_share, role)
        return options

    def threads(self, role: Role) -> int:
        """Return the compute threads of one replica: a network may use all cores; a photo has one stage at a time."""
        if role in ("ingress", "extractor", *CATALOGUE_ROLES):
            return 1
        if self.settings.torch_threads:
            return self.settings.torch_threads
        return max(1, self.cores // self.replicas(role).max)

    def max_ongoing(self, role: Role) -> int:
        """Return how many calls one replica takes at once.

        Past it handshakes hang, so the ingress takes more sockets than `max_connections` and refuses the rest itself.
        """
        limits = self.settings.limits
        if role == "ingress":
            return limits.max_connections + SPARE_SOCKETS
        if role in CATALOGUE_ROLES:
            return CATALOGUE_CALLS
        in_flight = limits.in_flight_per_replica * self.replicas("ingress").max
        return max(2, -(-in_flight // self.replicas(role).max))

    def replicas(self, role: Role) -> Replicas:
        """Return the bounds between which one deployment scales."""
        bounds: Replicas = getattr(self.settings.replicas, role)
        return bounds


def plan_resources(settings: Settings, cluster: ClusterResources) -> Plan:
    """Decide the device and check that the application can run on this cluster.

    Raises:
        SettingsError: `device: cuda` without a GPU, SQLite on several nodes, or several writers of a SQLite file.
    """
    if settings.device == "cuda" and not cluster.gpus:
        raise SettingsError("args.device: cuda, but this Ray cluster has no GPU; use auto or cpu")
    in_file = catalogue_file(settings.catalogue_url) is not None
    if in_file and settings.replicas.catalogue.max > 1:
        raise SettingsError(
            f"args.replicas.catalogue: max is {settings.replicas.catalogue.max}, but {settings.catalogue_url} is a "
            "file, whose writers would only wait for one another; set max: 1, or name a database server"
        )
    if in_file and cluster.nodes > 1:
        raise SettingsError(
            f"args.catalogue_url: {settings.catalogue_url} is a file on one machine, but this Ray cluster has "
            f"{cluster.nodes} nodes, and a matcher on another node would see another catalogue; name a database server"
        )
    device = "cuda:0" if settings.device != "cpu" and cluster.gpus else "cpu"
    return Plan(device=device, settings=settings, cores=max(1, int(cluster.cpus / max(1, cluster.nodes))))

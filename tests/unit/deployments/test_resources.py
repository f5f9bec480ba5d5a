import pytest

from deployments.resources import KEEP_FREED_MEMORY, RETURN_FREED_MEMORY, ClusterResources, plan_resources
from pipeline.errors import SettingsError
from pipeline.settings import Settings

CPU_ONLY = ClusterResources(cpus=2, gpus=0, nodes=1)
ONE_GPU = ClusterResources(cpus=16, gpus=1, nodes=1)


def settings(**arguments):
    return Settings.model_validate({"catalogue_url": "sqlite:///x.sqlite", **arguments})


@pytest.mark.parametrize(
    ("device", "cluster", "expected"),
    [("auto", CPU_ONLY, "cpu"), ("auto", ONE_GPU, "cuda:0"), ("cpu", ONE_GPU, "cpu"), ("cuda", ONE_GPU, "cuda:0")],
)
def test_device_follows_the_cluster(device, cluster, expected):
    assert plan_resources(settings(device=device), cluster).device == expected


def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(SettingsError, match="has no GPU"):
        plan_resources(settings(device="cuda"), CPU_ONLY)


def test_sqlite_on_two_nodes_is_refused_with_the_reason():
    with pytest.raises(SettingsError, match="2 nodes"):
        plan_resources(settings(), ClusterResources(cpus=8, gpus=0, nodes=2))


def test_several_writers_of_one_file_are_refused_and_of_a_server_are_not():
    two = {"replicas": {"catalogue": {"min": 1, "max": 2}}}
    with pytest.raises(SettingsError, match=r"replicas\.catalogue: max is 2, but sqlite:///x\.sqlite is a file"):
        plan_resources(settings(**two), CPU_ONLY)
    on_server = plan_resources(settings(catalogue_url="postgresql+psycopg://db/whales", **two), CPU_ONLY)
    assert on_server.replicas("catalogue").max == 2


def test_database_server_on_two_nodes_is_accepted():
    chosen = settings(catalogue_url="postgresql+psycopg://db/whales")
    assert plan_resources(chosen, ClusterResources(cpus=8, gpus=0, nodes=2)).device == "cpu"


def test_only_models_take_gpu_shares_and_only_where_there_are_gpus():
    on_gpu, on_cpu = plan_resources(settings(), ONE_GPU), plan_resources(settings(), CPU_ONLY)
    assert on_gpu.actor_options("segmenter")["num_gpus"] == 0.4
    assert "num_gpus" not in on_gpu.actor_options("ingress")
    assert "num_gpus" not in on_gpu.actor_options("catalogue")
    assert "num_gpus" not in on_cpu.actor_options("segmenter")


def test_shipped_shares_of_one_graph_fill_at_most_one_gpu_and_two_cores():
    plan = plan_resources(settings(), ONE_GPU)
    roles = ["segmenter", "embedder", "embedder", "matcher"]
    assert sum(plan.actor_options(role)["num_gpus"] for role in roles) <= 1.0
    replicas = {"ingress": 2, "extractor": 2, "segmenter": 1, "embedder": 2, "matcher": 1, "catalogue": 1}
    assert sum(plan.actor_options(role)["num_cpus"] * count for role, count in replicas.items()) <= 2.0


def test_threads_divide_the_cores_between_replicas():
    cluster = ClusterResources(cpus=8, gpus=0, nodes=1)
    plan = plan_resources(settings(replicas={"segmenter": {"min": 1, "max": 4}}), cluster)
    assert plan.threads("segmenter") == 2
    assert plan.threads("embedder") == 8
    assert plan.threads("matcher") == plan.threads("catalogue") == 1
    assert plan.actor_options("segmenter")["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "2"


def test_configured_threads_win():
    assert plan_resources(settings(torch_threads=3), CPU_ONLY).threads("segmenter") == 3


def test_ingress_takes_more_sockets_than_it_serves():
    plan = plan_resources(settings(limits={"max_connections": 10}), CPU_ONLY)
    assert plan.max_ongoing("ingress") > 10


def test_extractors_together_take_all_photos_in_flight():
    plan = plan_resources(settings(), CPU_ONLY)
    chosen = settings()
    wanted = chosen.limits.in_flight_per_replica * chosen.replicas.ingress.max
    assert plan.max_ongoing("extractor") * chosen.replicas.extractor.max >= wanted


@pytest.mark.parametrize(
    ("role", "memory"),
    [
        ("ingress", RETURN_FREED_MEMORY),
        ("extractor", RETURN_FREED_MEMORY),
        ("segmenter", KEEP_FREED_MEMORY),
        ("embedder", KEEP_FREED_MEMORY),
        ("matcher", {}),
        ("catalogue", {}),
    ],
)
def test_replicas_that_hold_photos_return_their_memory_and_networks_keep_it(role, memory):
    environment = plan_resources(settings(), CPU_ONLY).actor_options(role)["runtime_env"]["env_vars"]
    assert {name: value for name, value in environment.items() if name.startswith("MALLOC_")} == memory
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"]

"""The configs that the documentation shows are valid, and their fractions of GPUs add up."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.resources import GPU_ROLES, ClusterResources, Plan, plan_resources
from pipeline.model_files import ModelsSpec
from pipeline.settings import Settings, load_settings, parse_settings

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "docs" / "cluster" / "serve_config.yaml"
TWO_SPECIES = ROOT / "docs" / "two-species.md"
FOUR_GPUS = ClusterResources(cpus=64, gpus=4, nodes=2)
WHOLE_GPU = 100
"""Shares are compared in hundredths: sums of binary fractions would be off by an ulp."""


def hundredths(share: float) -> int:
    return round(share * WHOLE_GPU)


def gpu_shares(plan: Plan, body_parts: int, *, maximum: bool) -> list[int]:
    """The share of every replica, one of each deployment or all that may come to run."""
    counts = {role: plan.replicas(role).max if maximum else 1 for role in GPU_ROLES}
    counts["embedder"] *= body_parts
    return [hundredths(plan.actor_options(role)["num_gpus"]) for role in GPU_ROLES for _ in range(counts[role])]


@pytest.fixture
def cluster() -> Settings:
    return load_settings(CLUSTER)


@pytest.fixture
def yaml_blocks() -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TWO_SPECIES.read_text(), re.DOTALL)]


def test_cluster_config_is_for_clients_on_other_machines(cluster):
    assert yaml.safe_load(CLUSTER.read_text())["http_options"]["host"] == "0.0.0.0"
    assert cluster.access == "tokens", "else only loopback peers are let in"
    assert cluster.uploads_only
    assert not cluster.photo_roots
    assert cluster.device == "cuda"
    scaling = set(type(cluster.replicas).model_fields) - {"catalogue"}
    assert all(getattr(cluster.replicas, role).max > getattr(cluster.replicas, role).min for role in scaling)
    assert cluster.replicas.catalogue.min == 2, "else the death of a node's only one is noticed"


def test_cluster_config_runs_on_several_nodes(cluster):
    assert plan_resources(cluster, FOUR_GPUS).device == "cuda:0"


def test_cluster_config_says_everything_with_a_comment():
    text = CLUSTER.read_text()
    assert set(yaml.safe_load(text)["applications"][0]["args"]) == set(Settings.model_fields)
    lines = text.splitlines()
    blocks = ("applications:", "args:", "limits:", "timeouts:", "replicas:", "http_options:", "logging_config:")
    said = ("name: whale-vision", "route_prefix: /", "port: 8765", "log_level: INFO")
    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if line.strip()
        and "#" not in line
        and "#" not in above
        and not line.strip().removeprefix("- ").startswith((*blocks, *said))
    ]
    assert not bare


def test_one_of_each_fits_one_gpu(cluster):
    assert sum(gpu_shares(plan_resources(cluster, FOUR_GPUS), 2, maximum=False)) <= WHOLE_GPU


def test_the_maxima_fit_the_stated_number_of_gpus_in_whatever_order_replicas_start(cluster):
    stated = int(re.search(r"Sized for (\d+) GPUs", CLUSTER.read_text())[1])
    shares = gpu_shares(plan_resources(cluster, FOUR_GPUS), 2, maximum=True)
    assert sum(shares) <= stated * WHOLE_GPU
    step = 10
    assert all(share % step == 0 for share in shares)
    for share in set(shares):
        # The last one to start finds room unless every GPU holds more than the whole less its share.
        others_that_would_block = stated * (WHOLE_GPU - share + step)
        assert sum(shares) - share < others_that_would_block, share


def test_two_species_have_names_addresses_and_catalogues_of_their_own(yaml_blocks):
    applications = yaml_blocks[0]["applications"]
    whales, dolphins = (parse_settings(block["args"], block["name"]) for block in applications)
    for field in ("models_dir", "catalogue_url", "export_dir"):
        assert getattr(whales, field) != getattr(dolphins, field)
    assert [block["route_prefix"] for block in applications] == ["/", "/dolphins"]
    assert len({block["name"] for block in applications}) == 2


def test_two_species_share_one_gpu(yaml_blocks):
    one_gpu = ClusterResources(cpus=16, gpus=1, nodes=1)
    plans = [plan_resources(parse_settings(block["args"], ""), one_gpu) for block in yaml_blocks[0]["applications"]]
    shares = [sum(gpu_shares(plan, parts, maximum=False)) for plan, parts in zip(plans, (2, 1), strict=True)]
    assert shares == [45, 35], "as the page says"
    assert sum(shares) <= WHOLE_GPU


def test_dolphins_have_one_body_part(yaml_blocks):
    models = ModelsSpec.model_validate(yaml_blocks[1])
    assert [part.name for part in models.body_parts] == ["fin"]

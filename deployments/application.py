"""Binds the graph: the only module that names every deployment."""

import logging
from typing import Any

import ray
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from deployments.autoscaling import ByPhotos
from deployments.catalogue import Catalogue
from deployments.description import ServiceDescription
from deployments.embedder import Embedder
from deployments.extractor import Extractor
from deployments.ingress import Ingress
from deployments.matcher import Matcher
from deployments.networks import LoadedNetworks, Networks
from deployments.photo_binding import bind_photo_store
from deployments.preflight import check_folders
from deployments.resources import ClusterResources, Plan, Role, plan_resources
from deployments.segmenter import Segmenter
from pipeline.model_files import ModelFolder
from pipeline.settings import Replicas, Settings

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 1.5, 30.0
REPORTS_IN_WINDOW = 3

HEALTH_CHECK_PERIOD_S = 2.0
"""A replica that died is missed at the next check: Serve's own period would add up to 10 s to each loss."""

WATCHED_CHECK_TIMEOUT_S = 10.0
"""Of the ingress and of the only writer: Serve replaces a replica after three checks without an answer, here within
32 s of a hang, so that a confirmation is repeated before its deadline."""

logger = logging.getLogger("ray.serve")
"""Serve's own logger: a module's logger is not shown by the process that builds the application."""


def build(args: Settings) -> Application:
    """Build the application that `serve run serve_config.yaml` starts.

    Args:
        args: the `args` block of the config, validated.

    Raises:
        StartupError: a folder, weight file, catalogue CSV or resource is missing or wrong.
    """
    networks = LoadedNetworks(args.models_dir.absolute(), args.backend)
    return bind_graph(args, networks, cluster_resources())


def cluster_resources() -> ClusterResources:
    """Ask Ray what the cluster has."""
    resources = ray.cluster_resources()
    nodes = sum(1 for node in ray.nodes() if node["Alive"])
    return ClusterResources(cpus=resources.get("CPU", 1.0), gpus=resources.get("GPU", 0.0), nodes=nodes)


def bind_graph(settings: Settings, networks: Networks, cluster: ClusterResources) -> Application:
    """Bind every deployment with its resources.

    Args:
        settings: of the application.
        networks: where the model replicas get their networks from.
        cluster: what there is to share.

    Raises:
        StartupError: as `build`.
    """
    from pipeline.catalogue.sql_store import make_catalogue  # here: only who builds the application needs a database

    shown_dir = str(settings.models_dir)
    settings = settings.with_absolute_paths()
    folder = check_folders(settings)
    make_catalogue(settings.catalogue_url)  # before there are replicas, which never make one
    database = bind_photo_store(settings)
    plan = plan_resources(settings, cluster)
    logger.info("running on %s with models from %s", plan.device, shown_dir)
    models = _bind_models(settings, folder, networks, plan)
    embedders = {part: models[embedder_name(part)] for part in folder.body_part_names}
    extractor = _sized(Extractor, "Extractor", "extractor", plan).bind(
        settings, folder, models["Segmenter"], embedders, database
    )
    ranking_device = networks.ranking_device(plan.device)
    matcher = _sized(Matcher, "Matcher", "matcher", plan).bind(settings, folder, ranking_device)
    catalogue = _watched(_sized(Catalogue, "Catalogue", "catalogue", plan)).bind(settings, folder)
    description = ServiceDescription(
        device=plan.device,
        models_dir=shown_dir,
        species=folder.species,
        provenance=folder.provenance,
        body_parts=folder.body_part_names,
    )
    ingress = _ingress(settings, plan)
    application: Application = ingress.bind(settings, description, extractor, catalogue, matcher, models, database)
    return application


def embedder_name(body_part: str) -> str:
    """Return the deployment's name, for example "FlukeEmbedder"."""
    return f"{''.join(word.capitalize() for word in body_part.split('_'))}Embedder"


def _bind_models(settings: Settings, folder: ModelFolder, networks: Networks, plan: Plan) -> dict[str, Any]:
    segmenter = _sized(Segmenter, "Segmenter", "segmenter", plan).bind(
        networks, plan.device, plan.threads("segmenter"), settings.batching
    )
    embedders = {
        embedder_name(part): _sized(Embedder, embedder_name(part), "embedder", plan).bind(
            networks, part, plan.device, plan.threads("embedder"), settings.batching
        )
        for part in folder.body_part_names
    }
    return {"Segmenter": segmenter, **embedders}


def _sized(deployment: Any, name: str, role: Role, plan: Plan) -> Any:
    """Give a deployment its name, its share of the machine and its replica bounds."""
    bounds = plan.replicas(role)
    ongoing = plan.max_ongoing(role)
    return deployment.options(
        name=name,
        ray_actor_options=plan.actor_options(role),
        max_ongoing_requests=ongoing,
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        graceful_shutdown_timeout_s=plan.settings.timeouts.drain_timeout_s,
        autoscaling_config=_between(bounds, target_ongoing_requests=max(1.0, ongoing / 2)),
    )


def _watched(deployment: Any) -> Any:
    """Have a deployment missed sooner than Serve does by default where it hangs."""
    return deployment.options(
        health_check_period_s=HEALTH_CHECK_PERIOD_S, health_check_timeout_s=WATCHED_CHECK_TIMEOUT_S
    )


def _ingress(settings: Settings, plan: Plan) -> Any:
    bounds = plan.replicas("ingress")
    policy = AutoscalingPolicy(
        policy_function=ByPhotos, policy_kwargs={"photos_per_replica": settings.limits.in_flight_per_replica}
    )
    deployment: Any = Ingress  # serve.ingress hides what serve.deployment makes of the class
    return _watched(deployment).options(
        ray_actor_options=plan.actor_options("ingress"),
        max_ongoing_requests=plan.max_ongoing("ingress"),
        graceful_shutdown_timeout_s=settings.timeouts.drain_timeout_s,
        autoscaling_config=_between(bounds, policy=policy),
    )


def _between(bounds: Replicas, **how: Any) -> AutoscalingConfig:
    """Scale between bounds; the load is averaged over no longer than more of it must last."""
    window_s = min(LONGEST_WINDOW_S, max(SHORTEST_WINDOW_S, bounds.upscale_delay_s))
    return AutoscalingConfig(
        min_replicas=bounds.min,
        max_replicas=bounds.max,
        upscale_delay_s=bounds.upscale_delay_s,
        downscale_delay_s=bounds.downscale_delay_s,
        look_back_period_s=window_s,
        metrics_interval_s=window_s / REPORTS_IN_WINDOW,
        **how,
    )

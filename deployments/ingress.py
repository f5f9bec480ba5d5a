"""The ingress deployment: sockets in, calls out; imports no torch, so that a replica is small and starts fast."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette

from deployments.autoscaling import SIGNAL
from deployments.description import ServiceDescription
from deployments.health import HealthCheck
from deployments.logs import log_with_serve
from deployments.metrics import IngressMetrics
from deployments.model_worker import settle_memory
from deployments.photo_library import library_of
from deployments.photo_queue import PhotoQueue
from deployments.remote import RemoteCatalogue, RemoteExtractor, describe
from deployments.rights import rights_of
from deployments.services import Services
from deployments.site import Site
from pipeline.photos.export import PhotoExport
from pipeline.session.fair_queue import FairQueue
from pipeline.settings import Settings


@serve.deployment
@serve.ingress()
class Ingress:
    """One replica of the edge."""

    def __init__(
        self,
        settings: Settings,
        description: ServiceDescription,
        extractor: DeploymentHandle[Any],
        catalogue: DeploymentHandle[Any],
        matcher: DeploymentHandle[Any],
        models: Mapping[str, DeploymentHandle[Any]],
        database: str,
    ) -> None:
        """Wire the edge to the deployments behind it.

        Args:
            settings: of the application.
            description: what clients are told.
            extractor: the extractor deployment.
            catalogue: the catalogue deployment.
            matcher: the matcher deployment.
            models: segmenter and embedders by deployment name, asked for `/healthz` only.
            database: id of the catalogues' database, whose the photo store is.
        """
        log_with_serve()
        metrics = IngressMetrics()
        limits, timeouts = settings.limits, settings.timeouts
        queue = FairQueue[Any](limits.in_flight_per_connection, limits.in_flight_per_replica)
        photos = RemoteExtractor(extractor, timeouts.photo_timeout_s)
        self._photos = PhotoQueue(photos, queue, metrics)
        library = library_of(settings, database, photos, self._photos.turn)
        library.clean()
        rights = rights_of(settings)
        catalogues = RemoteCatalogue(catalogue, matcher, timeouts.identify_timeout_s)
        services = Services(self._photos, catalogues, PhotoExport.from_settings(settings), rights, library)
        told = {**models, matcher.deployment_name: matcher, catalogue.deployment_name: catalogue}
        health = HealthCheck(
            application=serve.get_replica_context().app_name,
            expected=("Ingress", extractor.deployment_name, *told),
            describers={name: partial(describe, handle) for name, handle in told.items()},
        )
        self._site = Site(settings, description, services, health, metrics, rights, library)
        settle_memory()

    def __serve_build_asgi_app__(self) -> Starlette:
        """Called by Serve after `__init__`: the routes close over this replica's handles."""
        return self._site.application()

    async def drain(self, seconds: float) -> None:
        """Called on every replica before the service stops; see `Site.drain`."""
        await self._site.drain(seconds)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve: the ingress scales on photos in flight; idle sockets are no load."""
        return {SIGNAL: float(self._photos.in_flight)}

"""The graph's hops with nothing in them: what Ray Serve itself takes to carry the messages of one photo.

An edge with a WebSocket, a relay that answers in two steps, and two leaves that take arrays of the networks' input
sizes: the shape of the service, none of its code.
"""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from pydantic import BaseModel
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

PICTURE_SIDE_PX, CROP_SIDE_PX, DIMENSION = 224, 128, 128
"""What the light networks take and give."""


class Arguments(BaseModel):
    """None are needed; those of the service are passed over."""


@serve.deployment
class Leaf:
    """Stands where a network stands."""

    async def answer(self, pixels: np.ndarray[Any, Any]) -> list[float]:
        """Take (s, s, 3) uint8; answer something of an embedding's size."""
        return [float(pixels.shape[0])] * DIMENSION


@serve.deployment
class Relay:
    """Stands where the extractor stands."""

    def __init__(self, detector: DeploymentHandle[Any], embedder: DeploymentHandle[Any]) -> None:
        self._detector = detector
        self._embedder = embedder
        self._picture = np.zeros((PICTURE_SIDE_PX, PICTURE_SIDE_PX, 3), np.uint8)
        self._crop = np.zeros((CROP_SIDE_PX, CROP_SIDE_PX, 3), np.uint8)

    async def steps(self, _path: str) -> AsyncIterator[list[float]]:
        """Call one leaf, then the other; yield after each."""
        yield await self._detector.answer.remote(self._picture)
        yield await self._embedder.answer.remote(self._crop)


@serve.deployment(max_ongoing_requests=100)
@serve.ingress()
class Edge:
    """Stands where the ingress stands."""

    def __init__(self, relay: DeploymentHandle[Any]) -> None:
        self._relay = relay.options(stream=True)

    def __serve_build_asgi_app__(self) -> Starlette:
        """Called by Serve after `__init__`."""
        return Starlette(routes=[Route("/healthz", self._healthz), WebSocketRoute("/", self._websocket)])

    async def _healthz(self, _request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def _websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for path in websocket.iter_text():
            async for step in self._relay.steps.remote(path):
                await websocket.send_json(step)


def build(_arguments: Arguments) -> Application:
    """Bind the graph."""
    share = {"num_cpus": 0.02}
    leaves = [Leaf.options(name=name, ray_actor_options=share).bind() for name in ("Detector", "Embedder")]
    relay = Relay.options(ray_actor_options=share).bind(*leaves)
    edge: Any = Edge  # serve.ingress hides what serve.deployment makes of the class
    bound: Application = edge.options(ray_actor_options=share).bind(relay)
    return bound

"""The edge of the service as a plain ASGI application: the WebSocket, `/` and `/healthz`; knows nothing of Serve."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from deployments.admission import TRY_AGAIN_S, Admission
from deployments.connection import Connection
from deployments.description import ServiceDescription
from deployments.health import Health
from deployments.metrics import IngressMetrics
from deployments.page import render_page
from deployments.photo_library import PhotoLibrary
from deployments.photo_routes import PhotoRoutes, refusal
from deployments.rights import HOLD_S, Rights
from deployments.services import Client, Services
from deployments.sessions import COOKIE, SessionRoutes
from deployments.upload_budget import UploadBudget
from pipeline.access import AccessRules, Handshake, Need, Peer, Permit, Refusal, permit
from pipeline.errors import CatalogueUnavailableError, RequestError
from pipeline.protocol.requests import CloseCode
from pipeline.rights import DEFAULT_CATALOGUE, Right
from pipeline.session.answers import ResultRoom
from pipeline.session.config import SessionConfig
from pipeline.session.session import Session
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

CLOSING_S = 1.0
"""For what was said last, and the close frame, to reach a client that reads."""


class SystemClock:
    """The session's clock."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Local time of day."""
        return datetime.now()


class Site:
    """Lets peers in, hands each WebSocket to a `Connection`, answers the two pages."""

    def __init__(
        self,
        settings: Settings,
        description: ServiceDescription,
        services: Services,
        health: Callable[[], Awaitable[Health]],
        metrics: IngressMetrics,
        rights: Rights,
        library: PhotoLibrary,
    ) -> None:
        """Wire the edge; `health` is asked anew for each page, `rights` for each request."""
        self._settings = settings
        self._description = description
        self._services = services
        self._health = health
        self._metrics = metrics
        self._rights = rights
        origins = (settings.allowed_origins, settings.array_origins)
        rules = AccessRules(settings.access == "tokens", *origins, settings.local_paths_with_tokens)
        self._admission = Admission(rules, rights, time.monotonic)
        self._sessions = SessionRoutes(self, rights)
        self._photos = PhotoRoutes(self, library, settings.limits, settings.timeouts.upload_timeout_s)
        self._uploads = UploadBudget(settings.limits.upload_memory_bytes, settings.timeouts.upload_timeout_s)
        self._open: dict[Connection, asyncio.Task[Any]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/", self._index),
                Route("/healthz", self._healthz),
                *self._sessions.routes(),
                *self._photos.routes(),
                WebSocketRoute("/", self._websocket),
            ],
            middleware=[Middleware(PrefixWithoutSlash)],
        )

    async def admit(self, connection: HTTPConnection) -> Peer | Refusal:
        """Return who comes, over HTTP or by a socket, or why they are not let in."""
        handshake = _handshake(connection)
        peer = await self._admission.admit(handshake)
        if isinstance(peer, Refusal) and peer.status not in (429, 503):  # what came before these has a line
            logger.warning("refused %s: %s", handshake.address or "a client of unknown address", peer.reason)
        return peer

    async def permit(self, peer: Peer, need: Need) -> Permit:
        """Look up whether somebody may do something; see `pipeline.access.permit`."""
        return permit(await self._rights.standing(peer), need)

    async def _websocket(self, websocket: WebSocket) -> None:
        peer = await self.admit(websocket)
        if isinstance(peer, Refusal):
            await _deny(websocket, peer)
            return
        await websocket.accept()
        if self._stopping:
            await websocket.close(CloseCode.RESTART, "the service is stopping; connect again")
            return
        if len(self._open) >= self._settings.limits.max_connections:
            await websocket.close(CloseCode.TRY_AGAIN_LATER, "too many connections; try again later")
            return
        task = asyncio.current_task()
        assert task is not None
        connection = self._connection(websocket, peer)
        self._open[connection] = task
        self._metrics.connections(len(self._open))
        self._watch_tokens()
        try:
            await connection.serve()
        finally:
            del self._open[connection]
            self._metrics.connections(len(self._open))

    async def drain(self, seconds: float) -> None:
        """Close every socket with 1012 before the service stops; new ones are refused from now on.

        Args:
            seconds: how long requests may take to end. After that, what is left of them has the outcome `cancelled`.
        """
        self._stopping = True
        for connection in list(self._open):
            connection.drain()
        await self._wait_until_closed(seconds)
        for connection in list(self._open):
            connection.cut_short()
        await self._wait_until_closed(CLOSING_S)

    def _watch_tokens(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._close_what_was_revoked())

    async def _close_what_was_revoked(self) -> None:
        """Look at the tokens of all open sockets together, for as long as there are any."""
        while tokens := {connection.token for connection in self._open if connection.token is not None}:
            pause_s = HOLD_S
            try:
                ended = await self._rights.ended(tokens)
            except CatalogueUnavailableError as error:  # sockets stay; requests are answered that it is unavailable
                logger.warning("tokens of open sockets could not be looked up: %s", error)
                ended, pause_s = set(), TRY_AGAIN_S
            for connection in [each for each in self._open if each.token in ended]:
                connection.revoke()
            await asyncio.sleep(pause_s)

    async def _wait_until_closed(self, timeout_s: float) -> None:
        if self._open:
            await asyncio.wait(self._open.values(), timeout=timeout_s)

    def _connection(self, websocket: WebSocket, peer: Peer) -> Connection:
        session = Session(self._session_config(peer), SystemClock())
        client = Client(peer)
        return Connection(websocket, session, self._services, self._metrics, client, self._settings, self._uploads)

    def _session_config(self, peer: Peer) -> SessionConfig:
        return SessionConfig(
            device=self._description.device,
            models_dir=self._description.models_dir,
            body_parts=self._description.body_parts,
            peer=peer,
            may_guess=peer.array_dialect and self._settings.array_confirmations == "provisional",
            uploads_only=self._settings.uploads_only or not self._may_name_paths(peer),
            limits=self._settings.limits,
            room=ResultRoom(self._settings.limits.max_result_bytes),
            upload_room=self._uploads,
            upload_timeout_s=self._settings.timeouts.upload_timeout_s,
            ack_timeout_s=self._settings.timeouts.ack_timeout_s,
            idle_timeout_s=self._settings.timeouts.idle_timeout_s,
        )

    def _may_name_paths(self, peer: Peer) -> bool:
        """Whether the folders of this machine are for somebody: they belong to one institution, not to all."""
        if peer.token is None or peer.token in self._settings.token_owners():
            return True
        return peer.actor.institution == self._settings.folders_of

    async def _index(self, request: Request) -> Response:
        peer = await self.admit(request)
        if isinstance(peer, Refusal):
            return refusal(peer)
        health = await self._health()
        return HTMLResponse(render_page(self._description, health, await self._may_see_counts(peer)))

    async def _healthz(self, request: Request) -> Response:
        """Answer any peer with the state (a probe carries no token), the details only to those who may connect."""
        health = await self._health()
        peer = await self._admission.admit(_handshake(request))
        body: dict[str, Any] = {"status": health.status}
        if isinstance(peer, Peer):
            body = health.as_json() if await self._may_see_counts(peer) else {**health.as_json(), "catalogue": None}
        return JSONResponse(body, 200 if health.is_complete else 503)

    async def _may_see_counts(self, peer: Peer) -> bool:
        """Whether somebody may see what the catalogue `default` holds, of which health tells."""
        try:
            held = (await self._rights.standing(peer)).held.get(DEFAULT_CATALOGUE)
        except RequestError:  # it cannot be looked up, or the token is no longer valid
            return False
        return held is not None and held.right.includes(Right.VIEW)


class PrefixWithoutSlash:
    """Lets an application with the prefix `/dolphins` be addressed so; Starlette itself knows `/dolphins/` only."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve `/` where the path is the prefix and nothing more."""
        prefix = scope.get("root_path")
        if prefix and scope.get("path") == prefix:
            scope = {**scope, "path": f"{prefix}/"}
        await self._app(scope, receive, send)


def _handshake(connection: HTTPConnection) -> Handshake:
    return Handshake(
        address=connection.client.host if connection.client else None,
        headers=dict(connection.headers),
        dialect=connection.query_params.get("dialect"),
        session=connection.cookies.get(COOKIE),
        only_reads=connection.scope.get("method") in ("GET", "HEAD"),
    )


async def _deny(websocket: WebSocket, refusal: Refusal) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(PlainTextResponse(refusal.reason, refusal.status, refusal.headers))
    else:
        await websocket.close()  # before accept: the server answers 403

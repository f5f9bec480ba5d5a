"""Sessions of browsers, which cannot show a token with every request: a cookie in its place."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.photo_routes import Gate, error_answer, refusal
from deployments.rights import SESSION_LASTS, Rights
from pipeline.access import Refusal
from pipeline.errors import WhaleVisionError

COOKIE = "whale_vision_session"


class SessionRoutes:
    """`POST /session` with a token begins a session, `DELETE /session` ends it."""

    def __init__(self, gate: Gate, rights: Rights) -> None:
        """Wire the routes.

        Args:
            gate: asked at each request.
            rights: where sessions are kept.
        """
        self._gate = gate
        self._rights = rights

    def routes(self) -> list[Route]:
        """Return both."""
        return [
            Route("/session", self._begin, methods=["POST"]),
            Route("/session", self._end, methods=["DELETE"]),
        ]

    async def _begin(self, request: Request) -> Response:
        """Set the cookie; on a machine that asks for no token there is nothing to set."""
        peer = await self._gate.admit(request)
        if isinstance(peer, Refusal):
            return refusal(peer)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        if peer.token is not None:
            try:
                secret = await self._rights.begin_session(peer.token)
            except WhaleVisionError as error:
                return error_answer(error)
            lasts_s = int(SESSION_LASTS.total_seconds())
            path, is_https = _path(request), _is_https(request)
            response.set_cookie(COOKIE, secret, lasts_s, path=path, secure=is_https, httponly=True, samesite="strict")
        return response

    async def _end(self, request: Request) -> Response:
        """End the session, and take the cookie away."""
        peer = await self._gate.admit(request)
        if isinstance(peer, Refusal):
            return refusal(peer)
        secret = request.cookies.get(COOKIE)
        try:
            if secret is not None:
                await self._rights.end_session(secret)
        except WhaleVisionError as error:
            return error_answer(error)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        response.delete_cookie(COOKIE, path=_path(request), secure=_is_https(request), httponly=True, samesite="strict")
        return response


def _path(request: Request) -> str:
    """Return the application's prefix: another application of the same host never sees the cookie."""
    return request.scope.get("root_path") or "/"


def _is_https(request: Request) -> bool:
    """Whether the browser speaks https: a proxy that does TLS speaks http to this service, but its pages are https."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")

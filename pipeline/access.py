"""Who may connect, and who it is: decided from the handshake alone (no I/O)."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pipeline.records import LOCAL_USER, Actor

FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip"}
    | {"fastly-client-ip", "fly-client-ip"}
)
FORWARDING_PREFIXES = ("x-forwarded-", "x-original-", "x-envoy-", "x-appengine-", "cf-")
"""A reverse proxy makes every peer loopback; these headers, and all that begin so, give it away. One that sends none of
them cannot be told from a client of this machine: that is why tokens are needed behind any proxy."""


class Right(StrEnum):
    """What a peer may do."""

    CONFIRM = "confirm"
    """To say which individual a photo shows; all other requests come with it, since there is no lesser right yet."""


EVERY_RIGHT = frozenset(Right)

NEEDED: Mapping[str, Right] = {
    "extract": Right.CONFIRM,
    "identify": Right.CONFIRM,
    "save": Right.CONFIRM,
    "catalogues": Right.CONFIRM,
    "individuals": Right.CONFIRM,
    "individual": Right.CONFIRM,
    "annotations": Right.CONFIRM,
    "review": Right.CONFIRM,
    "history": Right.CONFIRM,
    "subscribe": Right.CONFIRM,
    "decide": Right.CONFIRM,
    "rename": Right.CONFIRM,
    "aliases": Right.CONFIRM,
    "merge": Right.CONFIRM,
    "split": Right.CONFIRM,
    "move": Right.CONFIRM,
    "remove": Right.CONFIRM,
    "describe": Right.CONFIRM,
    "undo": Right.CONFIRM,
}
"""The right that each request needs, by its `type`; one without a row is refused to everybody, and fails a test."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client shows when it connects.

    Attributes:
        address: its IP address, or None where the server does not know it.
        headers: lower-case names; the last value where one is repeated.
        dialect: the address's query parameter `dialect`, if it has one.
    """

    address: str | None
    headers: Mapping[str, str]
    dialect: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the client is a process of this machine, and not a proxy that speaks for another one."""
        forwarded = any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES) for name in self.headers)
        return _is_loopback(self.address) and not forwarded


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection that was let in.

    Attributes:
        actor: who speaks; stored with everything that it changes.
        rights: what it may do.
        is_local: it runs on this machine, so that it may name paths where no photo roots are set.
        array_dialect: its classic requests are answered with bare lists.
    """

    actor: Actor
    rights: frozenset[Right]
    is_local: bool
    array_dialect: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer in place of the connection: 401 (token), 403 (origin, not loopback) or 429 (come back later)."""

    status: int
    reason: str
    retry_after_s: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside its reason."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class AccessRules:
    """The rules of one service: tokens, loopback, origins."""

    def __init__(
        self,
        token_owners: Mapping[str, Actor],
        allowed_origins: Sequence[str],
        array_origins: Sequence[str],
        local_paths_with_tokens: bool = False,
    ) -> None:
        """Take the rules from the settings.

        Args:
            token_owners: sha256 (hex) of each accepted bearer token -> who speaks with it; empty admits loopback peers
                only, as the local user.
            allowed_origins: `Origin` headers that may connect, beside the service's own pages.
            array_origins: origins whose requests are answered with bare lists (the desktop app).
            local_paths_with_tokens: with tokens, believe that who comes from this machine's address is on it.
        """
        self._trusts_address = local_paths_with_tokens or not token_owners
        self._token_owners = dict(token_owners)
        self._allowed_origins = frozenset(allowed_origins)
        self._array_origins = frozenset(array_origins)

    def admit(self, handshake: Handshake) -> Peer | Refusal:
        """Return who connects, or why it may not."""
        origin = handshake.headers.get("origin")
        if origin is not None and origin not in self._allowed_origins and not _is_own_page(origin, handshake):
            return Refusal(403, f"origin {origin!r} is not in allowed_origins")
        if self._token_owners:
            owner = self._owner(handshake)
            return Refusal(401, "a valid bearer token is needed") if owner is None else self._peer(owner, handshake)
        if not handshake.is_local:
            return Refusal(403, "without tokens configured only this machine may connect, and not through a proxy")
        if not _is_loopback_host(handshake.headers.get("host", "")):
            return Refusal(403, "the Host header does not name this machine's loopback address")
        return self._peer(LOCAL_USER, handshake)

    def _peer(self, actor: Actor, handshake: Handshake) -> Peer:
        array_dialect = handshake.dialect == "array" or handshake.headers.get("origin") in self._array_origins
        return Peer(actor, EVERY_RIGHT, self._trusts_address and handshake.is_local, array_dialect)

    def _owner(self, handshake: Handshake) -> Actor | None:
        """Compare with every token, so that the time taken tells nothing of them."""
        scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
        owners = [owner for known, owner in self._token_owners.items() if hmac.compare_digest(digest, known)]
        return owners[0] if owners and scheme.lower() == "bearer" else None


def _is_own_page(origin: str, handshake: Handshake) -> bool:
    """Tell whether the page that connects came from this very address.

    Host and port are compared, the scheme is not: behind a proxy that does TLS the page is https and the request http.
    """
    scheme, _, place = origin.lower().partition("://")
    return scheme in ("http", "https") and place != "" and place == handshake.headers.get("host", "").lower()


def _is_loopback(address: str | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _is_loopback_host(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)

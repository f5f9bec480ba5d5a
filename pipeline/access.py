"""Who may connect: decided from the handshake alone (no I/O)."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""A reverse proxy makes every peer loopback; these headers give it away."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a peer shows when it connects.

    Attributes:
        peer: its IP address, or None where the server does not know it.
        headers: lower-case names; the last value where one is repeated.
    """

    peer: str | None
    headers: Mapping[str, str]

    @property
    def is_local(self) -> bool:
        """Whether the peer is a process of this machine, and not a proxy that speaks for another one."""
        return _is_loopback(self.peer) and not any(name in self.headers for name in FORWARDING_HEADERS)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer in place of the connection: 401 (token) or 403 (origin, not loopback)."""

    status: int
    reason: str


class AccessRules:
    """The rules of one service: tokens, loopback, origins."""

    def __init__(self, tokens: Sequence[str], allowed_origins: Sequence[str], array_origins: Sequence[str]) -> None:
        """Take the rules from the settings.

        Args:
            tokens: sha256 (hex) of each accepted bearer token; empty admits loopback peers only.
            allowed_origins: `Origin` headers that may connect.
            array_origins: origins whose requests are answered with bare lists (the desktop app).
        """
        self._tokens = tuple(tokens)
        self._allowed_origins = frozenset(allowed_origins)
        self._array_origins = frozenset(array_origins)

    def check(self, handshake: Handshake) -> Refusal | None:
        """Return None where the peer may connect, else why not."""
        origin = handshake.headers.get("origin")
        if origin is not None and origin not in self._allowed_origins:
            return Refusal(403, f"origin {origin!r} is not in allowed_origins")
        if self._tokens:
            return None if self._has_token(handshake) else Refusal(401, "a valid bearer token is needed")
        if not handshake.is_local:
            return Refusal(403, "without tokens configured only this machine may connect, and not through a proxy")
        if not _is_loopback_host(handshake.headers.get("host", "")):
            return Refusal(403, "the Host header does not name this machine's loopback address")
        return None

    def speaks_array_dialect(self, handshake: Handshake, query_dialect: str | None) -> bool:
        """Whether this peer is answered with bare lists: the desktop app's origins, or `?dialect=array`."""
        return query_dialect == "array" or handshake.headers.get("origin") in self._array_origins

    def _has_token(self, handshake: Handshake) -> bool:
        scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
        known = [hmac.compare_digest(digest, accepted) for accepted in self._tokens]
        return scheme.lower() == "bearer" and any(known)


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

"""Who may connect, who that is, and which right each request needs (no I/O)."""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.records import LOCAL_USER, Actor
from pipeline.rights import Held, Right, Standing

FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip"}
    | {"fastly-client-ip", "fly-client-ip"}
)
FORWARDING_PREFIXES = ("x-forwarded-", "x-original-", "x-envoy-", "x-appengine-", "cf-")
"""A reverse proxy makes every peer loopback; these headers, and all that begin so, give it away. One that sends none of
them cannot be told from a client of this machine: that is why tokens are needed behind any proxy."""


NEEDED: Mapping[str, Right] = {
    "extract": Right.MATCH,
    "identify": Right.MATCH,
    "save": Right.CONFIRM,
    "catalogues": Right.MATCH,
    "members": Right.ADMIN,
    "grant": Right.ADMIN,
    "revoke": Right.ADMIN,
    "catalogue_create": Right.ADMIN,
    "individuals": Right.VIEW,
    "individual": Right.VIEW,
    "annotations": Right.VIEW,
    "review": Right.VIEW,
    "history": Right.VIEW,
    "suggest_merges": Right.VIEW,
    "subscribe": Right.VIEW,
    "propose_sightings": Right.VIEW,
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
"""The right that each request needs, by its `type`, in the catalogue that it is about.

One without a row is refused to everybody, and fails a test.
"""

NEEDED_FOR_IDENTITY = Right.CONFIRM
"""The right that an `identify` needs besides, whose items carry an `identity`."""

NEEDED_FOR_DETAIL = Right.VIEW
"""The right that an `identify` needs instead, which asks for `references` or `filters`: they tell of annotations."""

NEEDED_FOR_STORED_PHOTO = Right.VIEW
"""The right that an `extract` of a photo in the store needs, in the photo's catalogue."""

ROUTES: Mapping[str, Right | None] = {
    "GET /": None,
    "GET /healthz": None,
    "POST /session": None,
    "DELETE /session": None,
    "HEAD /catalogues/{catalogue}/photos/{sha256}": Right.VIEW,
    "PUT /catalogues/{catalogue}/photos/{sha256}": Right.CONFIRM,
    "GET /catalogues/{catalogue}/photos/{sha256}": Right.VIEW,
    "GET /catalogues/{catalogue}/annotations/{annotation:int}/crop": Right.VIEW,
}
"""The right that each HTTP route needs in the catalogue that it is about; None of one about none.

Such a route is for whoever is let in (`/healthz` tells everybody else the state alone). One without a row fails a test.
"""

ANYWHERE = frozenset({"extract", "save", "catalogue_create"})
"""Requests that are about no catalogue: the right is needed in any."""

FOR_ALL = frozenset({"catalogues"})
"""Requests that whoever was let in may send: the answer holds what they have the right to know of."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the client must have for something to be carried out.

    Attributes:
        right: see `Right`.
        catalogue: where, by its name; None means the client's default one.
        anywhere: the right is needed in any catalogue.
        others: further catalogues, by their names, where all of this is needed, too.
        exact_place: they must see exactly where photos were taken, too.
    """

    right: Right
    catalogue: str | None = None
    anywhere: bool = False
    exact_place: bool = False
    others: tuple[str, ...] = ()

    @classmethod
    def of_request(cls, kind: str, catalogue: str | None = None) -> "Need | None":
        """Return what a request of this `type` needs; None where the answer itself is a matter of rights."""
        return None if kind in FOR_ALL else cls(NEEDED[kind], catalogue, kind in ANYWHERE)


@dataclass(frozen=True, slots=True)
class Permit:
    """What was looked up for something that may be carried out.

    Attributes:
        standing: of the client.
        catalogue: that it is about; None where it is about none.
    """

    standing: Standing
    catalogue: str | None

    @property
    def actor(self) -> Actor:
        """Who speaks."""
        return self.standing.actor

    @property
    def held(self) -> Held:
        """What the client holds in the catalogue."""
        assert self.catalogue is not None
        return self.standing.held[self.catalogue]


def permit(standing: Standing, need: Need | None) -> Permit:
    """Let a client do what it has the right to.

    Raises:
        CatalogueNeededError: the request has to name a catalogue.
        ForbiddenError: it has no such right in any catalogue, where any will do; or it may not see exact places.
        NoSuchCatalogueError: it has no such right in that catalogue, or there is none.
    """
    if need is None:
        return Permit(standing, None)
    if need.anywhere:
        standing.require_anywhere(need.right)
        return Permit(standing, None)
    named = [standing.catalogue(name, need.right) for name in (need.catalogue, *need.others)]
    if need.exact_place:
        for name in named:
            standing.held[name].require_exact_place()
    return Permit(standing, named[0])


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client shows when it connects.

    Attributes:
        address: its IP address, or None where the server does not know it.
        headers: lower-case names; the last value where one is repeated.
        dialect: the address's query parameter `dialect`, if it has one.
        session: what its cookie holds, if it has one; counts where there is no `Authorization`.
        only_reads: it is a request that changes nothing (GET, HEAD), not a socket.
    """

    address: str | None
    headers: Mapping[str, str]
    dialect: str | None = None
    session: str | None = None
    only_reads: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the client is a process of this machine, and not a proxy that speaks for another one."""
        forwarded = any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES) for name in self.headers)
        return _is_loopback(self.address) and not forwarded


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection that was let in.

    Attributes:
        actor: who speaks; stored with everything that it changes. What they may do is looked up at each request.
        token: sha256 (hex) of the token that it was let in with; None where none is asked for.
        is_local: it runs on this machine, so that it may name paths where no photo roots are set.
        array_dialect: its classic requests are answered with bare lists.
    """

    actor: Actor
    token: str | None
    is_local: bool
    array_dialect: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer in place of the connection: 401 (token), 403 (origin, not loopback), 429, 503 (later)."""

    status: int
    reason: str
    retry_after_s: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside its reason."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class AccessRules:
    """The rules of one service: tokens or this machine alone, origins."""

    def __init__(
        self,
        asks_for_tokens: bool,
        allowed_origins: Sequence[str],
        array_origins: Sequence[str],
        local_paths_with_tokens: bool = False,
    ) -> None:
        """Take the rules from the settings.

        Args:
            asks_for_tokens: else loopback peers are admitted and nobody else, as the local user.
            allowed_origins: `Origin` headers that may connect, beside the service's own pages.
            array_origins: origins whose requests are answered with bare lists (the desktop app).
            local_paths_with_tokens: with tokens, believe that who comes from this machine's address is on it.
        """
        self.asks_for_tokens = asks_for_tokens
        self._trusts_address = local_paths_with_tokens or not asks_for_tokens
        self._allowed_origins = frozenset(allowed_origins)
        self._array_origins = frozenset(array_origins)

    def admit(
        self, handshake: Handshake, owner: Actor | None = None, session_token: str | None = None
    ) -> Peer | Refusal:
        """Return who connects, or why it may not.

        Args:
            handshake: what the client shows.
            owner: whose `bearer_token` it shows, or whose session; None where it shows none, or one that is not valid.
            session_token: sha256 of the token that its session was begun with, where it shows one in place of a token.
        """
        origin = handshake.headers.get("origin")
        if origin is not None and origin not in self._allowed_origins and not _is_own_page(origin, handshake):
            return Refusal(403, f"origin {origin!r} is not in allowed_origins")
        if self.asks_for_tokens:
            token = bearer_token(handshake) or session_token
            if owner is None or token is None:
                return Refusal(401, "a valid bearer token is needed")
            if session_token is not None and origin is None and not handshake.only_reads:
                return Refusal(403, "with a session's cookie the Origin header must say which page asks")
            return self._peer(owner, token, handshake)
        if not handshake.is_local:
            return Refusal(403, "without tokens configured only this machine may connect, and not through a proxy")
        if not _is_loopback_host(handshake.headers.get("host", "")):
            return Refusal(403, "the Host header does not name this machine's loopback address")
        return self._peer(LOCAL_USER, None, handshake)

    def _peer(self, actor: Actor, token: str | None, handshake: Handshake) -> Peer:
        array_dialect = handshake.dialect == "array" or handshake.headers.get("origin") in self._array_origins
        return Peer(actor, token, self._trusts_address and handshake.is_local, array_dialect)


def bearer_token(handshake: Handshake) -> str | None:
    """Return the sha256 (hex) of the token that a client shows; None where it shows none.

    Whoever looks it up compares hashes, so that the time taken tells nothing of the token.
    """
    scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()


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

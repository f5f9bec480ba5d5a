"""Opening a WebSocket, and telling the failures that a new try may mend from those it will not."""

import ssl
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from pipeline.client.errors import AccessDeniedError, ClientError, ConnectionRejectedError, LinkLostError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_RETRYABLE_STATUS = (408, 425, 429)
_FATAL_CLOSE_CODES = (1002, 1003, 1007, 1008, 1009, 1010)


async def open_socket(url: str, token: str | None, open_timeout_s: float, *, was_connected: bool) -> ClientConnection:
    """Connect once.

    Args:
        url: ws:// or wss:// address.
        token: sent as `Authorization: Bearer`; never logged.
        open_timeout_s: for TCP, TLS and the handshake together.
        was_connected: this server has been reached before, so that a 404 is a service that restarts, not a wrong path.

    Raises:
        LinkLostError: a new try may succeed.
        AccessDeniedError: the token is missing or wrong, or the peer is not allowed.
        ConnectionRejectedError: the address is wrong or something else answers there.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        host = urlsplit(url).hostname
        return await connect(
            url,
            additional_headers=headers,
            open_timeout=open_timeout_s,
            # Embeddings and photos hardly shrink, and a single answer may be long: every individual for every query.
            compression=None,
            max_size=None,
            # A machine that computes embeddings on all its cores answers pings late.
            ping_timeout=120.0,
            close_timeout=2.0,
            # A company proxy set in the environment cannot reach this machine's own service.
            proxy=None if host in _LOOPBACK else True,
        )
    except (WebSocketException, OSError, EOFError, ValueError) as error:
        raise _explain_handshake(url, error, was_connected) from error


def _explain_handshake(url: str, error: Exception, was_connected: bool) -> ClientError:
    if isinstance(error, InvalidStatus):
        return _explain_status(url, error.response.status_code, was_connected)
    if isinstance(error, InvalidURI | ValueError) and not isinstance(error, ssl.SSLError):
        return ConnectionRejectedError(f"{url} is not an address like ws://127.0.0.1:8765 ({error})")
    if isinstance(error, ssl.SSLError):
        return ConnectionRejectedError(f"{url}: no secure connection ({error})")
    if isinstance(error, OSError | EOFError | InvalidMessage | InvalidProxyMessage | InvalidProxyStatus):
        return LinkLostError(f"cannot connect to {url}: {str(error) or type(error).__name__}")
    return ConnectionRejectedError(f"what answers at {url} is not this service ({error})")


def _explain_status(url: str, status: int, was_connected: bool) -> ClientError:
    if status in (401, 403):
        return AccessDeniedError(f"{url} refuses this client (HTTP {status}): give a valid token, or ask its operator")
    if status >= 500 or status in _RETRYABLE_STATUS or (status == 404 and was_connected):
        return LinkLostError(f"{url} is not ready (HTTP {status})")
    return ConnectionRejectedError(f"there is no such service at {url} (HTTP {status}): check the address and its path")


def explain_close(url: str, error: ConnectionClosed) -> ClientError:
    """Say why an open connection ended.

    Returns:
        `LinkLostError` where a new connection may do (1000 idle, 1001, 1006, 1011, 1012, 1013, ...), and
        `ConnectionRejectedError` where the server closed it for what this client did or is (1008, 1009, ...).
    """
    if error.rcvd is None:
        return LinkLostError(f"the connection to {url} broke")
    code, reason = error.rcvd.code, error.rcvd.reason
    said = f"{url} closed the connection ({code}{': ' + reason if reason else ''})"
    return ConnectionRejectedError(said) if code in _FATAL_CLOSE_CODES else LinkLostError(said)

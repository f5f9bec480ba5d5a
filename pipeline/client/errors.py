"""What can go wrong for a client as a whole; what goes wrong for one photo is in its result (`ItemFailure`)."""

from pipeline.errors import WhaleVisionError


class ClientError(WhaleVisionError):
    """Root of the client's tree."""

    code = "client"


class ConnectionLostError(ClientError):
    """The connection ended, or could not be opened, in a way that trying again may mend; the client does so itself."""

    code = "connection_lost"


class ServerUnreachableError(ClientError):
    """The server gave no answer for as long as the client was told to go on trying."""

    code = "server_unreachable"


class AccessDeniedError(ClientError):
    """The server refuses this client (HTTP 401 or 403): the token is missing or wrong, or the peer is not allowed."""

    code = "access_denied"


class ConnectionRejectedError(ClientError):
    """The server, or what stands at its address, will not talk to this client; trying again would not help."""

    code = "connection_rejected"


class BadAnswerError(ClientError):
    """The server's answer is not in the protocol: it is another service, or one of another release."""

    code = "bad_answer"


class RequestFailedError(ClientError):
    """The server refused a request as a whole; `code` is the server's, one of `pipeline.errors`."""

    def __init__(self, code: str, message: str) -> None:
        WhaleVisionError.__init__(self, message)
        self.args = (code, message)
        self.code = code


class ClientClosedError(ClientError):
    """The client was closed, before or during the call."""

    code = "client_closed"


class FolderLayoutError(ClientError):
    """The folder to enrol is not laid out as one sub-folder an individual."""

    code = "folder_layout"

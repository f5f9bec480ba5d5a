"""The errors of a connection's state machine; they end the connection, and reach no client as a code."""

from pipeline.errors import WhaleVisionError


class PolicyViolationError(WhaleVisionError):
    """The peer broke the protocol in a way that cannot be answered (WebSocket close code 1008)."""

    code = "policy"


class IllegalTransitionError(WhaleVisionError):
    """A state machine was asked for a transition that its table does not have: a defect of ours."""

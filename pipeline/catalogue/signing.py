"""Signed descriptions of rankings: what was compared, as an answer brings it and a decision may bring it back.

A description is JSON, a point, and the hexadecimal HMAC-SHA256 of the JSON. Its key is the database's: all matchers
that share it sign alike, and nobody else does.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, insert, select

from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import metadata

# One row, made with the tables.
signing_keys = Table(
    "signing_keys", metadata, Column("id", Integer, primary_key=True), Column("key", LargeBinary, nullable=False)
)

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signed:
    """A description that carries the signature of the database's key.

    Attributes:
        text: the JSON.
        heads: state of each catalogue that was ranked, by its name; without those that its client might not view.
    """

    text: str
    heads: Mapping[str, Head]


def make_signing_key(connection: Connection) -> None:
    """Draw the database's key."""
    connection.execute(insert(signing_keys).values(id=1, key=secrets.token_bytes(_KEY_BYTES)))


def read_signing_key(connection: Connection) -> bytes:
    """Return the database's key."""
    return bytes(connection.execute(select(signing_keys.c.key)).scalar_one())


def sign(key: bytes, description: Mapping[str, Any]) -> str:
    """Return a description as text with its signature."""
    text = json.dumps(description, separators=(",", ":"), sort_keys=True)
    return f"{text}.{_signature(key, text)}"


def read_signed(key: bytes, signed: str) -> Signed | None:
    """Read a signed description; None where it is not by this key."""
    text, _, signature = signed.rpartition(".")
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key, text).encode()):
        return None
    description = json.loads(text)
    compared = description.get("catalogues", [description])
    return Signed(text, {one["catalogue"]: Head(one["version"], one["nonce"]) for one in compared if "version" in one})


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), "sha256").hexdigest()

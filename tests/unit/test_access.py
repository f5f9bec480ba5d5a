import hashlib

import pytest

from pipeline.access import AccessRules, Handshake

ORIGINS = ("file://", "http://localhost:1212")
OPEN = AccessRules((), ORIGINS, ORIGINS)
GUARDED = AccessRules((hashlib.sha256(b"secret").hexdigest(),), ORIGINS, ORIGINS)


def shake(peer="127.0.0.1", **headers):
    return Handshake(peer, {"host": "localhost:8765", **{k.replace("_", "-"): v for k, v in headers.items()}})


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:8765", "[::1]:8765"])
def test_loopback_peer_with_loopback_host_is_let_in(peer, host):
    assert OPEN.check(shake(peer, host=host)) is None


@pytest.mark.parametrize("peer", ["192.168.1.5", "10.0.0.1", "8.8.8.8", "fe80::1", None, "", "testclient"])
def test_other_peers_are_refused_without_tokens(peer):
    assert OPEN.check(shake(peer)).status == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "10.0.0.1:8765"])
def test_dns_rebinding_host_is_refused(host):
    assert OPEN.check(shake(host=host)).status == 403


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via", "x_forwarded_host"])
def test_forwarded_request_is_not_local(header):
    assert OPEN.check(shake(**{header: "8.8.8.8"})).status == 403
    assert not shake(**{header: "8.8.8.8"}).is_local


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1213", ""])
def test_foreign_origin_is_refused_even_with_a_token(origin):
    assert OPEN.check(shake(origin=origin)).status == 403
    assert GUARDED.check(shake(origin=origin, authorization="Bearer secret")).status == 403


@pytest.mark.parametrize("origin", ORIGINS)
def test_desktop_app_is_let_in_and_gets_lists(origin):
    assert OPEN.check(shake(origin=origin)) is None
    assert OPEN.speaks_array_dialect(shake(origin=origin), None)


def test_dialect_can_be_asked_for():
    assert OPEN.speaks_array_dialect(shake(), "array")
    assert not OPEN.speaks_array_dialect(shake(), None)
    assert not OPEN.speaks_array_dialect(shake(), "other")


def test_token_admits_any_peer():
    assert GUARDED.check(shake("8.8.8.8", host="whales.example", authorization="Bearer secret")) is None
    assert GUARDED.check(shake("8.8.8.8", authorization="bearer  secret")) is None


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer sécret", "Bearer \udcff"]
)
def test_wrong_token_is_refused_also_from_loopback(value):
    assert GUARDED.check(shake(authorization=value)).status == 401


def test_missing_token_is_refused():
    assert GUARDED.check(shake()).status == 401

import hashlib

import pytest

from pipeline.access import AccessRules, Handshake, Peer, bearer_token
from pipeline.records import LOCAL_USER, Actor

ORIGINS = ("file://", "http://localhost:1212")
MAYA = Actor("WDC", "Maya")
PIPELINE = Actor("WDC", "nightly", "program")
OWNERS = {hashlib.sha256(b"secret").hexdigest(): MAYA, hashlib.sha256(b"machine").hexdigest(): PIPELINE}
OPEN = AccessRules(False, ORIGINS, ORIGINS)


class Guarded(AccessRules):
    """Rules that ask for tokens, with their owners looked up."""

    def admit(self, handshake):
        return super().admit(handshake, OWNERS.get(bearer_token(handshake)))


GUARDED = Guarded(True, ORIGINS, ORIGINS)


def shake(address="127.0.0.1", dialect=None, **headers):
    given = {"host": "localhost:8765", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Handshake(address, given, dialect)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:8765", "[::1]:8765"])
def test_loopback_peer_with_loopback_host_is_let_in(address, host):
    assert OPEN.admit(shake(address, host=host)) == Peer(LOCAL_USER, None, True, False)


@pytest.mark.parametrize("address", ["192.168.1.5", "10.0.0.1", "8.8.8.8", "fe80::1", None, "", "testclient"])
def test_other_peers_are_refused_without_tokens(address):
    assert OPEN.admit(shake(address)).status == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "10.0.0.1:8765"])
def test_dns_rebinding_host_is_refused(host):
    assert OPEN.admit(shake(host=host)).status == 403


FORWARDED = ("x_forwarded_for", "forwarded", "x_real_ip", "via", "x_forwarded_host", "x_forwarded_port")
VENDORS = ("cf_connecting_ip", "cf_ray", "x_client_ip", "true_client_ip", "x_envoy_external_address", "x_original_host")


@pytest.mark.parametrize("header", FORWARDED + VENDORS)
def test_forwarded_request_is_not_local(header):
    assert OPEN.admit(shake(**{header: "8.8.8.8"})).status == 403
    assert not shake(**{header: "8.8.8.8"}).is_local


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1213", ""])
def test_foreign_origin_is_refused_even_with_a_token(origin):
    assert OPEN.admit(shake(origin=origin)).status == 403
    assert GUARDED.admit(shake(origin=origin, authorization="Bearer secret")).status == 403


@pytest.mark.parametrize("origin", ORIGINS)
def test_desktop_app_is_let_in_and_gets_lists(origin):
    assert OPEN.admit(shake(origin=origin)).array_dialect


def test_dialect_can_be_asked_for():
    assert OPEN.admit(shake(dialect="array")).array_dialect
    assert not OPEN.admit(shake()).array_dialect
    assert not OPEN.admit(shake(dialect="other")).array_dialect


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "localhost"])
def test_own_page_is_let_in(host):
    peer = OPEN.admit(shake(host=host, origin=f"http://{host}"))
    assert (peer.actor, peer.array_dialect) == (LOCAL_USER, False)


def test_own_page_behind_a_tls_proxy_is_let_in_with_a_token():
    page = {"host": "Whales.example", "origin": "https://whales.example", "x_forwarded_for": "8.8.8.8"}
    assert GUARDED.admit(shake(**page, authorization="Bearer secret")).actor == MAYA
    assert GUARDED.admit(shake(**page)).status == 401


def test_page_that_was_rebound_to_this_machine_is_refused():
    assert OPEN.admit(shake(host="evil.example:8765", origin="http://evil.example:8765")).status == 403


@pytest.mark.parametrize("origin", ["null", "", "http://", "file://evil", "http://localhost", "http://localhost:87650"])
@pytest.mark.parametrize("host", ["localhost:8765", ""])
def test_what_only_resembles_the_own_page_is_refused(origin, host):
    assert GUARDED.admit(shake(host=host, origin=origin, authorization="Bearer secret")).status == 403


def test_token_admits_its_owner_from_anywhere():
    peer = GUARDED.admit(shake("8.8.8.8", host="whales.example", authorization="Bearer secret"))
    assert peer == Peer(MAYA, hashlib.sha256(b"secret").hexdigest(), False, False)
    assert GUARDED.admit(shake("8.8.8.8", authorization="bearer  machine")).actor == PIPELINE


def test_owner_of_a_token_on_this_machine_may_name_paths_only_where_the_settings_say_so():
    trusting = Guarded(True, ORIGINS, ORIGINS, local_paths_with_tokens=True)
    assert not GUARDED.admit(shake(authorization="Bearer secret")).is_local
    assert trusting.admit(shake(authorization="Bearer secret")).is_local
    assert not trusting.admit(shake(authorization="Bearer secret", via="proxy")).is_local


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer sécret", "Bearer \udcff"]
)
def test_wrong_token_is_refused_also_from_loopback(value):
    assert GUARDED.admit(shake(authorization=value)).status == 401


def test_missing_token_is_refused():
    assert GUARDED.admit(shake()).status == 401


def test_an_owner_without_a_token_shown_is_nobody():
    assert AccessRules(True, ORIGINS, ORIGINS).admit(shake(), MAYA).status == 401

"""Wrong tokens are slowed down by address, and nobody else notices."""

import asyncio
import hashlib

import pytest

from deployments.admission import FORGOTTEN_AFTER_S, MAX_ADDRESSES, TRY_AGAIN_S, Admission
from pipeline.access import AccessRules, Handshake, Peer
from pipeline.errors import CatalogueUnavailableError
from pipeline.records import Actor

MAYA = Actor("WDC", "Maya")


class Door:
    """An admission with a clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.fails: CatalogueUnavailableError | None = None
        self.looked_up = 0
        self._admission = Admission(AccessRules(True, (), ()), self, lambda: self.now_s)

    async def owner(self, token: str) -> Actor | None:
        self.looked_up += 1
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        return {hashlib.sha256(b"right").hexdigest(): MAYA}.get(token)

    async def session(self, secret: str) -> str | None:
        if self.fails is not None:
            raise self.fails
        return {"begun": hashlib.sha256(b"right").hexdigest(), "stale": hashlib.sha256(b"revoked").hexdigest()}.get(
            secret
        )

    def knock(self, token: str | None = "wrong", address: str | None = "192.0.2.1") -> int:
        """Return the HTTP status: 101 for who is let in."""
        return asyncio.run(self.knock_beside_others(token, address))

    async def knock_beside_others(self, token: str | None = "wrong", address: str | None = "192.0.2.1") -> int:
        """Do the same, where others knock meanwhile."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = await self._admission.admit(Handshake(address, headers))
        if isinstance(answer, Peer):
            return 101
        assert (answer.status in (429, 503)) == (answer.retry_after_s is not None)
        self.retry_after_s = answer.retry_after_s
        return answer.status


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_few_wrong_tokens_cost_nothing(door: Door) -> None:
    assert [door.knock(), door.knock(), door.knock("right")] == [401, 401, 101]


def test_the_pause_doubles_with_each_wrong_token_up_to_a_minute(door: Door) -> None:
    pauses = []
    for _ in range(2):
        door.knock()
    for _ in range(9):
        assert door.knock() == 401
        assert door.knock() == 429
        pauses.append(door.retry_after_s)
        door.now_s += door.retry_after_s or 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_three_hundred_guesses_take_hours(door: Door) -> None:
    started_s, looked_at = door.now_s, 0
    while looked_at < 300:
        if door.knock() == 429:
            door.now_s += door.retry_after_s or 0
        else:
            looked_at += 1
    assert door.now_s - started_s > 4 * 3600


def test_during_the_pause_no_answer_tells_a_right_token_from_a_wrong_one(door: Door) -> None:
    for _ in range(3):
        door.knock()
    assert door.knock("right") == 429
    door.now_s += 1
    assert door.knock("right") == 101


def test_other_addresses_do_not_notice(door: Door) -> None:
    for _ in range(3):
        door.knock()
    assert door.knock("right", "192.0.2.2") == 101
    assert door.knock("wrong", "192.0.2.2") == 401


def test_a_right_token_makes_up_for_the_wrong_ones(door: Door) -> None:
    for _ in range(3):
        door.knock()
    door.now_s += 1
    assert [door.knock("right"), door.knock(), door.knock(), door.knock(), door.knock()] == [101, 401, 401, 401, 429]


def test_handshakes_without_a_token_are_no_guesses(door: Door) -> None:
    assert {door.knock(None) for _ in range(20)} == {401}
    assert door.knock("right") == 101


def test_wrong_tokens_are_forgotten_after_a_while(door: Door) -> None:
    for _ in range(3):
        door.knock()
    door.now_s += FORGOTTEN_AFTER_S + 1
    assert [door.knock(), door.knock(), door.knock(), door.knock()] == [401, 401, 401, 429]


def test_all_addresses_of_an_ipv6_customer_count_as_one(door: Door) -> None:
    for host in range(3):
        door.knock(address=f"2001:db8::{host + 1}")
    assert door.knock(address="2001:db8::99") == 429
    assert door.knock(address="2001:db8:0:1::1") == 401


def test_the_table_is_bounded_and_keeps_who_guessed_last(door: Door) -> None:
    for number in range(MAX_ADDRESSES):
        door.knock(address=f"10.0.{number // 256}.{number % 256}")
    for _ in range(3):
        door.knock()
    assert len(door._admission._guesses) == MAX_ADDRESSES
    assert door.knock() == 429


def test_the_log_names_the_address_and_no_token(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        door.knock("guessed")
    assert "192.0.2.1 sent 3 wrong tokens; its next is looked at in 1 s" in caplog.text
    assert "guessed" not in caplog.text


async def test_of_many_guesses_at_once_three_are_looked_up(door: Door) -> None:
    answers = await asyncio.gather(*(door.knock_beside_others() for _ in range(50)))
    assert (sorted(answers), door.looked_up) == ([401] * 3 + [429] * 47, 3)


def test_a_token_that_cannot_be_looked_up_is_no_guess(door: Door) -> None:
    door.fails = CatalogueUnavailableError("the server is away")
    assert [door.knock("right") for _ in range(5)] == [503] * 5
    assert door.retry_after_s == TRY_AGAIN_S
    door.fails = None
    assert door.knock("right") == 101


async def test_without_tokens_nothing_is_slowed_down_or_looked_up(door: Door) -> None:
    admission = Admission(AccessRules(False, (), ()), door, lambda: 0.0)
    handshake = Handshake("127.0.0.1", {"host": "localhost", "authorization": "Bearer any"})
    assert all([isinstance(await admission.admit(handshake), Peer) for _ in range(10)])
    assert door.looked_up == 0


@pytest.mark.parametrize(
    ("session", "headers", "only_reads", "expected"),
    [
        ("begun", {}, True, 101),
        ("begun", {"origin": "http://whales.example.org", "host": "whales.example.org"}, False, 101),
        ("begun", {"origin": "http://evil.example.org", "host": "whales.example.org"}, True, 403),
        ("begun", {"host": "whales.example.org"}, False, 403),  # no browser sends a cookie there without an Origin
        ("begun", {"authorization": "Bearer wrong"}, True, 401),  # a token that is shown counts
        ("stale", {}, True, 401),
        ("ended", {}, True, 401),
    ],
)
def test_a_sessions_cookie_is_as_good_as_its_token(
    door: Door, session: str, headers: dict[str, str], only_reads: bool, expected: int
) -> None:
    shaken = Handshake("192.0.2.1", headers, session=session, only_reads=only_reads)
    answer = asyncio.run(door._admission.admit(shaken))
    assert (101 if isinstance(answer, Peer) else answer.status) == expected


def test_wrong_cookies_are_no_guesses_and_are_told_when_they_cannot_be_looked_up(door: Door) -> None:
    shaken = Handshake("192.0.2.1", {}, session="ended", only_reads=True)
    for _ in range(10):
        answer = asyncio.run(door._admission.admit(shaken))
        assert not isinstance(answer, Peer)
        assert answer.status == 401
    assert door.knock("right") == 101
    door.fails = CatalogueUnavailableError("locked")
    answer = asyncio.run(door._admission.admit(shaken))
    assert not isinstance(answer, Peer)
    assert (answer.status, answer.retry_after_s) == (503, TRY_AGAIN_S)

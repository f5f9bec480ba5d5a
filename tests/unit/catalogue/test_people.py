"""Institutions, users, tokens, sessions, roles and grants in the database, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pipeline.catalogue.database import open_database
from pipeline.catalogue.giving import TOKEN_PREFIX, Gift
from pipeline.catalogue.people import People, open_people
from pipeline.catalogue.scope import digest
from pipeline.catalogue.sql_store import make_catalogue, open_catalogue
from pipeline.errors import CatalogueOpenError, ChangeRefusedError
from pipeline.records import LOCAL_USER, OPERATOR, Actor
from pipeline.rights import Held, Right
from tests.confirming import confirm, word

MAYA, NIGHTLY, OLE = Actor("WDC", "Maya"), Actor("WDC", "nightly", "program"), Actor("BAS", "Ole")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 7, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make_catalogue(url)
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(url: str, clock: Clock) -> Iterator[People]:
    """Maya and a program of WDC, which has the catalogue azores; Ole of BAS."""
    opened = People(open_database(url), clock)
    for user in (MAYA, NIGHTLY, OLE):
        opened.add_user(user)
    opened.add_catalogue("azores", MAYA, "sperm whale", OPERATOR)
    yield opened
    opened.close()


def held_by(people: People, actor: Actor) -> dict[str, Right]:
    return {name: held.right for name, held in people.standing(actor).held.items()}


# --- tokens and sessions ----------------------------------------------------------------------------------------------


def test_a_token_speaks_for_its_owner_and_is_kept_as_a_hash_only(people: People, url: str) -> None:
    secret = people.make_token(MAYA, "laptop")
    assert secret.startswith(TOKEN_PREFIX)
    assert len(secret) > 40
    assert people.owner(digest(secret)) == MAYA
    assert people.owner(digest(secret + "x")) is None
    engine = create_engine(url)
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM tokens")).all())
    engine.dispose()
    assert digest(secret) in kept
    assert secret.removeprefix(TOKEN_PREFIX) not in kept


def test_a_revoked_token_is_not_valid_and_stays_in_the_list(people: People, clock: Clock) -> None:
    kept, lost = (digest(people.make_token(MAYA, label)) for label in ("laptop", "lost phone"))
    clock.now += timedelta(hours=1)
    assert people.revoke_token(lost[:12]) == lost
    assert people.owner(lost) is None
    assert people.valid([kept, lost, "0" * 64]) == {kept}
    assert {entry.label: entry.revoked for entry in people.tokens()} == {"laptop": None, "lost phone": clock.now}
    revoked = clock.now
    clock.now += timedelta(hours=1)
    people.revoke_token(lost)
    assert {entry.label: entry.revoked for entry in people.tokens()} == {"laptop": None, "lost phone": revoked}


def test_a_token_expires(people: People, clock: Clock) -> None:
    token = digest(people.make_token(MAYA, "field season", timedelta(days=30)))
    clock.now += timedelta(days=30, seconds=-1)
    assert people.owner(token) == MAYA
    clock.now += timedelta(seconds=1)
    assert people.owner(token) is None
    assert people.valid([token]) == set()


@pytest.mark.parametrize("beginning", ["", "abc", "xyzw", "0000%", "%", "____", "0" * 65])
def test_a_token_is_revoked_by_digits_that_name_one(people: People, beginning: str) -> None:
    people.make_token(MAYA, "laptop")
    with pytest.raises(ChangeRefusedError):
        people.revoke_token(beginning)
    assert people.tokens()[0].revoked is None


def test_a_session_is_known_until_it_ends_or_expires(people: People, clock: Clock) -> None:
    ended, expiring = (people.begin_session("ab" * 32, timedelta(hours=8)) for _ in range(2))
    assert people.session(ended) == people.session(expiring) == "ab" * 32
    people.end_session(ended)
    assert people.session(ended) is None
    clock.now += timedelta(hours=8)
    assert people.session(expiring) is None


# --- users ------------------------------------------------------------------------------------------------------------


def test_a_user_is_added_once_and_keeps_their_row(people: People, url: str) -> None:
    confirm(open_catalogue(url), [word("a")])
    before = people.users()
    people.add_user(MAYA)
    people.add_user(LOCAL_USER)
    assert people.users() == before
    assert people.find_user("WDC", "nightly") == NIGHTLY


@pytest.mark.parametrize(
    ("actor", "named"),
    [
        (Actor("WDC", "Maya", "program"), "'Maya' of 'WDC' is a person"),
        (Actor("WDC", "  "), "name: must have 1 to 100"),
        (Actor("", "Maya"), "institution: must have 1 to 100"),
        (Actor("W\nDC", "Maya"), "institution: must have 1 to 100 characters, none of them a control"),
        (Actor("WDC", "M" * 101), "1 to 100"),
    ],
)
def test_a_user_who_cannot_be_is_refused_with_the_field(people: People, actor: Actor, named: str) -> None:
    with pytest.raises(ChangeRefusedError, match=named):
        people.add_user(actor)


# --- rights -----------------------------------------------------------------------------------------------------------


def test_nobody_holds_anything_that_nobody_gave(people: People) -> None:
    assert held_by(people, OLE) == held_by(people, NIGHTLY) == held_by(people, Actor("XYZ", "stranger")) == {}
    assert held_by(people, MAYA) == {"azores": Right.ADMIN}


@pytest.mark.parametrize("right", list(Right))
def test_a_role_is_its_actors_alone_and_sees_places_exactly(people: People, right: Right) -> None:
    people.give(Gift("azores", NIGHTLY, right), MAYA)
    assert people.standing(NIGHTLY).held == {"azores": Held(right, "WDC", "exact", "sperm whale")}
    assert held_by(people, Actor("WDC", "nightly")) == {}  # a person of that name is somebody else
    people.take_back("azores", NIGHTLY, MAYA)
    assert held_by(people, NIGHTLY) == {}


@pytest.mark.parametrize("level", [Right.MATCH, Right.VIEW, Right.CONFIRM])
def test_a_grant_is_for_everybody_of_an_institution(people: People, level: Right) -> None:
    people.give(Gift("azores", "BAS", level, "coarse"), MAYA)
    assert people.standing(OLE).held == {"azores": Held(level, "WDC", "coarse", "sperm whale")}
    assert held_by(people, Actor("BAS", "somebody new")) == {"azores": level}
    people.take_back("azores", "BAS", MAYA)
    assert held_by(people, OLE) == {}


def test_the_higher_of_role_and_grant_counts(people: People) -> None:
    people.give(Gift("azores", "BAS", Right.VIEW, "none"), MAYA)
    people.give(Gift("azores", OLE, Right.CONFIRM), OPERATOR)
    assert people.standing(OLE).held["azores"] == Held(Right.CONFIRM, "WDC", "exact", "sperm whale")
    people.give(Gift("azores", OLE, Right.MATCH), OPERATOR)
    assert held_by(people, OLE) == {"azores": Right.VIEW}


def test_a_right_takes_the_place_of_the_one_before_and_both_stay_on_record(people: People, url: str) -> None:
    for level in (Right.VIEW, Right.MATCH, Right.MATCH):
        people.give(Gift("azores", "BAS", level, "exact"), MAYA)
    assert held_by(people, OLE) == {"azores": Right.MATCH}
    assert [gift.right for gift in people.gifts("azores") if gift.to == "BAS"] == [Right.MATCH]
    engine = create_engine(url)
    with engine.connect() as connection:
        query = (
            "SELECT level, name, revoked_by IS NULL FROM grants JOIN actors ON actors.id = given_by ORDER BY grants.id"
        )
        kept = [(level, name, bool(stands)) for level, name, stands in connection.execute(text(query))]
    engine.dispose()
    assert kept == [("view", "Maya", False), ("match", "Maya", True)]


def test_the_last_admin_stays(people: People) -> None:
    with pytest.raises(ChangeRefusedError, match="no admin any more"):
        people.take_back("azores", MAYA, MAYA)
    with pytest.raises(ChangeRefusedError, match="no admin any more"):
        people.give(Gift("azores", MAYA, Right.VIEW), MAYA)
    people.give(Gift("azores", NIGHTLY, Right.ADMIN), MAYA)
    people.take_back("azores", MAYA, NIGHTLY)
    assert held_by(people, MAYA) == {}


def test_what_is_taken_back_twice_or_was_never_given_changes_nothing(people: People) -> None:
    before = people.gifts()
    people.take_back("azores", OLE, MAYA)
    people.take_back("azores", "BAS", MAYA)
    people.take_back("azores", "no such institution", MAYA)
    assert people.gifts() == before


@pytest.mark.parametrize(
    ("gift", "named"),
    [
        (Gift("azores", "BAS", Right.ADMIN), "admin is for its people"),
        (Gift("azores", "BSA", Right.VIEW), "there is no 'BSA'"),
        (Gift("absent", OLE, Right.VIEW), "there is no catalogue 'absent'"),
    ],
)
def test_what_cannot_be_given_is_named(people: People, gift: Gift, named: str) -> None:
    with pytest.raises(ChangeRefusedError, match=named):
        people.give(gift, MAYA)


# --- catalogues -------------------------------------------------------------------------------------------------------


def test_a_new_catalogue_is_empty_and_its_makers_institutions(people: People, url: str) -> None:
    people.add_catalogue("north.sea-2", OLE, None, OLE)
    assert people.standing(OLE).held == {"north.sea-2": Held(Right.ADMIN, "BAS")}
    assert held_by(people, MAYA) == {"azores": Right.ADMIN}
    catalogue = open_catalogue(url, "north.sea-2", make=False)
    assert catalogue.counts().photos == 0
    confirm(catalogue, [word("a")])
    assert open_catalogue(url).counts().photos == open_catalogue(url, "azores", make=False).counts().photos == 0


def test_a_catalogue_is_made_once(people: People) -> None:
    people.add_catalogue("azores", MAYA, "sperm whale", OPERATOR)  # asked again: nothing happens
    for admin, species in ((OLE, "sperm whale"), (MAYA, "orca"), (NIGHTLY, "sperm whale")):
        with pytest.raises(ChangeRefusedError, match="'azores' is in use"):
            people.add_catalogue("azores", admin, species, OPERATOR)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "ä", "a" * 65, "-a", "a\n"])
def test_a_name_that_no_catalogue_can_have_is_refused(people: People, name: str) -> None:
    with pytest.raises(ChangeRefusedError, match="name: a catalogue's has 1 to 64"):
        people.add_catalogue(name, MAYA, None, OPERATOR)


def test_people_are_found_only_where_there_are_tables(tmp_path: Path) -> None:
    with pytest.raises(CatalogueOpenError, match="there is no catalogue at"):
        open_people(f"sqlite:///{tmp_path}/absent.sqlite")

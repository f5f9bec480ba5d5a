"""Requests of clients in the catalogues where they may, and what of an answer each may see."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.access import Need, Permit, permit
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.permitted import answer, blur, change
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import ChangeRefusedError, ForbiddenError, NoSuchCatalogueError
from pipeline.protocol.catalogue_requests import ChangeRequest
from pipeline.protocol.reading import read_message
from pipeline.protocol.rights_requests import RightsChange
from pipeline.records import LOCAL_USER, OPERATOR, Actor, PhotoKey
from pipeline.rights import LOCAL_STANDING, Held, Right, Standing
from tests.confirming import confirm, word

MODEL = LoadedModel("fluke", "m1", 2)
MAYA, VERA, OLE = Actor("WDC", "Maya"), Actor("WDC", "Vera"), Actor("BAS", "Ole")
EXACT = {"id": 1, "latitude": 38.5312, "longitude": -28.6249, "uncertainty_m": 5.0, "locality": "Faial"}


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedCatalogues:
    """The catalogue azores of WDC, and georgia of BAS, beside the default one."""
    made = LoadedCatalogues(open_catalogue(f"sqlite:///{tmp_path}/c.sqlite"), [MODEL])
    for actor in (MAYA, VERA, OLE):
        made.people.add_user(actor)
    made.people.add_catalogue("azores", MAYA, "sperm whale", OPERATOR)
    made.people.add_catalogue("georgia", OLE, None, OPERATOR)
    return made


def ask(loaded: LoadedCatalogues, actor: Actor, kind: str, **fields: Any) -> Any:
    """Ask as a client does whose rights have just been looked up, and see whether the answer has the promised type."""
    message: Any = read_message({"type": kind, "id": "x", **fields}, "x")
    standing = LOCAL_STANDING if actor == LOCAL_USER else loaded.people.standing(actor)
    allowed = permit(standing, Need.of_request(kind, getattr(message, "catalogue", None)))
    carry_out = change if isinstance(message, ChangeRequest | RightsChange) else answer
    given = carry_out(loaded, message, allowed)
    TypeAdapter(message.reply).validate_python(given, strict=True)
    return given


def test_the_local_user_s_catalogue_is_listed_with_what_it_holds(loaded: LoadedCatalogues) -> None:
    confirm(loaded.catalogue("default"), [word("a", "Dante"), word("b", "Dante"), word("c", "Vergil")])
    holds = {"name": "default", "version": 1, "individuals": 2, "photos": 3}
    whose = {"institution": "default", "species": None, "right": "admin", "place": "exact", "default": True}
    assert ask(loaded, LOCAL_USER, "catalogues") == {"catalogues": [holds | whose]}


def test_who_may_rank_only_is_not_told_what_a_catalogue_holds(loaded: LoadedCatalogues) -> None:
    standing = Standing(OLE, {"azores": Held(Right.MATCH, "WDC", "none", "sperm whale")}, None)
    message: Any = read_message({"type": "catalogues", "id": "x"}, "x")
    entry = {"name": "azores", "institution": "WDC", "species": "sperm whale", "right": "match", "place": "none"}
    assert answer(loaded, message, Permit(standing, None)) == {"catalogues": [entry | {"default": False}]}


def test_a_change_is_made_in_the_catalogue_that_it_names(loaded: LoadedCatalogues) -> None:
    for name in ("azores", "georgia"):
        confirm(loaded.catalogue(name), [word("a", "Dante")])
    ask(loaded, MAYA, "rename", catalogue="azores", individual=1, name="Durante")
    assert ask(loaded, MAYA, "individuals")["individuals"][0]["name"] == "Durante"
    assert ask(loaded, OLE, "individuals")["individuals"][0]["name"] == "Dante"
    assert [event["actor"]["name"] for event in ask(loaded, MAYA, "history")["events"]] == ["Maya", "local user"]


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("exact", EXACT),
        ("coarse", EXACT | {"latitude": 38.5, "longitude": -28.6, "uncertainty_m": 10_000.0, "locality": None}),
        ("none", {"id": 1, "latitude": None, "longitude": None, "uncertainty_m": None, "locality": None}),
    ],
)
def test_a_place_is_seen_as_the_grant_says(place: Any, seen: dict[str, Any]) -> None:
    assert blur(EXACT, place) == seen


def test_a_coarse_place_of_which_a_part_is_missing_is_none() -> None:
    assert blur(EXACT | {"longitude": None}, "coarse") == blur(EXACT, "none")
    assert blur(EXACT | {"uncertainty_m": 20_000.0}, "coarse")["uncertainty_m"] == 20_000.0


def test_an_individual_s_encounters_are_blurred_for_who_may_not_see_places(loaded: LoadedCatalogues) -> None:
    confirm(loaded.catalogue("azores"), [word("a", "Dante")])
    (annotation,) = ask(loaded, MAYA, "annotations")["annotations"]
    made = ask(loaded, MAYA, "move", annotations=[annotation["id"]])["made"]
    ask(loaded, MAYA, "describe", sighting=made["sightings"][0], values={"latitude": 38.5312, "longitude": -28.62})
    ask(loaded, MAYA, "grant", institution="BAS", right="view")
    latitudes = [
        ask(loaded, actor, "individual", catalogue="azores", individual=1)["encounters"][0]["latitude"]
        for actor in (MAYA, OLE)
    ]
    assert latitudes == [38.5312, None]


def test_an_admin_gives_and_takes_rights(loaded: LoadedCatalogues) -> None:
    ask(loaded, MAYA, "grant", institution="WDC", user="Vera", right="confirm")
    given = ask(loaded, MAYA, "grant", institution="BAS", right="match")
    assert given["members"] == [
        {"institution": "WDC", "user": "Maya", "kind": "person", "right": "admin"},
        {"institution": "WDC", "user": "Vera", "kind": "person", "right": "confirm"},
    ]
    assert given["grants"] == [{"institution": "BAS", "right": "match", "place": "none"}]
    assert ask(loaded, MAYA, "members") == given
    assert ask(loaded, MAYA, "revoke", institution="BAS")["grants"] == []
    assert ask(loaded, MAYA, "revoke", institution="BAS")["grants"] == []


@pytest.mark.parametrize("kind", ["members", "grant", "revoke"])
def test_nobody_but_an_admin_gives_sees_or_takes_rights(loaded: LoadedCatalogues, kind: str) -> None:
    fields = {} if kind == "members" else {"institution": "WDC"} | ({"right": "view"} if kind == "grant" else {})
    ask(loaded, MAYA, "grant", institution="WDC", user="Vera", right="confirm")
    for actor, catalogue in ((VERA, "azores"), (OLE, "azores"), (MAYA, "georgia"), (MAYA, "absent")):
        with pytest.raises(NoSuchCatalogueError):
            ask(loaded, actor, kind, catalogue=catalogue, **fields)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"institution": "BAS", "user": "Ole", "right": "view"}, "user: the catalogue is of 'WDC'"),
        ({"institution": "WDC", "user": "Vear", "right": "view"}, "'WDC' has no user 'Vear'"),
        ({"institution": "BSA", "right": "view"}, "there is no 'BSA'"),
        ({"institution": "BAS", "right": "admin"}, "admin is for its people"),
    ],
)
def test_what_cannot_be_given_is_named(loaded: LoadedCatalogues, fields: dict[str, str], named: str) -> None:
    with pytest.raises(ChangeRefusedError, match=named):
        ask(loaded, MAYA, "grant", **fields)


def test_an_admin_makes_another_catalogue_of_their_institution(loaded: LoadedCatalogues) -> None:
    made = ask(loaded, MAYA, "catalogue_create", name="madeira", species="orca")
    assert (made["name"], made["institution"], made["right"], made["photos"]) == ("madeira", "WDC", "admin", 0)
    assert ask(loaded, MAYA, "catalogue_create", name="madeira", species="orca") == made
    with pytest.raises(ChangeRefusedError, match="in use"):
        ask(loaded, OLE, "catalogue_create", name="madeira")
    ask(loaded, MAYA, "grant", catalogue="madeira", institution="WDC", user="Vera", right="confirm")
    with pytest.raises(ForbiddenError):
        ask(loaded, VERA, "catalogue_create", name="another")


def test_with_local_access_no_catalogue_is_made(loaded: LoadedCatalogues) -> None:
    with pytest.raises(ForbiddenError, match="set access: tokens"):
        ask(loaded, LOCAL_USER, "catalogue_create", name="another")


def test_catalogues_are_found_by_their_names_each_time(loaded: LoadedCatalogues) -> None:
    assert loaded.catalogue("georgia").id != loaded.catalogue("azores").id
    for name in ("absent", "", "AZORES"):
        with pytest.raises(NoSuchCatalogueError):
            loaded.catalogue(name)


def test_each_catalogue_counts_what_it_holds_itself(loaded: LoadedCatalogues) -> None:
    confirm(loaded.catalogue("azores"), [word("a", "Dante")])
    (row,) = loaded.catalogue("azores").changes_since(loaded.catalogue("georgia").head()).added
    assert (row.individual, row.key) == ("Dante", PhotoKey("path:a"))
    assert loaded.status("azores") == {"individuals": 1, "photos": 1, "other_model_rows": 0}
    for name in ("georgia", "default"):
        assert loaded.status(name) == {"individuals": 0, "photos": 0, "other_model_rows": 0}
    confirm(loaded.catalogue("default"), [replace(word("b", "Vergil"), model="m0")])
    assert loaded.status("default") == {"individuals": 1, "photos": 1, "other_model_rows": 1}

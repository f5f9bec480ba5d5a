"""Which catalogue a request is about, and who may do what there."""

import pytest

from pipeline.access import Need, permit
from pipeline.errors import CatalogueNeededError, ForbiddenError, NoSuchCatalogueError
from pipeline.records import Actor
from pipeline.rights import Held, Place, Right, Standing, default_catalogue

MAYA = Actor("WDC", "Maya")
STANDING = Standing(MAYA, {"azores": Held(Right.VIEW, "WDC"), "madeira": Held(Right.MATCH, "BAS")}, None)


@pytest.mark.parametrize(
    ("right", "included"),
    [
        (Right.MATCH, {Right.MATCH}),
        (Right.VIEW, {Right.MATCH, Right.VIEW}),
        (Right.CONFIRM, {Right.MATCH, Right.VIEW, Right.CONFIRM}),
        (Right.ADMIN, set(Right)),
    ],
)
def test_each_right_includes_those_before_it(right: Right, included: set[Right]) -> None:
    assert {other for other in Right if right.includes(other)} == included
    assert {other for other in Right if right in other.sufficient} == included


def test_a_request_is_about_the_catalogue_that_it_names_where_the_right_is_held() -> None:
    assert STANDING.catalogue("azores", Right.VIEW) == "azores"
    assert STANDING.catalogue("madeira", Right.MATCH) == "madeira"


def test_absent_unknown_and_forbidden_catalogues_are_refused_in_the_same_words() -> None:
    said = set()
    for name, right in (("absent", Right.VIEW), ("madeira", Right.VIEW), ("", Right.VIEW), ("default", Right.VIEW)):
        with pytest.raises(NoSuchCatalogueError) as refused:
            STANDING.catalogue(name, right)
        said.add(str(refused.value))
    assert len(said) == 1


def test_a_request_that_names_no_catalogue_is_about_the_default_one_or_has_to_name_one() -> None:
    with pytest.raises(CatalogueNeededError):
        STANDING.catalogue(None, Right.MATCH)
    assert Standing(MAYA, STANDING.held, "azores").catalogue(None, Right.MATCH) == "azores"
    with pytest.raises(NoSuchCatalogueError):
        Standing(MAYA, STANDING.held, "azores").catalogue(None, Right.CONFIRM)


@pytest.mark.parametrize(
    ("held", "default"),
    [
        ({}, None),
        ({"azores": "WDC"}, "azores"),
        ({"azores": "WDC", "default": "default"}, "azores"),
        ({"azores": "WDC", "madeira": "WDC"}, None),
        ({"azores": "WDC", "madeira": "WDC", "default": "default"}, None),
        ({"azores": "WDC", "default": "WDC"}, "default"),
        ({"default": "default"}, "default"),
        ({"default": "default", "madeira": "BAS"}, "default"),
        ({"madeira": "BAS"}, None),
    ],
)
def test_the_default_catalogue_is_the_institutions_only_one_or_default(
    held: dict[str, str], default: str | None
) -> None:
    assert default_catalogue("WDC", {name: Held(Right.VIEW, of) for name, of in held.items()}) == default


def test_some_requests_need_a_right_in_any_catalogue() -> None:
    STANDING.require_anywhere(Right.VIEW)
    with pytest.raises(ForbiddenError):
        STANDING.require_anywhere(Right.CONFIRM)
    with pytest.raises(ForbiddenError):
        Standing(MAYA, {}, None).require_anywhere(Right.MATCH)


@pytest.mark.parametrize("place", ["coarse", "none"])
def test_what_compares_places_needs_to_see_them_exactly(place: Place) -> None:
    need = Need(Right.VIEW, "azores", exact_place=True)
    assert permit(STANDING, need).catalogue == "azores"
    hidden = Standing(MAYA, {"azores": Held(Right.ADMIN, "WDC", place)}, None)
    with pytest.raises(ForbiddenError, match="box and around"):
        permit(hidden, need)
    assert permit(hidden, Need(Right.VIEW, "azores")).catalogue == "azores"


def test_what_is_asked_of_several_catalogues_needs_all_of_it_in_each() -> None:
    held = {"azores": Held(Right.VIEW, "WDC"), "madeira": Held(Right.MATCH, "BAS"), "georgia": Held(Right.VIEW, "BAS")}
    standing = Standing(MAYA, held, None)
    assert permit(standing, Need(Right.MATCH, "azores", others=("madeira", "georgia"))).catalogue == "azores"
    assert permit(standing, Need(Right.VIEW, "georgia", others=("azores",))).catalogue == "georgia"
    said = set()
    for others in (("madeira",), ("absent",), ("georgia", "madeira"), ("georgia", "absent")):
        with pytest.raises(NoSuchCatalogueError) as refused:
            permit(standing, Need(Right.VIEW, "azores", others=others))
        said.add(str(refused.value))
    assert len(said) == 1
    coarse = Standing(MAYA, {**held, "georgia": Held(Right.VIEW, "BAS", "coarse")}, None)
    with pytest.raises(ForbiddenError, match="box and around"):
        permit(coarse, Need(Right.VIEW, "azores", exact_place=True, others=("georgia",)))


def test_a_token_of_the_settings_confirms_in_default_which_stays_what_its_requests_mean() -> None:
    standing = Standing(MAYA, {"azores": Held(Right.ADMIN, "WDC")}, "azores").with_token_of_the_settings()
    assert standing.default == "default"
    assert standing.held == {"azores": Held(Right.ADMIN, "WDC"), "default": Held(Right.CONFIRM, "default")}


def test_a_token_of_the_settings_takes_no_higher_right_away() -> None:
    admin = Held(Right.ADMIN, "default")
    assert Standing(MAYA, {"default": admin}, "default").with_token_of_the_settings().held == {"default": admin}

"""The client has rules for names of its own, which must be the service's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import names as service
from pipeline.client.names import RESERVED, fold_name, normal_name
from pipeline.records import UNKNOWN

SPELLINGS = [
    "PMOD001_DANTE",
    "pmod001 _dante ",
    "ＰＭＯＤ００１_DANTE",
    "Zoe\u0308",
    "Straße",
    "ΣΊΣΥΦΟΣ",
    "İstanbul",
    "ﬁn",
    "\u200bNO\u00adVA\ufeff",
    "NOVA\U000e0041",
    "क\u094d\u200dष",
    "\u0601١٢",
    "old\u00a0tom\u3000",
    "\u0345\u0399\u0301",
    "",
]
"""Case, width, white space, composed and decomposed letters, format characters that are seen and that are not."""


@pytest.mark.parametrize("name", SPELLINGS, ids=ascii)
def test_the_client_folds_names_as_the_service_does(name: str) -> None:
    assert fold_name(name) == service.fold_name(name)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_client_folds_any_text_as_the_service_does(name: str) -> None:
    assert fold_name(name) == service.fold_name(name)


def test_the_client_trims_and_composes_names_as_the_service_does() -> None:
    assert normal_name(" Zoe\u0308 ") == service.normalise_name(" Zoe\u0308 ")


def test_the_client_reserves_the_name_that_the_service_does() -> None:
    assert UNKNOWN.casefold() == RESERVED

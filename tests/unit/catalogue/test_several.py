"""Rankings in several catalogues put together, as far as their client may see each."""

import json
from dataclasses import replace

import pytest

from pipeline.catalogue.rows import Head
from pipeline.catalogue.several import merged
from pipeline.catalogue.signing import read_signed, sign
from pipeline.records import Candidate, Failure, Ranking, Reference

KEY = b"the database's"
UNKNOWN = Candidate("Unknown", 1.0)
COMMON = {"model": "m1", "type": "fluke", "topK": 3, "references": 0, "filters": {}}
REFERENCES = (Reference(9, 0.3, None),)


def ranked(name: str, *candidates: Candidate, version: int = 4) -> Ranking:
    """Rank in a catalogue of as many individuals as its version says."""
    own = {"catalogue": name, "version": version, "nonce": name[:2], "individuals": version}
    return Ranking(candidates, None, version, sign(KEY, COMMON | own))


AZORES = ranked("azores", Candidate("Dante", 0.304, 1, REFERENCES), UNKNOWN, Candidate("Bice", 1.2, 2))
GEORGIA = ranked("georgia", Candidate("Dante", 0.296, 5), Candidate("Io", 0.9961, 6), UNKNOWN, version=7)


def merge(azores: bool, georgia: bool, top_k: int | None = None) -> Ranking:
    views = {"azores": azores, "georgia": georgia}
    (ranking,) = merged({"azores": [AZORES], "georgia": [GEORGIA]}, views, top_k, KEY)
    return ranking


def told(ranking: Ranking) -> list[tuple[str | None, str, float, int | None]]:
    return [(each.catalogue, each.individual, each.distance, each.number) for each in ranking.candidates]


def test_candidates_stand_by_distance_whosever_they_are_and_unknown_once() -> None:
    assert told(merge(azores=True, georgia=True)) == [
        ("georgia", "Dante", 0.296, 5),
        ("azores", "Dante", 0.304, 1),
        ("georgia", "Io", 0.9961, 6),
        (None, "Unknown", 1.0, None),
        ("azores", "Bice", 1.2, 2),
    ]
    assert merge(azores=True, georgia=True).candidates[1].references == REFERENCES


def test_rounded_distances_are_compared_as_they_are_told() -> None:
    """0.296 is below 0.304; rounded to 0.30 it is too, and 0.9961 becomes a tie with "Unknown", which stands first."""
    assert told(merge(azores=True, georgia=False)) == [
        ("georgia", "Dante", 0.3, None),
        ("azores", "Dante", 0.304, 1),
        (None, "Unknown", 1.0, None),
        ("georgia", "Io", 1.0, None),
        ("azores", "Bice", 1.2, 2),
    ]
    assert told(merge(azores=False, georgia=False))[:2] == [
        ("azores", "Dante", 0.3, None),
        ("georgia", "Dante", 0.3, None),
    ], "a tie stands in the order in which the catalogues were named: nothing tells which is nearer"


@pytest.mark.parametrize("top_k", [1, 2, 4, 5, 9])
def test_so_many_candidates_are_told_as_were_asked_for(top_k: int) -> None:
    assert merge(True, True, top_k).candidates == merge(True, True).candidates[:top_k]


def test_the_description_is_signed_and_names_each_state_that_its_client_may_know() -> None:
    whole = merge(azores=True, georgia=True)
    signed = read_signed(KEY, whole.description or "")
    assert signed is not None
    assert signed.heads == {"azores": Head(4, "az"), "georgia": Head(7, "ge")}
    assert whole.individuals == 11
    assert json.loads(signed.text) == COMMON | {
        "catalogues": [
            {"catalogue": "azores", "version": 4, "nonce": "az", "individuals": 4},
            {"catalogue": "georgia", "version": 7, "nonce": "ge", "individuals": 7},
        ]
    }
    part = merge(azores=True, georgia=False)
    signed = read_signed(KEY, part.description or "")
    assert signed is not None
    assert signed.heads == {"azores": Head(4, "az")}
    assert part.individuals is None
    assert json.loads(signed.text)["catalogues"][1] == {"catalogue": "georgia"}
    assert read_signed(b"another", part.description or "") is None


def test_a_query_that_cannot_be_answered_has_its_failure_and_spoils_no_other() -> None:
    failed = Ranking((), Failure("bad_embedding", "q.jpg: too short"))
    alone = {"azores": [failed, AZORES], "georgia": [failed, GEORGIA]}
    first, second = merged(alone, dict.fromkeys(alone, True), None, KEY)
    assert first == failed
    assert second == merge(True, True)


def test_photos_that_are_not_ranked_are_counted_where_there_are_some() -> None:
    some = {"azores": [replace(AZORES, photos=(3, 5))], "georgia": [replace(GEORGIA, photos=(1, 2))]}
    assert merged(some, dict.fromkeys(some, True), None, KEY)[0].photos == (4, 7)
    assert merged(some, {"azores": False, "georgia": True}, None, KEY)[0].photos == (1, 2)


def test_how_many_photos_are_ranked_is_signed_for_those_who_may_view_the_catalogue() -> None:
    told = {"catalogue": "azores", "version": 4, "nonce": "az", "individuals": 4, "photos": [3, 5]}
    some = {"azores": [replace(AZORES, description=sign(KEY, COMMON | told))], "georgia": [GEORGIA]}
    for views, of_azores in ((True, told), (False, {"catalogue": "azores"})):
        (ranking,) = merged(some, {"azores": views, "georgia": True}, None, KEY)
        signed = read_signed(KEY, ranking.description or "")
        assert signed is not None
        description = json.loads(signed.text)
        assert "photos" not in description
        assert description["catalogues"][0] == of_azores


def test_rankings_of_all_photos_count_none() -> None:
    assert merge(azores=True, georgia=True).photos is None

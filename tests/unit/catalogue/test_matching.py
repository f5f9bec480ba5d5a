import random
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import EMPTY, Confirmation, ImportBatch, ImportFile
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import CatalogueUnavailableError
from pipeline.records import LOCAL_USER, Actor, PhotoKey, Query, Ranking
from tests.confirming import ConfirmingMatcher, confirm
from tests.memory_catalogue import MemoryCatalogue

FLUKE, FLANK = (LoadedModel(part, model, 2, normalised=False) for part, model in (("fluke", "m1"), ("flank", "m2")))
"""Their embeddings may stand anywhere in the plane, where distances are worked out by hand."""
Statement = tuple[str, str, str, str, tuple[float, ...]]  # photo, body part, individual, model, values


def query(
    photo: str = "path:q",
    values: Sequence[float] = (0.0, 0.0),
    identity: str | None = None,
    part: str = "fluke",
    model: str | None = None,
    animal: int = 1,
) -> Query:
    array = np.array(values, dtype=np.float32)
    return Query(PhotoKey(photo, animal), photo.removeprefix("path:"), part, array, model, identity)


def confirmation(statement: Statement) -> Confirmation:
    photo, part, individual, model, values = statement
    return Confirmation(PhotoKey(photo), part, individual, np.array(values, dtype=np.float64), model, photo)


def matcher_of(*statements: Statement, models: Sequence[LoadedModel] = (FLUKE, FLANK)) -> ConfirmingMatcher:
    catalogue = MemoryCatalogue()
    for statement in statements:
        confirm(catalogue, [confirmation(statement)])
    return ConfirmingMatcher(catalogue, models)


def fluke(photo: str, individual: str, *values: float) -> Statement:
    return (f"path:{photo}", "fluke", individual, "m1", values)


def answer(ranking: Ranking) -> list[tuple[str, float]]:
    assert ranking.failure is None
    return [(candidate.individual, candidate.distance) for candidate in ranking.candidates]


def rank_one(matcher: ConfirmingMatcher, item: Query, top_k: int | None = None) -> list[tuple[str, float]]:
    (ranking,) = matcher.rank([item], top_k)
    return answer(ranking)


def code(ranking: Ranking) -> str:
    assert ranking.failure is not None
    assert ranking.candidates == ()
    return ranking.failure.code


# --- ranking ----------------------------------------------------------------------------------------------------------


def test_an_empty_catalogue_answers_unknown() -> None:
    assert rank_one(matcher_of(), query()) == [("Unknown", 1.0)]


def test_individuals_rank_by_distance_to_their_mean_with_unknown_among_them() -> None:
    matcher = matcher_of(
        fluke("1", "FAR", 3, 4), fluke("2", "NEAR", 0.5, 0), fluke("3", "NEAR", 0, 0), fluke("4", "MID", 0, 2)
    )
    assert rank_one(matcher, query()) == [("NEAR", 0.25), ("Unknown", 1.0), ("MID", 2.0), ("FAR", 5.0)]


def test_ties_stand_in_the_order_unknown_then_the_catalogue() -> None:
    matcher = matcher_of(fluke("1", "Z", 1, 0), fluke("2", "A", 0, 1), fluke("3", "M", -1, 0))
    assert [name for name, _ in rank_one(matcher, query())] == ["Unknown", "Z", "A", "M"]


def test_ties_follow_each_body_part_s_own_csv() -> None:
    catalogue = MemoryCatalogue()
    for part, model, names in (("fluke", "m1", "AB"), ("flank", "m2", "BA")):
        rows = [confirmation((f"csv:{part}:{name}", part, name, model, (0.0, 0.5))) for name in names]
        catalogue.import_rows([ImportBatch(ImportFile("x.csv", part, part, model), tuple(rows))])
    matcher = ConfirmingMatcher(catalogue, [FLUKE, FLANK])
    assert [name for name, _ in rank_one(matcher, query(part="fluke"))] == ["A", "B", "Unknown"]
    assert [name for name, _ in rank_one(matcher, query(part="flank"))] == ["B", "A", "Unknown"]


def test_rows_of_another_model_are_counted_and_never_ranked() -> None:
    matcher = matcher_of(fluke("1", "A", 0, 0), ("path:2", "fluke", "B", "old", (0.0, 0.0, 0.0)))
    assert rank_one(matcher, query()) == [("A", 0.0), ("Unknown", 1.0)]
    counts = matcher.counts()
    assert (counts.individuals, counts.photos, matcher.other_model_rows()) == (2, 2, 1)


def test_counts_follow_the_catalogue() -> None:
    matcher = matcher_of()
    assert matcher.counts().photos == 0
    matcher.confirm([query(identity="A")], LOCAL_USER)
    assert matcher.counts().photos == 1


COORDINATES = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
VALUES = st.tuples(COORDINATES, COORDINATES)
STATEMENTS = st.tuples(
    st.sampled_from(["path:1", "path:2", "path:3", "path:4", "path:5"]),
    st.sampled_from(["fluke", "flank"]),
    st.sampled_from(["A", "B", "C", "D"]),
    st.sampled_from(["m1", "m2"]),
    VALUES,
)


def standing(requests: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Replay what was said, straight from the rules: who said what last, oldest first."""
    rows: list[Statement] = []
    for request in requests:
        last = {(s[0], s[1]): s for s in request}
        news = [s for s in last.values() if s not in rows]
        for said in news:  # it holds for what other models made of the photo, too
            others = [r for r in rows if r[:2] == said[:2] and r[3] != said[3]]
            rows = [r for r in rows if r[:2] != said[:2]]
            rows += [(*said[:3], r[3], r[4]) for r in others] + [said]
    return rows


def reference(rows: Sequence[Statement], values: Sequence[float], part: str, model: str) -> list[tuple[str, float]]:
    """The original's ranking in plain numpy: group by individual, mean, norm of the difference, stable sort."""
    groups: dict[str, list[tuple[float, ...]]] = {}
    for _, row_part, individual, row_model, embedding in rows:
        if (row_part, row_model) == (part, model):
            groups.setdefault(individual, []).append(embedding)
    distances = [("Unknown", 1.0)]
    for individual, embeddings in groups.items():
        difference = np.mean(np.array(embeddings, dtype=np.float64), axis=0) - np.float32(values).astype(np.float64)
        distances.append((individual, float(np.sqrt(np.sum(difference**2)))))
    return sorted(distances, key=lambda pair: round(pair[1], 12))


def assert_same(found: Sequence[tuple[str, float]], expected: Sequence[tuple[str, float]]) -> None:
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose([d for _, d in found], [d for _, d in expected], rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(STATEMENTS, max_size=4), max_size=6), VALUES, st.sampled_from(["fluke", "flank"]))
def test_rankings_equal_a_plain_numpy_reference(
    requests: list[list[Statement]], values: tuple[float, float], part: str
) -> None:
    catalogue = MemoryCatalogue()
    for request in requests:
        confirm(catalogue, [confirmation(statement) for statement in request])
    matcher = ConfirmingMatcher(catalogue, [FLUKE, FLANK])
    model = {"fluke": "m1", "flank": "m2"}[part]
    expected = reference(standing(requests), values, part, model)
    assert_same(rank_one(matcher, query(values=values, part=part)), expected)
    for top_k in (1, 2, 99):
        assert_same(rank_one(matcher, query(values=values, part=part), top_k), expected[:top_k])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(STATEMENTS, max_size=3), st.booleans()), max_size=8), VALUES)
def test_a_matcher_that_followed_along_equals_a_fresh_one(
    requests: list[tuple[list[Statement], bool]], values: tuple[float, float]
) -> None:
    catalogue = MemoryCatalogue()
    models = [LoadedModel(part, "m1", 2, normalised=False) for part in ("fluke", "flank")]
    following = ConfirmingMatcher(catalogue, models)
    for request, look in requests:
        confirm(catalogue, [confirmation(statement) for statement in request])
        if look:
            following.rank([query()], None)
    queries = [query(values=values, part=part) for part in ("fluke", "flank")]
    queries += [query(f"path:{n}", values, identity="A", part="fluke") for n in range(1, 6)]
    assert following.rank(queries, None) == ConfirmingMatcher(catalogue, models).rank(queries, None)


def test_large_random_galleries_match_the_reference_to_1e_12() -> None:
    random = np.random.default_rng(7)
    statements = [
        (f"path:{n}", "fluke", f"I{n % 40}", "m1", tuple(random.normal(size=128).tolist())) for n in range(200)
    ]
    matcher = matcher_of(*statements, models=[LoadedModel("fluke", "m1", 128)])
    embeddings = random.normal(size=(5, 128)).astype(np.float32)
    rankings = matcher.rank([query(f"path:q{n}", values.tolist()) for n, values in enumerate(embeddings)], None)
    for ranking, values in zip(rankings, embeddings, strict=True):
        assert_same(answer(ranking), reference(statements, values.tolist(), "fluke", "m1"))


def test_many_queries_are_ranked_in_portions_with_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = matcher_of(*(fluke(str(n), f"I{n}", n, -n) for n in range(9)))
    queries = [query(f"path:q{n}", (n / 3, n / 7), identity=None) for n in range(11)]
    at_once = matcher.rank(queries, None)
    monkeypatch.setattr("pipeline.catalogue.ranking._MAX_DISTANCES", 25)
    assert matcher.rank(queries, None) == at_once
    assert len({ranking.candidates[0].individual for ranking in at_once}) > 1


# --- confirming -------------------------------------------------------------------------------------------------------


def test_a_confirmed_photo_is_matched_as_if_it_were_not_in_the_catalogue() -> None:
    matcher = matcher_of(fluke("1", "A", 0.5, 0), fluke("2", "B", 0, 0.25))
    wrong = query("path:3", (0, 0.25), identity="A")
    assert matcher.confirm([wrong], LOCAL_USER) == [None]
    assert rank_one(matcher, wrong) == [("B", 0.0), ("A", pytest.approx(np.hypot(0.5, 0.25))), ("Unknown", 1.0)]
    plain = query("path:3", (0, 0.25))
    expected_with_it = float(np.hypot(0.25, 0.125))
    assert dict(rank_one(matcher, plain))["A"] == pytest.approx(expected_with_it, abs=1e-12)


def test_an_individual_whose_only_photo_is_the_query_is_not_among_its_candidates() -> None:
    matcher = matcher_of(fluke("1", "A", 0.5, 0))
    new = query("path:2", (0, 0), identity="NEW")
    matcher.confirm([new], LOCAL_USER)
    assert rank_one(matcher, new) == [("A", 0.5), ("Unknown", 1.0)]
    assert rank_one(matcher, new, top_k=3) == [("A", 0.5), ("Unknown", 1.0)]
    assert rank_one(matcher, query()) == [("NEW", 0.0), ("A", 0.5), ("Unknown", 1.0)]


def test_each_of_several_confirmed_photos_leaves_out_only_itself() -> None:
    matcher = matcher_of()
    items = [query("path:1", (0, 0), identity="A"), query("path:2", (0.5, 0), identity="A")]
    matcher.confirm(items, LOCAL_USER)
    assert [answer(ranking) for ranking in matcher.rank(items, None)] == [[("A", 0.5), ("Unknown", 1.0)]] * 2


def test_other_replicas_answer_with_what_was_just_confirmed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    replicas = [ConfirmingMatcher(open_catalogue(url), [FLUKE]) for _ in range(2)]
    for n in range(5):
        replicas[n % 2].confirm([query(f"path:{n}", (0, 0), identity=f"I{n}")], LOCAL_USER)
        for replica in replicas:
            assert {name for name, _ in rank_one(replica, query())} == {"Unknown", *(f"I{m}" for m in range(n + 1))}


def test_confirming_again_after_a_lost_answer_changes_nothing() -> None:
    catalogue = MemoryCatalogue()
    items = [query("path:1", (0, 0), identity="A"), query("path:2", (0.1, 0), identity="B")]
    ConfirmingMatcher(catalogue, [FLUKE]).confirm(items, LOCAL_USER)
    assert ConfirmingMatcher(catalogue, [FLUKE]).confirm(items, LOCAL_USER) == [None, None]
    assert catalogue.head().version == 1


def test_names_that_look_the_same_are_one_individual() -> None:
    matcher = matcher_of()
    matcher.confirm([query("path:1", identity=" Jose\u0301 "), query("path:2", identity="Jos\u00e9")], LOCAL_USER)
    assert rank_one(matcher, query()) == [("Jos\u00e9", 0.0), ("Unknown", 1.0)]


@pytest.mark.parametrize("stored", ["Inv\u200bisible", "\u3164", "Un known"])
def test_a_stored_name_that_would_be_refused_today_is_confirmed_as_rankings_show_it(
    tmp_path: Path, stored: str
) -> None:
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    file = ImportFile("old.csv", "fluke", "digest", FLUKE.model)
    values = np.zeros(FLUKE.dimension)
    row = Confirmation(PhotoKey("csv:digest:1"), "fluke", stored, values, FLUKE.model, "a.jpg")
    catalogue.import_rows([ImportBatch(file, (row,))])
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    ((shown, _), _) = rank_one(matcher, query())
    assert matcher.confirm([query("path:1", identity=shown)], LOCAL_USER) == [None]
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == [stored, stored]


@pytest.mark.parametrize("name", ["Inv\u200bisible", "\u3164", "Un known", "\u200bUnknown"])
def test_a_new_individual_s_name_must_be_seen_and_must_not_look_like_unknown(name: str) -> None:
    (failure,) = matcher_of().confirm([query("path:1", identity=name)], LOCAL_USER)
    assert failure is not None
    assert failure.code == "bad_identity"


LONG_PATH = "path:/" + "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz/é🐋", k=5000))


@pytest.mark.parametrize("path", ["path:bad\udcff.jpg", "path:nul\0.jpg", "path:🐋 größe.jpg", LONG_PATH], ids=range(4))
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_any_path_can_be_confirmed(kind: str, path: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    in_file = kind == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    matcher = ConfirmingMatcher(open_catalogue(url), [FLUKE])
    item = query(path, identity="A")
    assert matcher.confirm([item], LOCAL_USER) == [None]
    assert matcher.confirm([item], LOCAL_USER) == [None]
    assert rank_one(matcher, item) == [("Unknown", 1.0)]
    assert matcher.counts().photos == 1


def test_an_older_catalogue_put_back_is_loaded_afresh() -> None:
    catalogue = MemoryCatalogue()
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    matcher.confirm([query("path:1", identity="A")], LOCAL_USER)
    matcher.confirm([query("path:2", identity="B")], LOCAL_USER)
    assert len(rank_one(matcher, query())) == 3
    restored = MemoryCatalogue()
    confirm(restored, [confirmation(fluke("1", "A", 0, 0))])
    catalogue.__dict__.update(restored.__dict__)
    assert rank_one(matcher, query()) == [("A", 0.0), ("Unknown", 1.0)]


def test_a_backup_put_back_that_has_caught_up_to_the_same_head_is_loaded_afresh_by_every_replica(
    tmp_path: Path,
) -> None:
    file = tmp_path / "catalogue.sqlite"
    url = f"sqlite:///{file}"
    replicas = [ConfirmingMatcher(open_catalogue(url), [FLUKE]) for _ in range(2)]
    replicas[0].confirm([query("path:1", identity="A")], LOCAL_USER)
    sqlite3.connect(file).execute("VACUUM INTO ?", [str(tmp_path / "backup")])
    replicas[0].confirm([query("path:2", identity="LOST")], LOCAL_USER)
    assert all(rank_one(replica, query()) for replica in replicas)
    for path in tmp_path.glob("catalogue.sqlite*"):
        path.rename(path.with_name(f"away-{path.name}"))
    (tmp_path / "backup").rename(file)
    replicas[0].confirm([query("path:2", identity="B")], LOCAL_USER)
    for replica in replicas:
        assert {name for name, _ in rank_one(replica, query())} == {"Unknown", "A", "B"}
        assert replica.counts().individuals == 2


def test_a_catalogue_of_the_same_version_and_another_nonce_is_loaded_afresh() -> None:
    catalogue, other = MemoryCatalogue(), MemoryCatalogue()
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    matcher.confirm([query("path:1", identity="A")], LOCAL_USER)
    assert rank_one(matcher, query()) == [("A", 0.0), ("Unknown", 1.0)]
    confirm(other, [confirmation(fluke("1", "B", 0, 0))])
    catalogue.__dict__.update(other.__dict__)
    assert rank_one(matcher, query()) == [("B", 0.0), ("Unknown", 1.0)]


def test_the_ranking_shows_the_spelling_that_was_taken() -> None:
    matcher = matcher_of(fluke("1", "PMOD001_DANTE", 0, 0))
    new = query("path:2", identity="pmod001_dante")
    assert matcher.confirm([new], LOCAL_USER) == [None]
    assert rank_one(matcher, new) == [("PMOD001_DANTE", 0.0), ("Unknown", 1.0)]


def test_a_name_that_may_be_several_individuals_is_refused_with_the_photo_s_name() -> None:
    catalogue = MemoryCatalogue()
    rows = [confirmation((f"csv:{name}", "fluke", name, "m1", (0.0, 0.5))) for name in ("Dante", "DANTE")]
    catalogue.import_rows([ImportBatch(ImportFile("x.csv", "fluke", "d1", "m1"), tuple(rows))])
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    items = [query("path:1"), query("path:2", model="m9", identity="A"), query("path:3", identity="dante")]
    first, second, third = matcher.confirm(items, LOCAL_USER)
    assert first is None
    assert second is not None
    assert third is not None
    assert (second.code, third.code) == ("other_model", "bad_identity")
    assert third.message.startswith('3: the identity "dante" may be any of several')


def test_who_spoke_and_the_key_reach_the_catalogue() -> None:
    catalogue = MemoryCatalogue()
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    maria = Actor("azores", "Maria")
    matcher.confirm([query("path:1", identity="A")], maria, "k1")
    matcher.confirm([query("path:1", identity="B")], LOCAL_USER, "k2")
    matcher.confirm([query("path:1", identity="A")], maria, "k1")
    assert [actor for _, actor in catalogue.events] == [maria, LOCAL_USER]
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["B"]


# --- failures ---------------------------------------------------------------------------------------------------------

BAD_ITEMS = [
    (query(part="fin", identity="A"), "unknown_body_part"),
    (query(model="m9", identity="A"), "other_model"),
    (query(model="m2", identity="A"), "other_model"),
    (query(values=(1.0,), identity="A"), "bad_embedding"),
    (query(values=(), identity="A"), "bad_embedding"),
    (query(values=(1.0, 2.0, 3.0), identity="A"), "bad_embedding"),
    (query(values=(float("nan"), 0.0), identity="A"), "bad_embedding"),
    (query(values=(float("inf"), 0.0), identity="A"), "bad_embedding"),
    (query(animal=2**31, identity="A"), "bad_item"),
    (query(identity=""), "bad_identity"),
    (query(identity="Unknown"), "bad_identity"),
]


@pytest.mark.parametrize(("bad", "expected"), BAD_ITEMS)
def test_a_bad_item_fails_alone(bad: Query, expected: str) -> None:
    catalogue = MemoryCatalogue()
    matcher = ConfirmingMatcher(catalogue, [FLUKE, FLANK])
    items = [query("path:1", (0.5, 0), identity="GOOD"), bad, query("path:2", (0, 0), model="m1")]
    failures = matcher.confirm(items, LOCAL_USER)
    assert [failure and failure.code for failure in failures] == [None, expected, None]
    rankings = matcher.rank(items, None)
    assert code(rankings[1]) == expected
    assert answer(rankings[2]) == [("GOOD", 0.5), ("Unknown", 1.0)]
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["GOOD"]


@pytest.mark.parametrize(("bad", "_code"), BAD_ITEMS)
def test_failures_name_the_photo_or_the_identity(bad: Query, _code: str) -> None:
    (failure,) = matcher_of().confirm([bad], LOCAL_USER)
    assert failure is not None
    assert failure.message.startswith("q: ")


def test_plain_queries_are_not_checked_by_confirm() -> None:
    matcher = matcher_of()
    assert matcher.confirm([query(part="fin")], LOCAL_USER) == [None]
    assert code(matcher.rank([query(part="fin")], None)[0]) == "unknown_body_part"


def test_an_unavailable_catalogue_fails_the_request_and_the_next_one_works() -> None:
    catalogue = MemoryCatalogue()
    matcher = ConfirmingMatcher(catalogue, [FLUKE])
    catalogue.unavailable = True
    with pytest.raises(CatalogueUnavailableError):
        matcher.confirm([query(identity="A")], LOCAL_USER)
    with pytest.raises(CatalogueUnavailableError):
        matcher.rank([query()], None)
    catalogue.unavailable = False
    assert rank_one(matcher, query()) == [("Unknown", 1.0)]


def test_threads_that_confirm_and_rank_at_once_see_whole_requests(tmp_path: Path) -> None:
    matcher = ConfirmingMatcher(open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}"), [FLUKE])
    seen: list[set[str]] = []

    def work(worker: int) -> None:
        for n in range(10):
            matcher.confirm([query(f"path:{worker}-{n}-{i}", identity=f"{worker}-{n}-{i}") for i in "ab"], LOCAL_USER)
            seen.append({name for name, _ in rank_one(matcher, query())} - {"Unknown"})

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 40
    assert all({name[:-1] + "a" for name in names} == {n for n in names if n.endswith("a")} for names in seen)
    assert len(max(seen, key=len)) == 80


# --- the length of what is confirmed ---


@pytest.mark.parametrize("values", [(0.0, 0.0), (3.0, 4.0), (0.6, 0.798), (1.0, 0.05), (1e30, 0.0)])
def test_a_confirmed_embedding_of_another_length_than_one_is_refused_by_itself(values: tuple[float, float]) -> None:
    matcher = matcher_of(models=[LoadedModel("fluke", "m1", 2)])
    good, bad = query("path:good", (0.6, 0.8), "DANTE"), query("path:bad.jpg", values, "DANTE")
    kept, refused = matcher.confirm([good, bad], LOCAL_USER)
    assert kept is None
    assert refused is not None
    assert refused.code == "bad_embedding"
    assert refused.message.startswith("bad.jpg: the embedding has length ")
    assert "as `extract` answered it" in refused.message
    assert rank_one(matcher, query(values=(0.6, 0.8)))[0] == ("DANTE", pytest.approx(0.0, abs=1e-6))


@pytest.mark.parametrize("values", [(0.6, 0.8), (0.6005, 0.8005), (0.5995, 0.7995)])
def test_rounding_does_not_make_an_embedding_another_length(values: tuple[float, float]) -> None:
    matcher = matcher_of(models=[LoadedModel("fluke", "m1", 2)])
    assert matcher.confirm([query("path:a", values, "DANTE")], LOCAL_USER) == [None]


def test_what_is_only_asked_for_may_have_any_length() -> None:
    matcher = matcher_of(models=[LoadedModel("fluke", "m1", 2)])
    assert rank_one(matcher, query(values=(3.0, 4.0))) == [("Unknown", 1.0)]

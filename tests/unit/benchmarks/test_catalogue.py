"""The benchmark of a large catalogue, run small: it measures rankings that agree with FAISS."""

import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.catalogue import TOP_K, Bench, import_all, individual_spots, main


def test_every_row_of_the_tables_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--individuals", "40", "--photos", "2", "--dimension", "8", "--rounds", "3"])
    out = capsys.readouterr().out
    for row in ("annotations imported a second", "loading, s", "head check", "confirmation, p50", "beside suggest"):
        assert row in out
    assert "| 64 " in out
    assert "nan" not in out


def test_faiss_searches_the_same_means(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_BATCH_ROWS", 30)
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    import_all(url, 70, 3, 16)
    bench = Bench(url, individual_spots(70, 16))
    queries = bench.asked(20, 5)
    squared, found = bench.faiss_index(3).search(np.stack([query.values for query in queries]), TOP_K)
    for ranking, distances, columns in zip(bench.matcher.rank(queries, TOP_K + 1), squared, found, strict=True):
        known = [each for each in ranking.candidates if each.number is not None][:TOP_K]
        assert [each.individual for each in known] == [f"ID{column:06}" for column in columns[: len(known)]]
        assert [each.distance**2 for each in known] == pytest.approx(distances[: len(known)].tolist(), abs=1e-5)

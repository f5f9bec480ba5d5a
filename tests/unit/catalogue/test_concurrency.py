"""Writers that are killed at random moments, and many at once: nothing acknowledged is lost, and nothing is half."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from pipeline.catalogue.checking import check_database
from pipeline.catalogue.rows import EMPTY, Head
from pipeline.catalogue.schema import events
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from tests.catalogue_work import event, heard, read_until, start, write_for, write_on
from tests.confirming import confirm, word
from tests.long_results import PROVED

WRITERS = READERS = 8
KILLS = [10, pytest.param(200, marks=(pytest.mark.long, pytest.mark.timeout(7200)))]
SECONDS = [3, pytest.param(60, marks=(pytest.mark.long, pytest.mark.timeout(1200)))]

Record = Callable[[str, object], None]


def read_log(catalogue: SqlCatalogue) -> list[Head]:
    with catalogue.database.reading() as connection:
        return [Head(*row) for row in connection.execute(select(events.c.version, events.c.nonce).order_by("version"))]


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_writers_killed_at_random_moments_lose_nothing_and_leave_no_half(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, record_property: Record
) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    chance, acknowledged, before = random.Random(kills), [EMPTY], 0
    for kill in range(kills):
        process, hears = start(write_on, url, kill)
        waits_for = chance.randrange(8)  # none: it is killed while it opens the catalogue, or makes it
        acknowledged += [hears.recv() for _ in range(waits_for)]
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join()
        acknowledged += heard(hears)
        catalogue = open_catalogue(url)
        log = [EMPTY, *read_log(catalogue)]
        assert [head.version for head in log] == list(range(len(log)))
        assert all(log[head.version] == head for head in acknowledged), "an acknowledged event is not there"
        assert [each for each in check_database(catalogue.database, None) if each.is_error] == []
        assert log[-1].version <= max(before, acknowledged[-1].version) + 1, "more than one was on its way"
        before = log[-1].version
        catalogue.close()
    assert len(set(acknowledged)) > kills
    record_property(PROVED, f"{kills} kills, {acknowledged[-1].version} events")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", SECONDS)
def test_writers_and_readers_at_once_lose_no_update_and_make_no_name_twice(
    seconds: int, postgres_url: str, record_property: Record
) -> None:
    catalogue = open_catalogue(postgres_url)
    confirm(catalogue, [word("counted", "Counter")])
    over = event()
    writers = [start(write_for, postgres_url, seed, seconds) for seed in range(WRITERS)]
    readers = [start(read_until, postgres_url, over) for _ in range(READERS)]
    wrote = [said for _, hears in writers for said in heard(hears)]
    over.set()
    read = [said for _, hears in readers for said in heard(hears)]
    for process, _ in (*writers, *readers):
        process.join()
        assert process.exitcode == 0, "a call failed that nothing had refused"
    assert catalogue.individual(1).individual.note == str(sum(counted for counted, _ in wrote))
    log = read_log(catalogue)
    assert {head for _, versions in wrote for head in versions} <= set(log)
    assert [head.version for head in log] == list(range(1, len(log) + 1))
    assert check_database(catalogue.database, None) == []
    rows = {row.row_id: (row.key.photo, row.individual) for row in catalogue.changes_since(EMPTY).added}
    for head, followed, states in read:
        assert (head, followed) == (log[-1], rows), "a reader that followed knows something else than one that begins"
        assert states > 0
    record_property(PROVED, f"{len(log)} events by {WRITERS} writers in {seconds} s")
    catalogue.close()

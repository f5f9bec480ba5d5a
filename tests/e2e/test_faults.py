"""Processes are killed in the middle of their work: clients notice nothing but time, or a lost connection.

Each is killed once; in the long form again and again during one request.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import psutil
import pytest

from pipeline.client import Client, ClientOptions, PhotoResult, Query
from pipeline.model_files import load_model_folder, short_hash
from tests.e2e.running import Service, only_process, only_replica, start_service, wait_until
from tests.e2e.stub_networks import DIMENSION, Journal, StubNetworks
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve

PHOTOS = 20
ANSWERED_BEFORE = 4
STAGE_SECONDS = 0.15
KILLS = [1, pytest.param(25, marks=(pytest.mark.long, pytest.mark.timeout(3600)))]
BATCHES, BATCH_ITEMS = 60, 20
ONE_ATTEMPT = ClientOptions(attempts=1)
"""A client that takes `unavailable` for an answer, so that the service cannot leave the repetition to it."""

RECONNECTING = "trying again"
"""What the client logs when it has lost its connection."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return Journal(tmp_path_factory.mktemp("journal"))


@pytest.fixture(scope="module")
def service(
    ray_cluster: int, stub_models: Path, journal: Journal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Stub networks that take their time, one replica of everything."""
    networks = StubNetworks(
        stub_models, detector_seconds=STAGE_SECONDS, embedder_seconds=STAGE_SECONDS, journal=journal
    )
    one = {"min": 1, "max": 1}
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("faults"),
        ray_cluster,
        networks,
        replicas={"ingress": one, "extractor": one},
        timeouts={"drain_timeout_s": 5},
    )
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _whole_again(service: Service) -> None:
    """Each test begins with every deployment running, whatever the one before has killed."""
    wait_until(lambda: _answers(service), timeout_s=120)


@pytest.fixture(autouse=True)
def _noted(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Say in the long proofs' table how many kills each was."""
    record_property("proved", f"{request.node.callspec.params['kills']} kills")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("photos"), PHOTOS)


@pytest.fixture(scope="module")
def large_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """More bytes than may be unacknowledged, so that an upload of them is still being sent when it is disturbed."""
    return write_photos(tmp_path_factory.mktemp("large"), PHOTOS, padding_bytes=2 * 2**20)


def _answers(service: Service) -> bool:
    try:
        return service.http("/healthz")[0] == 200
    except OSError:
        return False


def kill_replica(deployment: str) -> psutil.Process:
    """Kill the only replica of a deployment and return what is left of it."""
    process = only_replica(deployment)
    process.kill()
    return process


def held_in_a_call(process: psutil.Process, journal: Journal) -> bool:
    """Stop a replica if a call of its network is running, so that the call does not end between a look and a kill."""
    process.suspend()
    if journal.calls(process.pid).endswith("("):
        return True
    process.resume()
    return False


def extract_with(
    service: Service, photos: list[Path], hurt: Callable[[], object], *, uploads: bool = False
) -> list[PhotoResult]:
    """Extract, and do harm once of every `PHOTOS` the first have been answered; returns all answers as they came."""
    results: list[PhotoResult] = []
    with Client(service.url, options=ONE_ATTEMPT) as client:
        for result in client.extract_stream(photos, uploads=uploads):
            results.append(result)
            if len(results) % PHOTOS == ANSWERED_BEFORE:
                hurt()
    return results


def assert_each_answered_once(results: list[PhotoResult], photos: list[Path]) -> None:
    assert [result.error for result in results if result.error] == []
    assert sorted(result.index for result in results) == list(range(len(photos)))
    assert {result.path for result in results} == {str(path) for path in photos}


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("deployment", ["Segmenter", "FlukeEmbedder"])
def test_killed_network_replica_costs_a_running_extract_only_time(service, photos, journal, caplog, deployment, kills):
    caplog.set_level("INFO")
    killed = []

    def kill_between_begin_and_end() -> None:
        process = only_replica(deployment)
        wait_until(lambda: held_in_a_call(process, journal), pause_s=0.01)
        process.kill()
        killed.append(process.pid)

    results = extract_with(service, photos * kills, kill_between_begin_and_end)

    assert len(killed) == kills
    assert all(journal.calls(pid).endswith("(") for pid in killed), "the kills were to land in the middle of a call"
    assert_each_answered_once(results, photos * kills)
    assert RECONNECTING not in caplog.text


@pytest.mark.parametrize("kills", KILLS)
def test_killed_extractor_costs_a_running_extract_only_time(service, photos, caplog, kills):
    caplog.set_level("INFO")
    results = extract_with(service, photos * kills, lambda: kill_replica("Extractor"))
    assert_each_answered_once(results, photos * kills)
    assert RECONNECTING not in caplog.text


@pytest.mark.parametrize("kills", KILLS)
def test_killed_extractor_costs_a_running_upload_only_time(service, large_photos, caplog, kills):
    caplog.set_level("INFO")
    results = extract_with(service, large_photos * kills, lambda: kill_replica("Extractor"), uploads=True)
    assert_each_answered_once(results, large_photos * kills)
    assert RECONNECTING not in caplog.text


@pytest.mark.parametrize("kills", KILLS)
def test_killed_ingress_is_a_reconnect_that_the_client_survives(service, photos, caplog, kills):
    caplog.set_level("INFO")
    results = extract_with(service, photos * kills, lambda: kill_replica("Ingress"))
    assert_each_answered_once(results, photos * kills)
    assert RECONNECTING in caplog.text


@pytest.mark.parametrize("kills", KILLS)
def test_killed_ingress_is_a_reconnect_that_a_running_upload_survives(service, large_photos, caplog, kills):
    caplog.set_level("INFO")
    results = extract_with(service, large_photos * kills, lambda: kill_replica("Ingress"), uploads=True)
    assert_each_answered_once(results, large_photos * kills)
    assert RECONNECTING in caplog.text


@pytest.mark.parametrize("kills", KILLS)
def test_killed_proxy_is_a_reconnect_that_the_client_survives(service, photos, caplog, kills):
    caplog.set_level("INFO")

    def kill_proxy() -> None:
        only_process("ray::ProxyActor").kill()

    results = extract_with(service, photos * kills, kill_proxy)
    assert_each_answered_once(results, photos * kills)
    assert RECONNECTING in caplog.text


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("deployment", ["Catalogue", "Matcher"])
def test_killed_writer_or_matcher_loses_nothing_that_was_confirmed(service, stub_models, caplog, deployment, kills):
    caplog.set_level("INFO")
    everything: list[Query] = []
    with Client(service.url, options=ONE_ATTEMPT) as client:
        for kill in range(kills):
            batches = [confirmations(stub_models, deployment, kill * BATCHES + batch) for batch in range(BATCHES)]
            before, stored = confirm_through_a_kill(service, deployment, client, batches)
            assert ANSWERED_BEFORE * BATCH_ITEMS <= len(before) < BATCHES * BATCH_ITEMS, "the kill was to land between"
            assert before <= stored, "acknowledged means on disk"
            everything += [query for batch in batches for query in batch]
        some = everything[:: BATCH_ITEMS // 2]
        again = client.identify([replace(query, identity=None) for query in some], top_k=1)
    ours = [row for row in stored_photos(service) if row[0].startswith(f"photo-{deployment}-")]
    assert sorted(ours) == sorted((query.path, query.identity) for query in everything)
    assert [answer.candidates[0].individual for answer in again] == [query.identity for query in some]
    assert RECONNECTING not in caplog.text


def confirm_through_a_kill(
    service: Service, deployment: str, client: Client, batches: list[list[Query]]
) -> tuple[set[str], set[str]]:
    """Confirm batches, some at once, while what stores them or what ranks them is killed.

    Returns:
        The paths that were acknowledged, and those that were on disk, a moment after the kill.
    """
    acknowledged: list[str] = []
    enough = Event()
    killed = only_replica(deployment)

    def confirm(batch: list[Query]) -> None:
        answers = client.identify(batch, top_k=1)
        assert [answer.error for answer in answers if answer.error] == []
        acknowledged.extend(query.path for query in batch)
        if len(acknowledged) >= ANSWERED_BEFORE * BATCH_ITEMS:
            enough.set()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(confirm, batch) for batch in batches]
        assert enough.wait(120)
        killed.kill()
        before = set(acknowledged)
        stored = {path for path, _ in stored_photos(service)}
        for future in running:
            future.result(timeout=120)
    return before, stored


def confirmations(models: Path, killed: str, batch: int) -> list[Query]:
    """Photos of one individual with embeddings of their own."""
    model = short_hash(load_model_folder(models).embedder_file("fluke"))
    random = np.random.default_rng([batch, len(killed)])
    vectors = random.normal(size=DIMENSION) + random.normal(0, 0.01, size=(BATCH_ITEMS, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Query(f"photo-{killed}-{batch}-{number}.jpg", "fluke", tuple(map(float, vector)), f"{killed}-{batch}", model)
        for number, vector in enumerate(vectors)
    ]


def stored_photos(service: Service) -> list[tuple[str, str]]:
    """Every row of the catalogue file with its individual, replaced words too: read without the service."""
    with closing(sqlite3.connect(service.catalogue)) as connection:
        return connection.execute(
            "SELECT annotations.path, names.name FROM assignments "
            "JOIN annotations ON annotations.id = annotation JOIN names USING (individual)"
        ).fetchall()

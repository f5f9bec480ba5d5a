"""A large catalogue: import, loading, memory, rankings beside FAISS, confirmations, and how clients share a matcher.

Without the socket and without Ray: what is measured is the catalogue in one process. FAISS (IndexFlatL2) searches the
same means, takes turns with the matcher in the same run, and like it has one thread.
"""

import argparse
import asyncio
import functools
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
import torch

from benchmarks.ratios import ratio_interval
from benchmarks.tables import heading, markdown, milliseconds, percentile
from deployments.matcher import rank_in_turns
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.queries import LoadedModel, confirm_queries
from pipeline.catalogue.rows import Confirmation, ImportBatch, ImportFile
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.suggesting import PairSearch
from pipeline.protocol.catalogue_requests import SuggestMerges
from pipeline.protocol.filters import Detail, Filters
from pipeline.records import LOCAL_USER, Float32Array, PhotoKey, Query

TOP_K = 10
MANY = 64
_BATCH_ROWS = 10_000
_SPREAD = 0.05  # of an individual's photos, a number
_SEED = 12


def individual_spots(individuals: int, dimension: int) -> Float32Array:
    """Return where each individual's photos lie, (individuals, dimension) of length 1."""
    spots = np.random.default_rng(_SEED).normal(size=(individuals, dimension)).astype(np.float32)
    return _unit(spots)


def photos_of(spots: Float32Array, seed: int) -> Float32Array:
    """Return one photo of each: an embedding near its spot, of length 1."""
    noise = np.random.default_rng(seed).normal(size=spots.shape).astype(np.float32)
    return _unit(spots + _SPREAD * noise)


def batches(spots: Float32Array, photos: int) -> Iterator[ImportBatch]:
    """Yield a catalogue's rows as CSV files bring them: everybody's first photo, everybody's second, and so on.

    A catalogue takes one file of a model in, so each names one of its own; the rows are all of model "m".
    """
    for photo in range(photos):
        embeddings = photos_of(spots, photo)
        for start in range(0, len(spots), _BATCH_ROWS):
            name = f"{photo}-{start}"
            rows = (
                Confirmation(PhotoKey(f"csv:{name}:{n}"), "fluke", f"ID{n:06}", embeddings[n].astype(float), "m", "p")
                for n in range(start, min(start + _BATCH_ROWS, len(spots)))
            )
            yield ImportBatch(ImportFile(f"{name}.csv", "fluke", name, f"m {name}"), tuple(rows))


def import_all(url: str, individuals: int, photos: int, dimension: int) -> float:
    """Make the catalogue and return how many rows came in a second; in a process of its own, for its memory's sake."""
    catalogue = open_catalogue(url)
    seconds = 0.0
    for batch in batches(individual_spots(individuals, dimension), photos):
        start = time.perf_counter()
        catalogue.import_rows([batch])
        seconds += time.perf_counter() - start
    catalogue.close()
    return individuals * photos / seconds


def queries_of(embeddings: Float32Array, label: str, identity: str | None = None) -> list[Query]:
    """Return one query an embedding."""
    return [
        Query(PhotoKey(f"path:{label}-{n}"), f"{label}-{n}", "fluke", values, None, identity)
        for n, values in enumerate(embeddings)
    ]


class Bench:
    """One matcher over the catalogue, and FAISS over the same means."""

    def __init__(self, url: str, spots: Float32Array) -> None:
        self.spots = spots
        self.model = LoadedModel("fluke", "m", spots.shape[1])
        self.thread = ThreadPoolExecutor(1)
        gc.collect()
        before, start = psutil.Process().memory_info().rss, time.perf_counter()
        self.catalogue = open_catalogue(url)
        self.matcher = CatalogueMatcher(self.catalogue, [self.model])
        self.rank(self.asked(1, 0))
        self.load_s = time.perf_counter() - start
        self.loaded_bytes = psutil.Process().memory_info().rss - before

    def rank(self, queries: Sequence[Query]) -> None:
        """Rank as the deployment does, a few at a time."""
        at_once = self.matcher.at_once
        for start in range(0, len(queries), at_once):
            self.matcher.rank(queries[start : start + at_once], TOP_K)

    def asked(self, count: int, seed: int) -> list[Query]:
        """Return queries about new photos of some individuals."""
        some = np.random.default_rng(seed).integers(len(self.spots), size=count)
        return queries_of(photos_of(self.spots[some], seed), f"q{seed}")

    def faiss_index(self, photos: int) -> Any:
        """Return FAISS's index of the individuals' means."""
        sums = np.zeros(self.spots.shape)
        for photo in range(photos):
            sums += photos_of(self.spots, photo)
        index = faiss.IndexFlatL2(self.spots.shape[1])
        index.add((sums / photos).astype(np.float32))
        return index

    def say_something(self, number: int) -> None:
        """Let somebody confirm a photo."""
        (query,) = queries_of(photos_of(self.spots[1:2], 20_000 + number), f"s{number}", "ID000001")
        confirm_queries(self.catalogue, {"fluke": self.model}, [query], LOCAL_USER, f"said {number}")

    def seconds_to_confirm(
        self, catalogue: SqlCatalogue, matcher: CatalogueMatcher, number: int
    ) -> tuple[float, float]:
        """Return the seconds of one confirmation, and of the identify after it, which takes it in."""
        (query,) = queries_of(photos_of(self.spots[:1], 10_000 + number), f"c{number}", "ID000000")
        start = time.perf_counter()
        failures = confirm_queries(catalogue, {"fluke": self.model}, [query], LOCAL_USER, f"key {number}")
        confirmed = time.perf_counter()
        matcher.rank(self.asked(1, number), TOP_K)
        assert failures == [None]
        return confirmed - start, time.perf_counter() - confirmed


def compare(bench: Bench, index: Any, rounds: int) -> list[list[object]]:
    """Return a row each for 1 and for 64 queries: our times, FAISS's, and how many times as fast as FAISS we are."""
    rows: list[list[object]] = []
    for count in (1, MANY):
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds):
            queries = bench.asked(count, number)
            values = np.stack([query.values for query in queries])
            ours.append(_seconds(lambda queries=queries: bench.rank(queries)))
            theirs.append(_seconds(lambda values=values: index.search(values, TOP_K)))
        ratio, least, greatest = ratio_interval(theirs, ours)
        times = [milliseconds(percentile(one, percent)) for one in (ours, theirs) for percent in (50, 99)]
        rows.append([f"{count}", *times, f"{ratio:.2f} ({least:.2f} to {greatest:.2f})"])
    return rows


async def singles(bench: Bench, rounds: int) -> list[float]:
    """Return the seconds of single queries, one after the other."""
    times = []
    for number in range(rounds):
        await asyncio.sleep(0.003)
        start = time.perf_counter()
        await rank_in_turns(bench.thread, bench.matcher, bench.asked(1, number), TOP_K)
        times.append(time.perf_counter() - start)
    return times


async def beside(bench: Bench, rounds: int, other: Callable[[], Awaitable[object]]) -> list[float]:
    """Return the seconds of single queries while another client asks for something over and over."""

    over = asyncio.Event()

    async def others() -> None:
        while not over.is_set():
            await other()

    busy = asyncio.create_task(others())
    times = await singles(bench, rounds)
    over.set()
    await busy
    return times


async def share(bench: Bench, rounds: int) -> list[list[object]]:
    """Return the rows about single queries, alone and beside what other clients ask for."""
    loop = asyncio.get_running_loop()
    many = bench.asked(MANY, 1)
    elsewhere = ThreadPoolExecutor(1)
    filtering: list[float] = []
    searching: list[float] = []

    async def rank_many() -> None:
        await rank_in_turns(bench.thread, bench.matcher, many, TOP_K)

    async def filter_all() -> None:
        confirm = functools.partial(bench.say_something, len(filtering))
        await loop.run_in_executor(elsewhere, confirm)  # else the last galleries would serve
        start = time.perf_counter()
        await loop.run_in_executor(elsewhere, bench.matcher.prepare, Detail(0, Filters(bodyPart="fluke")))
        filtering.append(time.perf_counter() - start)

    async def suggest() -> None:
        start = time.perf_counter()
        search = PairSearch(bench.matcher, SuggestMerges(type="suggest_merges", id="x"))
        while not search.done:
            await loop.run_in_executor(bench.thread, search.go_on)
        searching.append(time.perf_counter() - start)

    alone = percentile(await singles(bench, rounds), 99)
    rows: list[list[object]] = [["single identify alone, p99 ms", milliseconds(alone)]]
    for what, other in (
        ("64-query requests", rank_many),
        ("requests with a filter that lets all through", filter_all),
        ("suggest_merges", suggest),
    ):
        busy = percentile(await beside(bench, rounds, other), 99)
        rows.append([f"beside {what}, p99 ms", f"{milliseconds(busy)} ({busy / alone:.1f} times)"])
    rows.append(["galleries of that filter, s", f"{percentile(filtering, 50):.1f}"])
    rows.append(["one page of suggest_merges (1,000 individuals), s", f"{percentile(searching, 50):.1f}"])
    return rows


def confirmations(bench: Bench, folder: Path, rounds: int) -> list[list[object]]:
    """Return the rows about confirmations, here and in an empty catalogue, which take turns."""
    empty = open_catalogue(f"sqlite:///{folder / 'empty.sqlite'}")
    here, there = (bench.catalogue, bench.matcher), (empty, CatalogueMatcher(empty, [bench.model]))
    times = [
        (*bench.seconds_to_confirm(*here, number), *bench.seconds_to_confirm(*there, number))
        for number in range(rounds)
    ]
    confirmed, ranked, alone, ranked_alone = (percentile(column, 50) for column in zip(*times, strict=True))
    return [
        ["confirmation, p50 ms", milliseconds(confirmed)],
        ["the same in an empty catalogue, p50 ms", milliseconds(alone)],
        ["identify after it, p50 ms", milliseconds(ranked)],
        ["the same in an empty catalogue, p50 ms", milliseconds(ranked_alone)],
    ]


def run(arguments: argparse.Namespace, folder: Path) -> str:
    """Make the catalogue, measure, and return the tables."""
    url, shape = f"sqlite:///{folder / 'catalogue.sqlite'}", (arguments.individuals, arguments.photos)
    with get_context("spawn").Pool(1) as process:
        rows_a_second = process.apply(import_all, (url, *shape, arguments.dimension))
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    bench = Bench(url, individual_spots(arguments.individuals, arguments.dimension))
    annotations = arguments.individuals * arguments.photos
    memory = bench.loaded_bytes / (annotations * 8 * arguments.dimension)
    compared = compare(bench, bench.faiss_index(arguments.photos), arguments.rounds)
    shared = asyncio.run(share(bench, 5 * arguments.rounds))
    head = percentile([_seconds(bench.catalogue.head) for _ in range(arguments.rounds)], 50)
    measured = [
        ["annotations imported a second", f"{rows_a_second:.0f}"],
        ["file, bytes an annotation", f"{(folder / 'catalogue.sqlite').stat().st_size / annotations:.0f}"],
        ["loading, s", f"{bench.load_s:.1f}"],
        ["memory, times the embeddings' bytes", f"{memory:.2f}"],
        ["head check, p50 ms", milliseconds(head)],
        *confirmations(bench, folder, arguments.rounds),
        *shared,
    ]
    title = ["queries", "p50 ms", "p99 ms", "FAISS p50 ms", "FAISS p99 ms", "times as fast as FAISS"]
    return f"{markdown(title, compared)}\n{markdown(['', ''], measured)}"


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _unit(vectors: Float32Array) -> Float32Array:
    unit: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--individuals", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--photos", type=int, default=10, help="of each individual; default: 10")
    parser.add_argument("--dimension", type=int, default=128, help="numbers an embedding; default: 128")
    parser.add_argument("--rounds", type=int, default=50, help="default: 50")
    parser.add_argument("--work", type=Path, help="folder for the catalogue (2 kB an annotation); default: a new one")
    parsed = parser.parse_args(arguments)
    print(heading("catalogue"))
    with tempfile.TemporaryDirectory(dir=parsed.work) as folder:
        print(run(parsed, Path(folder)))


if __name__ == "__main__":
    main()

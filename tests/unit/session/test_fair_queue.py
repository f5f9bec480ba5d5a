from hypothesis import given
from hypothesis import strategies as st

from pipeline.session.fair_queue import FairQueue


def drain(turns: FairQueue[str]) -> list[tuple[str, str]]:
    taken = []
    while (job := turns.take()) is not None:
        taken.append((str(job[0]), job[1]))
    return taken


def test_one_clients_jobs_come_in_their_order():
    turns = FairQueue[str](per_client=2, total=8)
    for job in "abc":
        turns.add("x", job)
    assert drain(turns) == [("x", "a"), ("x", "b")]
    turns.done("x")
    assert drain(turns) == [("x", "c")]


def test_newcomer_goes_before_the_rest_of_a_long_queue():
    turns = FairQueue[str](per_client=4, total=4)
    for number in range(100):
        turns.add("busy", str(number))
    assert len(drain(turns)) == 4
    turns.add("newcomer", "one")
    turns.done("busy")
    assert turns.take() == ("newcomer", "one")


def test_clients_with_equal_work_alternate():
    turns = FairQueue[str](per_client=9, total=6)
    for number in range(3):
        turns.add("a", f"a{number}")
        turns.add("b", f"b{number}")
    assert [client for client, _ in drain(turns)] == ["a", "b", "a", "b", "a", "b"]


def test_total_bounds_all_clients_together():
    turns = FairQueue[str](per_client=4, total=3)
    for client in "abcde":
        turns.add(client, client)
    assert len(drain(turns)) == 3
    assert (turns.running, turns.waiting) == (3, 2)


def test_discard_drops_waiting_jobs_only():
    turns = FairQueue[str](per_client=1, total=1)
    for job in ("keep", "drop-1", "keep-2", "drop-2"):
        turns.add("x", job)
    turns.take()
    assert turns.discard("x", lambda job: job.startswith("drop")) == ["drop-1", "drop-2"]
    assert (turns.running, turns.waiting) == (1, 1)


def test_discard_of_an_unknown_client_is_nothing():
    assert FairQueue[str](1, 1).discard("nobody", lambda job: True) == []


@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(["add", "take", "done"]), st.integers(0, 3)), max_size=200),
)
def test_bounds_hold_and_no_job_is_lost_or_doubled(per_client, total, steps):
    turns = FairQueue[int](per_client, total)
    added, taken, running = 0, [], []
    for step, client in steps:
        if step == "add":
            turns.add(client, added)
            added += 1
        elif step == "take" and (job := turns.take()) is not None:
            running.append(job[0])
            taken.append(job[1])
        elif step == "done" and running:
            turns.done(running.pop(0))
        assert turns.running == len(running) <= total
        assert all(running.count(name) <= per_client for name in range(4))
    while turns.waiting or running:
        while (job := turns.take()) is not None:
            running.append(job[0])
            taken.append(job[1])
        turns.done(running.pop(0))
    assert sorted(taken) == list(range(added))


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 3), st.lists(st.integers(0, 3), max_size=60))
def test_newcomer_waits_for_at_most_per_client_jobs_of_each_other(per_client, total, others, finishes):
    turns = FairQueue[str](per_client, total)
    for client in range(others):
        for _ in range(50):
            turns.add(client, "old")
    running = [client for client, _ in drain_pairs(turns)]
    before = dict.fromkeys(range(others), 0)
    for client in running:
        before[client] += 1
    turns.add("newcomer", "mine")
    for choice in [*finishes, *([0] * 100)]:
        if not running:
            break
        turns.done(running.pop(choice % len(running)))
        for client, _job in drain_pairs(turns):
            if client == "newcomer":
                assert all(count <= per_client for count in before.values())
                return
            before[client] += 1
            running.append(client)
    raise AssertionError("the newcomer was never served")


def drain_pairs(turns):
    pairs = []
    while (job := turns.take()) is not None:
        pairs.append(job)
    return pairs

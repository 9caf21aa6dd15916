"""A trial asks real programs, and believes none of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks import cpu, workloads
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.environments import PEERS
from benchmarks.programs import Failed, Unsupported
from benchmarks.stores import Memory, SQLite, Store
from benchmarks.trial import Trial, check_each_ran_once, quantiles
from benchmarks.workloads import WORKLOADS


@pytest.fixture
def file():
    store = SQLite()
    yield store
    store.close()


def named(name: str) -> Contender:
    [found] = [each for each in CONTENDERS if each.name == name]
    return found


def trial(name: str, store: Store) -> Trial:
    return Trial.on(store, named(name), share=0.01)


@pytest.mark.slow
def test_jobs_go_from_a_producer_to_a_worker_and_are_counted(file):
    one = trial("trioq on SQLite", file)
    assert one.produce(150, size=10)["jobs/s"] > 0
    figures = one.drain(150, size=10, concurrency=10)
    assert figures["jobs/s"] > 0
    assert figures["worker CPU us/job"] > 0
    assert figures["memory MB"] > 10


@pytest.mark.slow
def test_two_workers_share_the_jobs(file):
    one = trial("trioq on SQLite", file)
    one.fill(300)
    assert one.drain(300, workers=2)["jobs/s"] > 0


@pytest.mark.slow
def test_a_worker_may_leave_some_of_a_backlog(file):
    one = trial("trioq on SQLite", file)
    one.fill(3_000)
    assert one.drain(100, rest=True)["jobs/s"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "jobs"), [("enqueue one by one", 1_000), ("enqueue many", 5_000)])
def test_all_that_was_enqueued_is_run_afterwards(file, monkeypatch, name, jobs):
    ran = []
    monkeypatch.setattr(Trial, "drain", lambda _, jobs: ran.append(jobs))
    [workload] = [each for each in WORKLOADS if each.name == name]
    assert workload.measure(trial("trioq on SQLite", file))["jobs/s"] > 0
    assert ran == [jobs]


@pytest.mark.slow
def test_a_long_backlog_is_compared_with_short_ones_before_and_after_it(file, monkeypatch):
    drained = iter([10.0, 7.0, 20.0])
    monkeypatch.setattr(Trial, "fill", lambda *args, **what: None)
    monkeypatch.setattr(Trial, "drain", lambda *args, **what: {"jobs/s": next(drained)})
    [workload] = [each for each in WORKLOADS if each.name == "drain, of a million"]
    figures = workload.measure(trial("trioq on SQLite", file))
    assert figures == {"jobs/s": 7.0, "jobs/s of a short backlog": 15.0}


@pytest.mark.slow
def test_a_job_that_is_missing_fails_the_trial(file):
    one = trial("trioq on SQLite", file)
    one.fill(150)
    with pytest.raises(Failed, match="0 jobs ran more than once, 1 never"):
        one.drain(151)


@pytest.mark.slow
def test_in_memory_a_worker_brings_the_jobs_itself():
    one = trial("bare Trio loop", Memory())
    one.fill(200)
    assert one.drain(200)["jobs/s"] > 0


@pytest.mark.slow
def test_who_can_not_do_it_says_so():
    one = trial("bare Trio loop", Memory())
    with pytest.raises(Unsupported, match="no store"):
        one.produce(1)


@pytest.mark.slow
def test_a_program_that_breaks_fails_the_trial_with_what_it_said():
    one = trial("trioq in memory", Memory())
    one.url = "nonsense:"
    with pytest.raises(Failed, match="nonsense"):
        one.drain(1)


def test_each_job_must_have_run_exactly_once():
    check_each_ran_once([{"numbers": [0, 2]}, {"numbers": [1]}], 3)
    for numbers in ([0, 1], [0, 1, 2, 2], [0, 1, 2, 3], [0, 1, 1]):
        with pytest.raises(Failed):
            check_each_ran_once([{"numbers": numbers}], 3)


def test_of_a_rest_as_many_must_have_run_as_were_asked_for():
    check_each_ran_once([{"numbers": [7, 3]}], 2, rest=True)
    for numbers in ([7], [7, 7, 3], []):
        with pytest.raises(Failed):
            check_each_ran_once([{"numbers": numbers}], 2, rest=True)


@pytest.mark.slow
def test_an_idle_worker_must_still_be_one_when_it_has_been_watched(file, monkeypatch):
    monkeypatch.setattr(workloads, "_WATCHED", 0.1)
    [idle] = [each for each in WORKLOADS if each.name == "do nothing"]
    assert idle.measure(trial("trioq on SQLite", file))["memory MB"] > 10


@pytest.mark.slow
def test_a_process_of_a_server_that_ends_while_it_is_looked_at_spoils_no_trial(monkeypatch):
    look = cpu.cpu_seconds

    def gone(pid: int) -> float:
        if pid != os.getpid():
            raise FileNotFoundError(f"/proc/{pid}/task")
        return look(pid)

    monkeypatch.setattr(cpu, "cpu_seconds", gone)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        assert cpu.cpu_of_server(os.getpid()) > 0


def test_quantiles_are_in_milliseconds():
    assert quantiles([number / 1e3 for number in range(1, 101)]) == {"p50 ms": 50.0, "p95 ms": 95.0, "p99 ms": 99.0}


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_has_its_program_and_a_trioq_to_be_compared_with(contender):
    assert (PEERS / contender.program).exists()
    assert [each for each in CONTENDERS if each.is_trioq and each.store == contender.store]
    assert any(contender.store in workload.stores for workload in WORKLOADS)

"""Random steps from several threads at once: whatever comes, each job ends once and for all.

A run is seeded, so what each thread does is the same each time; how the threads interleave is
not. LONGOP_INTEROP makes it long.
"""

import contextlib
import os
import threading
from concurrent.futures import wait
from random import Random

import pytest

from longop import (Busy, ForgottenJob, History, LongOperation, OperationCancelled,
                    ReportCancelled, State, UnknownJob)

from .waiting import WAIT, wait_until

STEPS = 10_000 if os.environ.get("LONGOP_INTEROP") else 600
THREADS = 4
KINDS = ("queue", "reject", "replace", "join")
ENDS = {State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED}


# The function: what it does depends on its seed alone


def work(callback, seed: int):
    """Report from this thread and from others, ask, wait; then return or raise."""
    random = Random(seed)
    left_behind = []
    for step in range(random.randrange(6)):
        action = random.choice([report, report_elsewhere, wait_a_moment, leave_a_thread, ask])
        if action(callback, step, left_behind) == "stop":
            break
    if random.random() < 0.2:
        raise ValueError(f"seed {seed}")
    return seed


def report(callback, step, left_behind):
    callback(f"step {step}", step, 6)


def report_elsewhere(callback, step, left_behind):
    """Report in another thread, which passes on what that raises, as a pool does."""
    errors = []

    def run():
        try:
            callback(f"elsewhere {step}", step)
        except ReportCancelled as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT)
    if errors:
        raise errors[0]


def wait_a_moment(callback, step, left_behind):
    callback.wait(0.001)


def leave_a_thread(callback, step, left_behind):
    """Report in a thread that the function does not wait for."""
    def run():
        with contextlib.suppress(OperationCancelled, ReportCancelled):
            callback.wait(0.002)
            callback(f"too late {step}")

    threading.Thread(target=run, name="longop-test-left").start()


def ask(callback, step, left_behind):
    return "stop" if callback.cancelled else None


@contextlib.contextmanager
def may_be_gone(job):
    """Let a job be forgotten; or unknown, if it waited when its operation was closed."""
    try:
        yield
    except ForgottenJob:
        assert job.done()
    except UnknownJob:
        status = job.status()
        assert (status.state, status.started_at) == (State.INTERRUPTED, None)


# What is done to the operations, and what must hold meanwhile


class Steps:
    """Operations, the jobs that were seen of them, and random steps with both."""

    def __init__(self, seed):
        self.seed = seed
        self.jobs = {}  # by id, each with its operation
        self.last = {}  # the last status of each, as it was first seen
        self.ends = []  # the ids of jobs, as their Futures were done
        self.errors = []
        self.all = []
        self.operations = {kind: self.make(kind) for kind in KINDS}

    def make(self, kind):
        operation = LongOperation(work, name=kind, when_busy=kind, limit=2, max_queued=5,
                                  grace=0, history=History(max_jobs=1_000_000))
        self.all.append(operation)
        return operation

    def run(self, number, steps):
        """Take random steps. Each thread has its own."""
        random = Random(f"{self.seed} {number}")
        seen = {}  # the version of each job that this thread has seen last
        choices = [*4 * [self.start], *2 * [self.start_once], *3 * [self.cancel], self.forget,
                   *3 * [self.look]]
        try:
            for _ in range(steps):
                step = self.close if random.random() < 0.005 else random.choice(choices)
                step(random, seen)
        except BaseException as error:
            self.errors.append(error)
            raise

    def start(self, random, seen):
        operation = self.operations[random.choice(KINDS)]
        with contextlib.suppress(Busy):
            self.keep(operation, operation.start(seed=random.randrange(10 ** 9)))

    def start_once(self, random, seen):
        operation = self.operations[random.choice(KINDS)]
        key = random.randrange(50)
        with contextlib.suppress(Busy, ForgottenJob):
            self.keep(operation, operation.start_once(f"key {key}", seed=key))

    def keep(self, operation, job):
        """Note a job; the first time, its end is counted."""
        entry = job, operation
        if self.jobs.setdefault(job.id, entry) is entry:
            job.add_done_callback(lambda job: self.ends.append(job.id))

    def cancel(self, random, seen):
        job, _ = self.any(random)
        if job is not None:
            was_alive = job.cancel()
            assert not was_alive or job.state in {State.CANCELLING, *ENDS}
            assert was_alive or not job.cancel()

    def forget(self, random, seen):
        job, operation = self.any(random)
        if job is not None:
            with contextlib.suppress(Busy), may_be_gone(job):
                operation.forget(job.id)
                assert job.done()

    def look(self, random, seen):
        job, operation = self.any(random)
        if job is not None:
            self.check(job, seen, job.status)
            with may_be_gone(job):
                self.check(job, seen, lambda: operation.status(job.id))

    def close(self, random, seen):
        kind = random.choice(KINDS)
        old = self.operations[kind]
        self.operations[kind] = self.make(kind)
        old.close()

    def any(self, random):
        jobs = list(self.jobs.values())
        return random.choice(jobs[-100:]) if jobs else (None, None)

    def check(self, job, seen, ask):
        """Check a status against the job's Future, and against what was seen before."""
        was_done = job.done()
        status = ask()
        is_done = job.done()
        assert status.state in ENDS or not was_done
        assert is_done or status.state not in ENDS
        assert status.version >= seen.get(job.id, 0)
        seen[job.id] = status.version
        if status.state in ENDS:
            assert self.last.setdefault(job.id, status) == status


@pytest.mark.parametrize("seed", range(3))
def test_random_steps(seed):
    """Each job has one end, which stays, versions only grow, and nothing is left behind."""
    steps = Steps(seed)
    threads = [threading.Thread(target=steps.run, args=(number, STEPS // THREADS // 3))
               for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * WAIT)
    assert steps.errors == []
    for operation in steps.all:
        operation.close()
    jobs = {id: job for id, (job, _) in steps.jobs.items()}
    assert not wait(jobs.values(), WAIT).not_done
    assert len(jobs) > STEPS // 30
    for job, operation in steps.jobs.values():
        steps.check(job, {}, job.status)
        with may_be_gone(job):
            steps.check(job, {}, lambda job=job, of=operation: of.status(job.id))
    wait_until(lambda: len(steps.ends) >= len(jobs))  # done callbacks come after the wake-up
    assert sorted(steps.ends) == sorted(jobs)
    for operation in steps.all:
        assert operation.live == {}
        assert operation._dispatcher._queue == {}
        wait_until(lambda of=operation: not of._dispatcher._leaving)
        recorded = [status.id for status in operation.jobs()]
        assert len(recorded) == len(set(recorded))

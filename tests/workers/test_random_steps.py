"""Random steps with jobs in processes, which are killed at random, and in a pool of the user's.

A run is seeded, so what is done is the same each time; how it interleaves is not.
LONGOP_INTEROP makes it 10,000 steps for each kind.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, wait
from random import Random

import pytest

from longop import (Busy, ForgottenJob, History, LongOperation, State, TargetError,
                    UnknownJob)

from ..waiting import WAIT, wait_until
from .steps_functions import work

STEPS = 10_000 if os.environ.get("LONGOP_INTEROP") else 600
THREADS = 3
KINDS = ("queue", "replace")
ENDS = {State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED}
ENDED = {State.CANCELLED, State.COMPLETED, State.INTERRUPTED}  # and so the code has


class Steps:
    """Operations in one kind of executor, the jobs that were seen of them, and random steps."""

    def __init__(self, folder, kind):
        self.folder = folder
        self.kind = kind
        self.jobs = {}  # by id, each with its operation and the file of its signs of life
        self.last = {}  # the last status of each, as it was first seen
        self.signs = {}  # the size of its file when it was first seen to have ended
        self.ends = []  # the ids of jobs, as their Futures were done
        self.errors = []
        self.operations = []
        self.pools = []
        self.current = [self.make(kind) for kind in KINDS]
        self.numbers = iter(range(10 ** 9))
        self.places = iter(range(10 ** 9))  # which operation is closed next

    def make(self, when_busy):
        executor = "process"
        if self.kind == "pool":
            executor = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
            self.pools.append(executor)
        operation = LongOperation(work, executor=executor, when_busy=when_busy, limit=2,
                                  max_queued=5, grace=0.01, name=when_busy,
                                  history=History(max_jobs=1_000_000))
        self.operations.append(operation)
        return operation

    def run(self, number, steps):
        """Take random steps. Each thread has its own."""
        random = Random(f"{self.kind} {number}")
        seen = {}  # the version of each job that this thread has seen last
        choices = [*6 * [self.start], *2 * [self.start_once], *4 * [self.cancel], self.forget,
                   *4 * [self.look]]
        try:
            for _ in range(steps):
                step = random.choice(choices)
                chance = random.random()
                if chance < 0.004:
                    step = self.close
                elif chance < (0.03 if self.kind == "process" else 0.01):
                    step = self.kill
                step(random, seen)
                threading.Event().wait(random.random() * 0.01)  # so that something happens
        except BaseException as error:
            self.errors.append(error)

    def start(self, random, seen):
        number = next(self.numbers)
        operation = random.choice(self.current)
        with contextlib.suppress(Busy, TargetError):  # killed while the function was imported
            job = operation.start(
                folder=self.folder, number=number, seed=random.randrange(10 ** 9))
            self.keep(operation, job, number)

    def start_once(self, random, seen):
        key = random.randrange(50)
        operation = random.choice(self.current)
        # An operation has files of its own for its keys.
        number = 10 ** 9 + 100 * self.operations.index(operation) + key
        with contextlib.suppress(Busy, TargetError, ForgottenJob):
            job = operation.start_once(
                f"key {key}", folder=self.folder, number=number, seed=key)
            self.keep(operation, job, number)

    def keep(self, operation, job, number):
        """Note a job; the first time, its end is counted."""
        entry = job, operation, os.path.join(self.folder, str(number))
        if self.jobs.setdefault(job.id, entry) is entry:
            job.add_done_callback(lambda job: self.ends.append(job.id))

    def cancel(self, random, seen):
        for job, _, _ in self.any(random):
            was_alive = job.cancel()
            assert not was_alive or job.state in {State.CANCELLING, *ENDS}

    def forget(self, random, seen):
        for job, operation, _ in self.any(random):
            with contextlib.suppress(Busy, ForgottenJob, UnknownJob):
                operation.forget(job.id)
                assert job.done()

    def look(self, random, seen):
        for entry in self.any(random):
            self.check(entry, seen)

    def kill(self, random, seen):
        """Kill one of the processes, whatever it does."""
        children = [child.pid for child in multiprocessing.active_children()]
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(children), signal.SIGKILL)
        if self.kind == "pool":  # one that has lost a process runs nothing more
            for _ in KINDS:
                self.close(random, seen)

    def close(self, random, seen):
        place = next(self.places) % len(KINDS)
        old = self.current[place]
        self.current[place] = self.make(KINDS[place])
        old.close()

    def any(self, random):
        jobs = list(self.jobs.values())
        return [random.choice(jobs[-30:])] if jobs else []

    def check(self, entry, seen):
        """Check a status against what was seen before, and against the code's signs of life."""
        job, _, file = entry
        was_done = job.done()
        status = job.status()
        assert status.state in ENDS or not was_done
        assert status.version >= seen.get(job.id, 0)
        seen[job.id] = status.version
        if status.state in ENDS:
            assert self.last.setdefault(job.id, status) == status
        if status.state in ENDED:
            size = os.path.getsize(file) if os.path.exists(file) else 0
            assert self.signs.setdefault(job.id, size) == size, status

    def end(self):
        """Close everything, and check each job once more."""
        for operation in self.operations:
            operation.close()
        for pool in self.pools:
            pool.shutdown()
        jobs = {id: job for id, (job, _, _) in self.jobs.items()}
        assert not wait(jobs.values(), 3 * WAIT).not_done
        for entry in self.jobs.values():
            self.check(entry, {})
        wait_until(lambda: len(self.ends) >= len(jobs))
        assert sorted(self.ends) == sorted(jobs)
        return jobs


# Where a call is being cancelled when the pool breaks, the pool's own thread stumbles before
# Python 3.12, and leaves its processes behind.
@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")
@pytest.mark.parametrize("kind", ["process", pytest.param("pool", marks=pytest.mark.skipif(
    sys.version_info < (3, 12), reason="pools break in a way of their own before 3.12"))])
def test_random_steps(tmp_path, kind):
    """Each job has one end, no ended code goes on, and nothing is left behind."""
    threads_before = threading.active_count()
    steps = Steps(str(tmp_path), kind)
    threads = [threading.Thread(target=steps.run, args=(number, STEPS // THREADS))
               for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * WAIT)
    assert not any(thread.is_alive() for thread in threads)
    jobs = steps.end()
    assert steps.errors == []
    assert len(jobs) > STEPS // 20
    assert all(operation.live == {} for operation in steps.operations)
    wait_until(lambda: multiprocessing.active_children() == [])
    wait_until(lambda: threading.active_count() <= threads_before)

"""Eight threads start, poll, watch, cancel and forget jobs that report, as fast as they can.

Each does one thing in a loop, so that the steps meet in every order; in `test_random_steps` the
steps are varied. Without the interpreter's lock they really meet, so there it takes longer.
"""

import contextlib
import random
import sys
import threading
from concurrent.futures import wait

import pytest

from longop import Busy, ForgottenJob, LongOperation

from .waiting import WAIT, wait_until

HAS_LOCK = getattr(sys, "_is_gil_enabled", lambda: True)()
SECONDS = 2 if HAS_LOCK else 10
MOST_KNOWN = 40  # jobs that the threads choose from; of others they know no more


def work(callback, steps: int):
    """Report here and in another thread; wait for a cancel, fail or return."""
    def report_on():
        with contextlib.suppress(Exception):  # a cancel, in a thread that is not the function's
            for step in range(steps):
                callback(f"elsewhere {step}")

    other = threading.Thread(target=report_on)
    other.start()
    try:
        for step in range(steps):
            callback(step=step, total=steps)
        if steps % 3 == 0:
            callback.wait(0.002)
    finally:
        other.join()
    if steps % 5 == 0:
        raise ValueError(steps)
    return steps


class Hammer:
    """An operation, its jobs, and what each of the threads does."""

    def __init__(self, operation):
        self.operation = operation
        self.jobs = []  # all of them, the newest last; only ever appended to
        self.ended = []  # the ids of those whose Future was done, once for each time
        self.over = threading.Event()
        self.errors = []

    def run(self, roles):
        """Let threads do something, each in a loop, for some seconds."""
        threads = [threading.Thread(target=self._repeat, args=(role,)) for role in roles]
        for thread in threads:
            thread.start()
        self.over.wait(SECONDS)
        self.over.set()
        for thread in threads:
            thread.join(WAIT)
            assert not thread.is_alive()

    def _repeat(self, role):
        seen = {}  # the newest version that this thread has seen, by the id of the job
        try:
            while not self.over.is_set():
                role(self, seen)
        except BaseException as error:
            self.errors.append(error)
            self.over.set()
            raise

    def choose(self):
        """Return one of the newest jobs, or None before there is one."""
        newest = self.jobs[-MOST_KNOWN:]
        return random.choice(newest) if newest else None

    def check(self, job, status, seen):
        """Versions only grow, and nothing comes after the end."""
        version, was_terminal = seen.get(job.id, (-1, False))
        assert status.version >= version
        assert not was_terminal or status.version == version
        seen[job.id] = status.version, status.state.is_terminal

    # What the threads do

    def start(self, seen):
        try:
            job = self.operation.start(steps=random.randrange(12))
        except Busy:
            self.over.wait(0.001)
            return
        job.add_done_callback(lambda done: self.ended.append(job.id))
        self.jobs.append(job)

    def poll(self, seen):
        self.compare(seen, lambda job: self.operation.status(job.id))

    def look(self, seen):
        self.compare(seen, lambda job: job.status())

    def compare(self, seen, ask):
        """What anybody sees as ended is done, and what is done is seen as ended."""
        job = self.choose()
        if job is None:
            return
        was_done = job.done()
        try:
            status = ask(job)
        except ForgottenJob:
            assert job.done()
            return
        is_done = job.done()
        assert is_done or not status.state.is_terminal
        assert status.state.is_terminal or not was_done
        self.check(job, status, seen)

    def watch(self, seen):
        """The last update is the end; until then each is newer than the one before."""
        job = self.choose()
        if job is None:
            return
        last = None
        for status in job.updates():
            assert last is None or status.version > last.version
            last = status
        assert last.state.is_terminal
        assert job.done()
        self.check(job, last, seen)

    def cancel(self, seen):
        job = self.choose()
        if job is not None:
            was_done = job.done()
            assert not (job.cancel() and was_done)
        self.over.wait(0.001)

    def forget(self, seen):
        job = self.choose()
        if job is not None:
            was_done = job.done()
            try:
                self.operation.forget(job.id)
                assert job.done()
            except Busy:
                assert not was_done
            except ForgottenJob:
                assert job.done()
        self.over.wait(0.001)


@pytest.mark.parametrize("history", [None, "file"])
def test_hammer(tmp_path, history):
    """Whatever meets: each job ends once, is lost to nobody, and tells each thread one story."""
    if history is not None:
        pytest.importorskip("longop.archive")
        history = tmp_path / "history"
    before = threading.active_count()
    operation = LongOperation(work, limit=4, max_queued=20, history=history)
    hammer = Hammer(operation)
    try:
        hammer.run([Hammer.start, Hammer.start, Hammer.poll, Hammer.look, Hammer.watch,
                    Hammer.watch, Hammer.cancel, Hammer.forget])
        assert not wait(hammer.jobs, WAIT).not_done
    finally:
        operation.close()
    assert hammer.errors == []
    wait_until(lambda: len(hammer.ended) >= len(hammer.jobs))
    assert sorted(hammer.ended) == sorted(job.id for job in hammer.jobs)
    assert hammer.jobs
    assert operation.live == {}
    wait_until(lambda: threading.active_count() <= before)

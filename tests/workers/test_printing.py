"""`longop.workers.printing`: what a worker process prints.

Most tests are the worker themselves, and write to its ends of the pipes.
"""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

import longop
from longop.functions import printed
from longop.workers.printing import Printing

from ..waiting import wait_until
from .print_functions import die, fail, talk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes there are no file descriptors")


@contextlib.contextmanager
def printing():
    """A `Printing`, and the worker's two ends of its pipes."""
    made = Printing()
    ends = [os.dup(writer.fileno()) for writer in made.writers]
    made.start()
    try:
        yield made, ends
    finally:
        made.close()
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)
        assert not [thread for thread in threading.enumerate() if "printed" in thread.name]


def test_all_that_was_printed_is_passed_on(capfd):
    """What was printed before the end of a job is in its log when the job ends."""
    taken = []
    with printing() as (made, (out, err)):
        with made.going_to(taken.append):
            for n in range(1000):
                os.write(out, b"%d\n" % n)
            os.write(err, b"error\n")
        assert len(b"".join(taken).splitlines()) == 1001
    shown = capfd.readouterr()
    assert shown.out.split() == [str(n) for n in range(1000)]
    assert shown.err == "error\n"


def test_prints_are_seen_at_once(capfd):
    """A line is passed on as soon as it is printed."""
    taken = []
    with printing() as (made, (out, _)), made.going_to(taken.append):
        os.write(out, b"line\n")
        wait_until(lambda: taken)
    assert taken == [b"line\n"]


def test_between_two_jobs(capfd):
    """What is printed while no job runs is shown, and belongs to none."""
    taken = []
    with printing() as (made, (out, _)):
        with made.going_to(taken.append):
            os.write(out, b"one\n")
        os.write(out, b"between\n")
        made.drain()
        with made.going_to(taken.append):
            os.write(out, b"two\n")
    assert b"".join(taken) == b"one\ntwo\n"
    assert capfd.readouterr().out == "one\nbetween\ntwo\n"


def test_a_worker_that_dies(capfd):
    """What a worker has printed before it was killed is not lost."""
    taken = []
    with printing() as (made, ends), made.going_to(taken.append):
        os.write(ends[0], b"last words")
        for end in ends:
            os.close(end)
    assert taken == [b"last words"]
    made.drain()  # harmless


def test_a_child_that_stays(capfd):
    """A child that outlives its worker keeps nothing waiting."""
    with printing() as (_made, (out, err)):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE,
                                 stdout=out, stderr=err)
    with child:
        child.communicate(b"\n")


def test_much_is_printed(capfd):
    """A worker that prints more than a pipe holds is not held up."""
    taken = []
    with printing() as (made, (out, _)), made.going_to(taken.append), \
            os.fdopen(os.dup(out), "wb") as file:
        file.write(b"x" * 3_000_000)
        file.flush()
    assert sum(map(len, taken)) == 3_000_000
    assert len(capfd.readouterr().out) == 3_000_000


# With an operation


@pytest.mark.parametrize("function", [talk, die])
def test_the_log_of_a_job_in_a_process(function, capfd):
    """What a job prints in a process is in its log, also what its children and threads print."""
    printed.capture()
    try:
        operation = longop.LongOperation(function, executor="process")
        job = operation.start()
        job.exception()
        first = job.log()
        operation.start().exception()
        operation.close()
    finally:
        printed.release()
    if function is die:
        assert first == "last words\n"
    else:
        # Output and errors come by pipes of their own: after the unfinished line any may follow.
        lines = first.replace("no newline", "no newline\n").splitlines()
        assert sorted(lines) == sorted(
            ["one", "two", "three", "four", *["five"] * 10, "no newline"])
    assert job.log() == first  # not what the next job printed
    shown = capfd.readouterr()
    assert (shown.out + shown.err).count(first.splitlines()[0]) == 2


@pytest.mark.parametrize("show_tracebacks", [False, True])
def test_the_traceback_from_a_process(capfd, make, show_tracebacks):
    """Behind all that was printed there comes the traceback, if that is wanted: the worker's."""
    printed.capture()
    try:
        job = make(fail, show_tracebacks=show_tracebacks).start()
        job.exception()
    finally:
        printed.release()
    if show_tracebacks:
        assert job.log().startswith("last words\n")
        assert "in fail\n" in job.log()
        assert job.log().endswith("\nValueError: wrong\n")
    else:
        assert job.log() == "last words"


def test_nothing_is_captured_unasked(capfd):
    """Without a command that captures, a process prints where this one does."""
    with_process = longop.LongOperation(talk, executor="process")
    job = with_process.start()
    job.result()
    with_process.close()
    assert job.log() == ""
    assert "one\n" in capfd.readouterr().out

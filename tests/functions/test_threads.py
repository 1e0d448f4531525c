"""`longop.functions.threads`: daemons, where there are any."""

import contextlib
import threading
from concurrent.futures import wait

import pytest

import longop
from longop.functions.threads import thread_of


def test_a_daemon():
    """A thread is a daemon, with a name if one is given."""
    done = []
    thread = thread_of(done.append, 3, name="one")
    assert (thread.daemon, thread.name) == (True, "one")
    thread.start()
    thread.join()
    assert done == [3]


def operate():
    """Start an operation and cancel it; return the state it is in, and its threads' kinds."""
    began = threading.Event()

    def work(callback):
        began.set()
        callback.wait(10)

    with contextlib.closing(longop.LongOperation(work, timeout=20)) as operation:
        job = operation.start()
        assert began.wait(10)
        daemons = {thread.daemon for thread in threading.enumerate()
                   if thread.name.startswith("longop-")}
        job.cancel()
        wait([job], 10)
        return job.state.value, daemons


def test_an_operation_has_daemons():
    """The threads of a job hold up no process that ends."""
    assert operate() == ("cancelled", {True})


def test_a_subinterpreter():
    """Where there are no daemons, they are other threads, and an operation works there too."""
    interpreters = pytest.importorskip("concurrent.interpreters", reason="came with Python 3.14")
    interpreter = interpreters.create()
    try:
        assert interpreter.call(operate) == ("cancelled", {False})
    finally:
        interpreter.close()  # waits for the threads of an interpreter

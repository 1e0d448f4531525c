"""`longop.functions.printed`: what a function prints, by job."""

import asyncio
import contextlib
import io
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

import longop
from longop.functions import printed
from longop.functions.output import going_to


class Screen(io.BytesIO):
    """What was shown. Several threads may write, also where a ``BytesIO`` loses bytes then.

    That is a free-threaded Python; a real stream has a lock of its own.
    """

    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()

    def write(self, data):
        with self._lock:
            return super().write(data)


@contextlib.contextmanager
def terminal():
    """Stand in for standard output and error, captured."""
    before = sys.stdout, sys.stderr
    stream = io.TextIOWrapper(Screen(), "utf-8", newline="\n", write_through=True)
    sys.stdout = sys.stderr = stream
    printed.capture()
    try:
        yield stream
    finally:
        printed.release()
        sys.stdout, sys.stderr = before


def in_terminal(test):
    """Run a test in it. Not a fixture: pytest puts its own streams in place after those."""
    def run():
        with terminal() as stream:
            test(stream)

    run.__doc__ = test.__doc__
    return run


def shown(stream):
    return stream.buffer.getvalue().decode()


@in_terminal
def test_a_print_goes_to_both(stream):
    """A print goes where it went before, and to the sink of the thread that prints."""
    taken = []
    with going_to(taken.append):
        print("héllo", flush=True)
        sys.stderr.write("error\n")
        sys.stdout.writelines(["a\n", "b\n"])
        sys.stdout.buffer.write(b"\xff\n")
        sys.stdout.buffer.write(memoryview(b"view\n"))
        sys.stdout.buffer.writelines([b"c\n", bytearray(b"d\n")])
    print("after")
    assert b"".join(taken) == "héllo\nerror\na\nb\n".encode() + b"\xff\nview\nc\nd\n"
    assert stream.buffer.getvalue() == b"".join(taken) + b"after\n"


def test_logging_that_was_set_up_before():
    """What logging writes to standard error is a print, too, also if it was set up before."""
    before = sys.stderr
    stream = sys.stderr = io.StringIO()
    handler = logging.StreamHandler()
    other = logging.StreamHandler(io.StringIO())
    logger = logging.getLogger("longop.test_printed")
    logger.propagate = False
    logger.addHandler(handler)
    logger.addHandler(other)
    taken = []
    try:
        with printed.taken_by(lambda stream, data: taken.append(data) or True):
            logger.error("wrong")
        assert b"".join(taken) == b"wrong\n"
        assert stream.getvalue() == ""
        assert handler.stream is sys.stderr is stream
        logger.error("after")
        assert stream.getvalue() == "after\n"
        assert other.stream.getvalue() == "wrong\nafter\n"
    finally:
        sys.stderr = before
        logger.removeHandler(handler)
        logger.removeHandler(other)


@in_terminal
def test_what_cannot_be_printed(stream):
    """What is neither text nor bytes is refused, as the stream refuses it."""
    taken = []
    with going_to(taken.append):
        for write, wrong in ((sys.stdout.write, b"x"), (sys.stdout.write, 1),
                             (sys.stdout.buffer.write, 1), (sys.stdout.buffer.write, "x")):
            with pytest.raises(TypeError):
                write(wrong)
    assert taken == []
    assert shown(stream) == ""


@in_terminal
def test_threads_do_not_mix(stream):
    """Each thread's prints go to its own sink, and those of another thread to none."""
    barrier = threading.Barrier(3)
    taken = {name: [] for name in "ab"}

    def run(name):
        with going_to(taken[name].append):
            barrier.wait()
            for _ in range(100):
                print(name)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    barrier.wait()
    print("server")
    for thread in threads:
        thread.join()
    for name, pieces in taken.items():
        assert set(b"".join(pieces).split()) == {name.encode()}
        assert b"".join(pieces).count(b"\n") == 100
    assert shown(stream).count("server") == 1


@in_terminal
def test_threads_with_a_copy_of_the_context(stream):
    """A thread that gets the context, as `asyncio.to_thread` gives it, prints for the job."""
    taken = []
    with going_to(taken.append), ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, print, "thread").result()
    assert b"".join(taken) == b"thread\n"


def test_capture_and_release(monkeypatch):
    """Nothing is replaced until that is asked for, and then once; it can be undone."""
    before = sys.stdout, sys.stderr
    assert not printed.is_captured()
    printed.capture()
    printed.capture()
    assert printed.is_captured()
    assert sys.stdout.stream is before[0]
    printed.release()
    assert (sys.stdout, sys.stderr) == before


def test_without_a_standard_output(monkeypatch):
    """A program without a terminal, such as pythonw, has no streams to capture."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    printed.capture()
    assert not printed.is_captured()


@in_terminal
def test_the_stream_is_as_before(stream):
    """What else a program asks of the stream is answered by the one behind."""
    assert sys.stdout.encoding == "utf-8"
    assert not sys.stdout.isatty()
    assert not sys.stdout.closed
    assert sys.stdout.errors == "strict"


@in_terminal
def test_the_log_of_a_job(stream):
    """What a function prints is in its job's log; what is printed after its end is not."""
    left = []
    go_on = threading.Event()

    def work(callback):
        print("one")
        sys.stderr.write("two\n")

        def linger():
            go_on.wait(10)
            print("too late")

        left.append(threading.Thread(target=copy_context().run, args=(linger,)))
        left.append(threading.Thread(target=linger))
        for thread in left:
            thread.start()

    job = longop.LongOperation(work).start()
    job.result()
    go_on.set()
    for thread in left:
        thread.join()
    assert job.log() == "one\ntwo\n"
    assert shown(stream).count("too late") == 2


@in_terminal
def test_the_log_of_a_coroutine(stream):
    """Coroutines and what they start in threads print for their job."""
    async def work(callback):
        print("one")
        if sys.version_info >= (3, 9):
            await asyncio.to_thread(print, "two")
        await asyncio.sleep(0)

    job = longop.LongOperation(work).start()
    job.result()
    assert job.log() == ("one\ntwo\n" if sys.version_info >= (3, 9) else "one\n")


@in_terminal
def test_a_print_is_a_change_to_see(stream):
    """Watchers are called for a print, although the status is the same."""
    seen = threading.Event()
    go_on = threading.Event()

    def work(callback):
        go_on.wait(10)
        seen.clear()
        print("one")
        assert seen.wait(10)

    job = longop.LongOperation(work).start()
    job.watch(seen.set)
    go_on.set()
    job.result()

"""`longop.functions.output`: which threads print for which job."""

import asyncio
import functools
import gc
import io
import logging
import os
import subprocess
import sys
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

import longop
from longop.functions import output
from longop.functions.output import Output, current, going_to, printing_to
from longop.values.log import logger

from ..waiting import WAIT, end_of
from .test_printed import in_terminal, shown

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def followed():
    """Have threads followed, as `capture` does."""
    output.follow_threads()
    yield
    output.leave_threads()


def say(*words):
    current().write(" ".join(words).encode())


def heard(function):
    """Return what is printed by a function, and by the threads that it starts and joins."""
    taken = []
    with going_to(taken.append):
        function()
    return b",".join(taken).decode()


class Loud(threading.Thread):
    """A thread with a ``run`` and an ``__init__`` of its own."""

    def __init__(self, word):
        super().__init__(daemon=True)
        self.word = word

    def run(self):
        say(self.word)


class Careful(Loud):
    """One with a ``start`` of its own, and without attributes that it does not know."""

    __slots__ = ()

    def __setattr__(self, name, value):
        assert "longop" not in name
        super().__setattr__(name, value)

    def start(self):
        super().start()


def run(thread):
    thread.start()
    thread.join()


def grandchild():
    run(threading.Thread(target=lambda: run(Loud("grandchild"))))


def timer():
    run(threading.Timer(0, say, ["timer"]))


def thread_pool():
    with ThreadPool(1) as pool:
        pool.map(say, ["thread_pool"])


def executor():
    with ThreadPoolExecutor(1) as pool:
        assert [*pool.map(say, ["executor"])] == [None]


def in_a_loop():
    async def main():
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, say, "in_a_loop")
        if sys.version_info >= (3, 9):
            await asyncio.to_thread(say, "in_a_loop")

    asyncio.run(main())


@pytest.mark.parametrize(("function", "said"), [
    (lambda: run(threading.Thread(target=say, args=["thread"])), "thread"),
    (lambda: run(Loud("loud")), "loud"),
    (lambda: run(Careful("careful")), "careful"),
    (grandchild, "grandchild"),
    (timer, "timer"),
    (thread_pool, "thread_pool"),
    (executor, "executor"),
    (in_a_loop, "in_a_loop,in_a_loop" if sys.version_info >= (3, 9) else "in_a_loop"),
])
def test_threads_of_a_job(followed, function, said):
    """What a thread starts, in whatever way, prints for the same job; and then no more."""
    assert heard(function) == said
    taken = []
    output.leave_threads()
    with going_to(taken.append):
        run(threading.Thread(target=say, args=["not followed"]))
    assert taken == []


def test_a_pool_that_jobs_share(followed):
    """A task prints for the job that submits it, whoever has started the thread that makes it."""
    with ThreadPoolExecutor(1) as pool:
        assert heard(lambda: pool.submit(say, "first").result()) == "first"
        assert heard(lambda: pool.submit(say, "second").result()) == "second"
        with going_to(lambda data: pytest.fail("it is the server's own")):
            pool.submit(say, "third")  # in the middle of a job, which goes on
            with printing_to(Output(None)):
                pool.submit(say, "the server's own").result()
    assert current() is output._NOBODYS


def test_a_task_as_it_is(followed):
    """What is submitted gets its arguments, and its value and its errors come back."""
    def task(*args, **named):
        return args, named

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(task, 1, function=2, output=3, pool=4).result() == (
            (1,), {"function": 2, "output": 3, "pool": 4})
        assert isinstance(pool.submit(lambda: 1 / 0).exception(), ZeroDivisionError)
        with pytest.raises(TypeError):
            pool.submit()
    with pytest.raises(RuntimeError):
        pool.submit(task)


def test_a_pool_of_interpreters(monkeypatch):
    """A task for another interpreter is pickled there, so it stays as it is."""
    class Pool(ThreadPoolExecutor):
        pass

    sent = []
    module = types.SimpleNamespace(InterpreterPoolExecutor=Pool)
    monkeypatch.setitem(sys.modules, "concurrent.futures.interpreter", module)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda pool, *task: sent.append(task))
    output.follow_threads()
    try:
        Pool(1).submit(print, 1)
    finally:
        output.leave_threads()
    assert sent == [(print, 1)]


def test_a_thread_that_cannot_start(followed):
    """The error of a thread that cannot start is what it was, and it may be tried again."""
    thread = threading.Thread(target=say, args=["once"])

    def start():
        run(thread)
        with pytest.raises(RuntimeError, match="once"):
            thread.start()

    assert heard(start) == "once"


def test_python_is_as_it_was(followed):
    """What is replaced has its name and its docstring, and is put back."""
    ours = threading.Thread.start, ThreadPoolExecutor.submit
    output.follow_threads()  # harmless
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == ours
    assert threading.Thread.start.__name__ == "start"
    output.leave_threads()
    output.leave_threads()
    usual = threading.Thread.start, ThreadPoolExecutor.submit
    assert [function.__module__ for function in usual] == [
        "threading", "concurrent.futures.thread"]
    assert ours != usual
    assert [function.__wrapped__ for function in ours] == [*usual]
    output.follow_threads()


def test_somebody_else_replaces_the_same(monkeypatch):
    """What another package has put in front of ours stays, and still works."""
    output.follow_threads()
    usual = threading.Thread.start
    calls = []

    @functools.wraps(usual)
    def start(thread):
        calls.append(thread)
        usual(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    output.leave_threads()
    assert threading.Thread.start is start
    output.follow_threads()
    assert heard(lambda: run(Loud("both"))) == "both"
    assert len(calls) == 1
    monkeypatch.undo()
    output.leave_threads()
    assert threading.Thread.start.__module__ == "threading"
    assert not hasattr(threading.Thread.start, "__wrapped__")


def test_import_replaces_nothing():
    """``import longop`` and its jobs leave Python's functions alone."""
    script = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
usual = threading.Thread.start, ThreadPoolExecutor.submit, sys.stdout
import longop
longop.LongOperation(print, callback=False).start().result()
assert usual == (threading.Thread.start, ThreadPoolExecutor.submit, sys.stdout)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=6 * WAIT,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_thread_that_stays(followed):
    """A thread that outlives its job prints for nobody, and keeps nothing of the job alive."""
    class Sink:
        def __call__(self, data):
            pytest.fail("it is too late")

    go_on = threading.Event()
    sink = Sink()
    gone = weakref.ref(sink)

    def stay():
        assert go_on.wait(WAIT)
        say("too late")

    thread = threading.Thread(target=stay)
    with going_to(sink):
        thread.start()
    del sink
    gc.collect()
    assert gone() is None
    go_on.set()
    thread.join()


def test_what_longop_logs(followed):
    """What longop logs in the thread of a job is not what the job prints."""
    file = io.StringIO()

    class Handler(logging.StreamHandler):
        def emit(self, record):
            super().emit(record)
            say("logged")

    handler = Handler(file)
    logger.addHandler(handler)
    try:
        assert heard(lambda: logger.warning("a path") or say("own")) == "own"
    finally:
        logger.removeHandler(handler)
    assert file.getvalue() == "a path\n"


# With jobs


@in_terminal
def test_ten_threads_and_a_child(stream):
    """Ten threads and a program print at once: the job has all that its threads print."""
    def work(callback):
        barrier = threading.Barrier(11)

        def talk(number):
            barrier.wait(WAIT)
            for line in range(50):
                sys.stdout.buffer.write(b"%d %d\n" % (number, line))
                sys.stderr.write(f"{number} {line}\n")

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        barrier.wait(WAIT)
        subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
        for thread in threads:
            thread.join()

    job = longop.LongOperation(work).start()
    job.result(WAIT)
    lines = job.log().splitlines()
    assert sorted(lines) == sorted(2 * [
        f"{number} {line}" for number in range(10) for line in range(50)])
    assert sorted(shown(stream).splitlines()) == sorted(lines)


@in_terminal
def test_jobs_at_once(stream):
    """The threads of two jobs, and their tasks in one pool, do not mix."""
    barrier = threading.Barrier(2)

    def work(name: str, callback):
        barrier.wait(WAIT)
        run(threading.Thread(target=print, args=(name,)))
        pool.submit(print, name).result()
        barrier.wait(WAIT)

    with ThreadPoolExecutor(2) as pool:
        operation = longop.LongOperation(work, limit=2)
        jobs = [operation.start(name=name) for name in "ab"]
        for job in jobs:
            job.result(WAIT)
    assert [job.log() for job in jobs] == ["a\na\n", "b\nb\n"]


@in_terminal
def test_a_job_that_a_job_starts(stream):
    """A job that another one starts has its own prints, and the other one has its own."""
    def inner():
        print("inner")

    def outer():
        print("outer")
        inside.append(longop.LongOperation(inner, callback=False).start())
        inside[0].result(WAIT)
        run(threading.Thread(target=print, args=("outer",)))

    inside = []
    job = longop.LongOperation(outer, callback=False).start()
    job.result(WAIT)
    assert (job.log(), inside[0].log()) == ("outer\nouter\n", "inner\n")


@in_terminal
def test_the_companion_prints(stream):
    """What the companion of a function prints is the job's, too."""
    stopped = threading.Event()

    def work():
        assert stopped.wait(WAIT)

    def stop():
        print("stopping")
        stopped.set()

    job = longop.LongOperation(work, callback=False, cancel=stop).start()
    job.cancel()
    end_of(job)
    assert job.log() == "stopping\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork():
    """A fork prints where the server does, for no job, whatever its parent's threads hold."""
    script = """
import os, sys, threading, warnings
import longop
from longop.functions import printed

warnings.simplefilter("ignore")
printed.capture()
known = threading.Event()

def work():
    known.wait(10)
    print("parent", flush=True)
    with job.printed._lock:  # as another thread that prints at the same time
        child = os.fork()
        if not child:
            with printed.taken_by(lambda stream, data: False):
                print("child", flush=True)
            os._exit(0)
    os.waitpid(child, 0)

job = longop.LongOperation(work, callback=False).start()
known.set()
job.result(10)
assert job.log() == "parent\\n", job.log()
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=6 * WAIT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)},
                          stdout=subprocess.PIPE)
    assert done.stdout.split() == [b"parent", b"child"]

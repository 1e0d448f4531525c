"""`longop.serve.threads`: a pool that holds nobody up."""

import threading

import pytest

from longop.serve.threads import Threads

from ..waiting import WAIT, wait_until


@pytest.fixture
def threads():
    threads = Threads(2, "longop-test")
    yield threads
    threads.close()


def test_value(threads):
    """The Future has the function's value."""
    assert threads.submit(lambda: 1).result(WAIT) == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_error(threads, error):
    """An error of any kind is the Future's, and the thread goes on."""

    def fail():
        raise error

    assert type(threads.submit(fail).exception(WAIT)) is error
    assert threads.submit(lambda: 1).result(WAIT) == 1


def test_idle_thread_is_used_again(threads):
    """A thread is started when all others are busy, and only then."""
    first = threads.submit(threading.get_ident).result(WAIT)
    wait_until(lambda: threads._idle._value == 1)
    assert threads.submit(threading.get_ident).result(WAIT) == first
    assert threads._count == 1


def test_most(threads):
    """So many tasks run at once and no more; the others wait for their turn."""
    may, begun = threading.Event(), threading.Semaphore(0)

    def task():
        begun.release()
        return may.wait(WAIT)

    futures = [threads.submit(task) for _ in range(5)]
    assert begun.acquire(timeout=WAIT)
    assert begun.acquire(timeout=WAIT)
    assert not begun.acquire(blocking=False)
    may.set()
    assert [future.result(WAIT) for future in futures] == 5 * [True]


def test_daemons(threads):
    """Python waits for none of the threads."""
    assert threads.submit(lambda: threading.current_thread().daemon).result(WAIT)


def test_no_more_threads(threads, monkeypatch):
    """If the system has no thread, the first task is refused; later ones wait for a thread."""
    start = threading.Thread.start

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError):
        threads.submit(lambda: 1)
    monkeypatch.setattr(threading.Thread, "start", start)
    may = threading.Event()
    busy = threads.submit(lambda: may.wait(WAIT))
    monkeypatch.setattr(threading.Thread, "start", fail)
    waiting = threads.submit(lambda: 2)
    may.set()
    assert (busy.result(WAIT), waiting.result(WAIT)) == (True, 2)

"""`longop.serve.loop`: sockets, deadlines and calls, without a server."""

import contextlib
import socket
import threading
import time

import pytest

from longop.serve.loop import NEVER, READ, Loop, Task

from ..waiting import WAIT


@pytest.fixture
def loop():
    with contextlib.closing(Loop()) as loop:
        yield loop


class Noted(Task):
    """A task that notes when it is resumed, and asks for the next of its deadlines."""

    def __init__(self, loop, *deadlines):
        self.loop, self.deadlines, self.resumed = loop, [*deadlines, NEVER], []
        loop.tasks.add(self)
        self._ask()

    def _ask(self):
        self.deadline = self.deadlines.pop(0)
        self.loop.next_deadline = min(self.loop.next_deadline, self.deadline)

    def resume(self, events=0):
        self.resumed.append(events)
        self._ask()


def test_call_in_another_thread(loop):
    """Calls from another thread wake the loop, and are made in its thread, in order."""
    made = []

    def call():
        time.sleep(0.02)
        for number in range(100):
            loop.call(lambda number=number: made.append((number, threading.get_ident())))

    thread = threading.Thread(target=call)
    thread.start()
    while len(made) < 100:
        loop.turn()
    thread.join(WAIT)
    assert made == [(number, threading.get_ident()) for number in range(100)]


def test_calls_from_many_threads(loop):
    """No call is lost, however many threads call at the same time."""
    made = []

    def call():
        for _ in range(1_000):
            loop.call(lambda: made.append(None))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(made) < 8_000:
        loop.turn()
    for thread in threads:
        thread.join(WAIT)


def test_call_never_blocks(loop):
    """A busy loop can be called more often than its socket has room for bytes."""
    made = []
    for _ in range(100_000):
        loop.call(lambda: made.append(None))
    loop.turn()
    assert len(made) == 100_000


def test_call_after_the_end():
    """A call to a loop that is over does no harm."""
    loop = Loop()
    loop.close()
    loop.call(lambda: None)


def test_call_in_a_call(loop):
    """A call that is made by another one is not lost."""
    made = []
    loop.call(lambda: loop.call(lambda: made.append(None)))
    while not made:
        loop.turn()


def test_socket(loop):
    """A handler is called with what its socket is ready for, until that is taken back."""
    here, there = socket.socketpair()
    seen = []
    with here, there:
        loop.register(here, READ, seen.append)
        there.send(b"x")
        loop.turn()
        assert seen == [READ]
        loop.unregister(here)
        loop.call(lambda: None)
        loop.turn()
        assert seen == [READ]


def test_deadlines(loop):
    """A task is resumed when its deadline has come, and not before."""
    begin = time.monotonic()
    task = Noted(loop, begin + 0.02, begin + 0.04)
    other = Noted(loop, begin + 3600)
    for count in 1, 2:
        while len(task.resumed) < count:
            loop.turn()
        assert loop.now >= begin + 0.02 * count
    assert other.resumed == []
    assert loop.next_deadline == begin + 3600


def test_deadline_that_moved(loop):
    """A deadline that was postponed costs one look in vain, and no more."""
    now = time.monotonic()
    task = Noted(loop, now, now + 3600)
    task.resume()
    assert loop.next_deadline == now
    loop.turn()
    assert len(task.resumed) == 1
    assert loop.next_deadline > now + 3000


def test_timers(loop):
    """Timers go off in the order of their moments; those of the same moment, as set."""
    made = []
    now = time.monotonic()
    for name, when in ("c", now + 0.02), ("a", now), ("b", now), ("d", now + 0.04):
        loop.call_at(when, lambda name=name: made.append(name))
    while len(made) < 4:
        loop.turn()
    assert made == ["a", "b", "c", "d"]
    assert loop.now >= now + 0.04


def test_resume_last(loop):
    """`resume_last` resumes tasks in order, after everything else in the same turn."""
    order = []

    class Last(Task):
        def __init__(self, name):
            self.name = name

        def resume(self, events=0):
            order.append(self.name)
            if self.name == "first":
                loop.resume_last(Last("added"))

    loop.call(lambda: loop.resume_last(Last("first")))
    loop.call(lambda: loop.resume_last(Last("second")))
    loop.call(lambda: order.append("call"))
    loop.call_at(0.0, lambda: order.append("timer"))
    loop.turn()
    assert order == ["call", "timer", "first", "second", "added"]


def test_task_that_ends_while_others_are_overdue(loop):
    """A task that ends others in its step, which are overdue too, does no harm."""
    now = time.monotonic()
    tasks = [Noted(loop, now) for _ in range(10)]

    class Ends(Noted):
        def resume(self, events=0):
            super().resume()
            loop.tasks.clear()

    Ends(loop, now)
    loop.turn()
    assert loop.next_deadline == NEVER
    assert all(len(task.resumed) <= 1 for task in tasks)

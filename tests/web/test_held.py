"""`longop.web.held`: answers that wait for a job."""

import threading

import pytest

from longop import State
from longop.web.held import hold, stream, wait
from longop.web.wire import Response

from ..waiting import WAIT, end_of


class Gate:
    """A function that reports when the test lets it."""

    __name__ = "gate"

    def __init__(self):
        self.may, self.reported = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, callback, n=3):
        for step in range(n):
            while not self.may.acquire(timeout=0.01):
                callback.check()
            callback(step, step)
            self.reported.release()

    def step(self):
        self.may.release()
        assert self.reported.acquire(timeout=WAIT)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def job(gate, make):
    return make(gate, "thread").start()


def show(status):
    return Response(200, str(status.step).encode())


def event(status):
    yield f"{status.state.value} {status.step}".encode()


def test_hold(gate, job):
    """The answer comes as soon as the job is ready; earlier changes do not matter."""
    _, items = hold(job, 1000.0, lambda status: status.step == 1, show)
    assert next(items) > 999
    assert next(items) > 999  # something has changed, but not that
    gate.step()
    assert next(items) > 999
    gate.step()
    assert next(items).body == b"1"
    assert [*items] == []


def test_hold_ends(gate, job):
    """The answer comes at the latest when its time is over."""
    assert next(hold(job, 0.0, lambda status: False, show).items).body == b"None"
    items = hold(job, 0.001, lambda status: False, show).items
    while not isinstance(next(items), Response):
        pass
    [response] = wait(hold(job, 0.001, lambda status: False, show))
    assert response.body == b"None"


def test_stream(gate, job):
    """A stream has the newest status each time, and ends with the last one."""
    items = stream(job, -1, event).items
    assert next(items).body is None
    assert [next(items), next(items)] == [b"running None", 15.0]
    gate.step()
    gate.step()
    assert [next(items), next(items)] == [b"running 1", 15.0]
    gate.step()
    end_of(job)
    assert [*items] == [b"completed 2"]


def test_heartbeat(gate, job):
    """While nothing changes, comments show that the stream is still alive."""
    items = stream(job, -1, event).items
    next(items)
    assert [next(items) for _ in range(5)] == [b"running None", 15.0, b":\n\n", 15.0, b":\n\n"]


def test_resumed_stream(job):
    """A status that the client has already is not sent again."""
    items = stream(job, job.status().version, event).items
    next(items)
    assert next(items) == b":\n\n"


@pytest.mark.parametrize("steps", [0, 2])
def test_wait(gate, job, steps):
    """A door with a thread for each connection sees each change, and the end."""
    begun, seen = threading.Event(), []

    def watch():
        for item in wait(stream(job, -1, event)):
            seen.append(item)
            begun.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert begun.wait(WAIT)
    for _ in range(steps):
        gate.step()
    job.cancel()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert seen[-1].startswith(b"cancelled ")
    assert job.state is State.CANCELLED
    assert job._watchers == ()


def test_wait_is_left(gate, job):
    """A client that leaves is no longer told of changes."""
    items = wait(stream(job, -1, event))
    assert next(items).body is None
    assert len(job._watchers) == 1
    items.close()
    assert job._watchers == ()


def test_wait_for_what_is_there():
    """A response that is not held is passed on at once."""
    response = Response(204)
    assert [*wait(response)] == [response]


def test_change_while_looking(gate, make):
    """A change between a look at the job and the next wait is not missed."""
    job = make(gate, "thread").start(n=1)

    def event_with_a_change(status):
        yield from event(status)
        if status.step is None:
            gate.step()

    items = wait(stream(job, -1, event_with_a_change))
    assert [*items][1:] in ([b"running None", b"completed 0"],
                            [b"running None", b"running 0", b"completed 0"])


def test_closed_before_the_end(job):
    """A wait that is closed closes the answer, which may have to clean up."""
    held = stream(job, -1, lambda status: b"")
    waiting = wait(held)
    next(waiting)
    waiting.close()
    with pytest.raises(StopIteration):
        next(held.items)

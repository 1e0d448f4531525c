"""`longop.dispatcher`: which jobs run, wait and are refused. More is in `test_operation`."""

import threading
from contextlib import closing

import pytest

from longop import Busy, ForgottenJob, History, Job, KeyReused, LongOperation, State
from longop.callback import Callback
from longop.dispatcher import WHEN_BUSY, Dispatcher, Owner, stop_all
from longop.executors import Call, ThreadBackend
from longop.guard import NEVER, Clock, Guard
from longop.values.jsontext import dumps, loads

from .waiting import WAIT, end_of


@pytest.fixture
def go():
    """What the jobs wait for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def make(go):
    """Make a dispatcher, and what submits a job to it."""
    def make(owner=None, limit=1, when_busy="queue", max_queued=100):
        history = History()
        guard = Guard(0.0, NEVER, NEVER, history.interval, history.track, Clock())
        dispatcher = Dispatcher(
            ("module", "name"), history=history, guard=guard, backend=ThreadBackend(),
            owner=owner, limit=limit, when_busy=when_busy, max_queued=max_queued)
        return dispatcher, lambda: dispatcher.submit(call_of(go), {}, None)

    return make


def call_of(go):
    callback = Callback()
    return Call(lambda report: go.wait(WAIT) and report("done"), (callback,), {}, callback, None,
                0.0)


def states(jobs):
    return [job.state.value for job in jobs]


@pytest.mark.parametrize(("when_busy", "expected"), [
    ("queue", ["running", "queued", "queued"]), ("join", ["running", "running", "running"]),
    ("replace", ["cancelling", "cancelled", "queued"])])
def test_a_start_while_busy(make, go, when_busy, expected):
    """What becomes of three starts where one job may run."""
    dispatcher, submit = make(when_busy=when_busy)
    jobs = [submit() for _ in range(3)]
    assert states(jobs) == expected
    assert set(dispatcher.live.values()) == {job for job in jobs if not job.done()}
    assert when_busy in WHEN_BUSY
    go.set()
    for job in jobs:
        end_of(job)
    assert dispatcher.live == {}


@pytest.mark.parametrize(("options", "status"), [
    ({"when_busy": "reject"}, 409), ({"max_queued": 0}, 429)])
def test_a_refused_start(make, options, status):
    """A refused start names the job that runs, and nothing is known of it."""
    dispatcher, submit = make(**options)
    job = submit()
    with pytest.raises(Busy) as caught:
        submit()
    assert (caught.value.job_id, caught.value.status) == (job.id, status)
    assert [one.id for one in dispatcher.statuses()] == [job.id]


def test_the_owner_is_asked_with_the_lock_held(make):
    """The owner may refuse a start, and nothing changes while it decides."""
    held = []

    class Whole(Owner):
        def admit(self):
            held.append(self.lock.acquire(blocking=False))  # this thread has it already
            other = threading.Thread(target=lambda: held.append(
                self.lock.acquire(blocking=False)))
            other.start()
            other.join(WAIT)
            raise Busy("not now", "id")

    owner = Whole()
    dispatcher, submit = make(owner)
    assert dispatcher.lock is owner.lock
    with pytest.raises(Busy, match="not now"):
        submit()
    assert held == [True, False]
    assert dispatcher.live == {}


def test_stop_all(make, caplog):
    """Nothing starts any more; a thread that does not stop is logged, what waits is interrupted."""
    dispatcher, submit = make()
    running, queued = submit(), submit()
    stop_all([dispatcher])
    assert states([running, queued]) == ["cancelling", "interrupted"]
    assert "did not stop" in caplog.text
    with pytest.raises(Busy, match="module/name is closed"):
        submit()


def test_stop_all_of_nothing():
    """There may be nothing to stop."""
    stop_all([])


# start_once


def twice(callback, n):
    return 2 * n


def test_id_of_a_key_cannot_be_guessed():
    """The id for a key depends on random bytes of the history."""
    ids = [LongOperation(twice, name="name").start_once("key", n=1).id for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(len(id) == 32 for id in ids)


def test_operations_that_share_a_history_know_each_others_keys():
    """Two operations of one name and one history are one as far as keys go."""
    history = History()
    first, second = (LongOperation(twice, history=history) for _ in range(2))
    job = first.start_once("key", n=1)
    assert end_of(job).state is State.COMPLETED
    assert second.start_once("key", n=1).id == job.id
    first.forget(job.id)
    with pytest.raises(ForgottenJob):
        second.start_once("key", n=1)


def test_a_join_finds_no_job_that_is_told_to_stop(make, go):
    """A start joins a job that goes on; where there is none, it waits as in a queue."""
    _, submit = make(when_busy="join")
    stopping = submit()
    assert submit() is stopping
    stopping.cancel()
    waiting = submit()
    assert states([stopping, waiting]) == ["cancelling", "queued"]
    assert submit() is waiting
    go.set()
    assert end_of(waiting).state is State.COMPLETED


def test_a_join_finds_no_job_that_leaves_the_queue(make, go, monkeypatch):
    """A job that was cancelled while it waited is not joined before its end is recorded."""
    dispatcher, submit = make(when_busy="join")
    running = submit()
    running.cancel()
    waiting = submit()
    joined = []
    add = dispatcher.history.add

    def join_then_add(status, extras):
        monkeypatch.setattr(dispatcher.history, "add", add)
        joined.append(submit())
        add(status, extras)

    monkeypatch.setattr(dispatcher.history, "add", join_then_add)
    waiting.cancel()
    assert end_of(waiting).state is State.CANCELLED
    go.set()
    assert [job is waiting for job in joined] == [False]
    assert end_of(joined[0]).state is State.COMPLETED


def test_a_key_that_joined_keeps_its_job(make, go):
    """A key that joined another job means that job from then on, also after its end."""
    dispatcher, submit = make(when_busy="join")
    other = submit()

    def start(parameters, id):
        return submit()

    assert dispatcher.start_once("key", {"n": 1}, start) is other
    go.set()
    end_of(other)
    again = dispatcher.start_once("key", {"n": 1}, start)
    assert (again.id, again.state) == (other.id, State.COMPLETED)
    with pytest.raises(KeyReused, match=other.id):
        dispatcher.start_once("key", {"n": 2}, start)
    assert [status.id for status in dispatcher.statuses()] == [other.id]


def test_the_status_and_the_future_end_at_one_stroke(make, go, monkeypatch):
    """While a job is in the history but its Future is not done, nobody is told that it ended."""
    dispatcher, submit = make()
    job = submit()
    seen = []
    set_result = Job.set_result

    def look_then_set(job, value):
        seen.append((job.id in dispatcher.live, dispatcher.history.get(job.id).state,
                     dispatcher.status(job.id).state, job.done(),
                     [status.state for status in dispatcher.statuses()]))
        set_result(job, value)

    monkeypatch.setattr(Job, "set_result", look_then_set)
    go.set()
    assert end_of(job).state is State.COMPLETED
    assert seen == [(False, State.COMPLETED, State.RUNNING, False, [State.RUNNING])]
    assert dispatcher.status(job.id).state is State.COMPLETED
    assert [status.state for status in dispatcher.statuses()] == [State.COMPLETED]


def test_what_ends_is_alive_until_its_future_is_done(make, go, monkeypatch):
    """While the end of a job is being recorded, no list shows it, and it is not forgotten."""
    dispatcher, submit = make()
    job = submit()
    seen = []
    add = dispatcher.history.add

    def look_then_set(job, value):
        look()
        set_result(job, value)

    def add_then_look(status, extras):
        add(status, extras)
        look()

    def look():
        with pytest.raises(Busy):
            dispatcher.forget(job.id)
        seen.append(([status.state for status in dispatcher.statuses()], job.done()))

    set_result = Job.set_result
    monkeypatch.setattr(Job, "set_result", look_then_set)
    monkeypatch.setattr(dispatcher.history, "add", add_then_look)
    go.set()
    assert end_of(job).state is State.COMPLETED
    assert seen == 2 * [([State.RUNNING], False)]
    dispatcher.forget(job.id)


def test_forget_from_a_done_callback(make, go):
    """As soon as the Future is done the job can be forgotten, whatever else is still to come."""
    dispatcher, submit = make()
    job = submit()
    errors = []
    was_called = threading.Event()  # a moment after those that wait for the job are woken

    def forget(job):
        try:
            dispatcher.forget(job.id)
        except Busy as error:
            errors.append(error)
        was_called.set()

    job._done_callbacks.insert(0, forget)  # before the dispatcher's own
    go.set()
    assert end_of(job).state is State.COMPLETED
    assert was_called.wait(WAIT)
    with pytest.raises(ForgottenJob):
        dispatcher.status(job.id)
    assert errors == []


def test_no_threads_are_left(make, go, monkeypatch):
    """Where no thread can be had each job ends as failed, one after the other, without the lock."""
    dispatcher, submit = make(max_queued=500)
    jobs = [submit() for _ in range(400)]
    held = []

    def start(thread):
        raise RuntimeError("can't start new thread")

    def add(status, extras, add=dispatcher.history.add):
        other = threading.Thread(target=lambda: held.append(
            dispatcher.lock.acquire(timeout=WAIT) and dispatcher.lock.release()))
        start_really(other)
        other.join(2 * WAIT)
        add(status, extras)

    start_really = threading.Thread.start
    monkeypatch.setattr(dispatcher.history, "add", add)
    monkeypatch.setattr(threading.Thread, "start", start)
    go.set()
    assert [end_of(job).state.value for job in jobs] == ["completed", *399 * ["failed"]]
    assert held == 400 * [None]  # what `release` returns: the lock was free
    assert dispatcher.live == {}


def test_a_watcher_that_raises_breaks_nothing(make, go, caplog):
    """A watcher's mistake is logged; neither the job nor those that wait for it are lost."""
    dispatcher, submit = make()
    first, second = submit(), submit()

    def watcher():
        raise RuntimeError("Event loop is closed")

    second.watch(watcher)
    go.set()
    assert [end_of(job).state.value for job in (first, second)] == 2 * ["completed"]
    assert caplog.text.count("RuntimeError: Event loop is closed") >= 2
    assert dispatcher.live == {}


def test_an_id_that_is_alive(make, go):
    """A second job cannot have the id of one that has not ended."""
    dispatcher, submit = make(limit=2)
    job = submit()
    callback = Callback()
    call = Call(lambda report: None, (callback,), {}, callback, None, 0.0)
    with pytest.raises(Busy) as caught:
        dispatcher.submit(call, {}, job.id)
    assert caught.value.job_id == job.id
    go.set()
    assert end_of(job).state is State.COMPLETED


@pytest.mark.parametrize("value", [b"bytes", (1, 2)])
def test_a_job_that_is_done(tmp_path, monkeypatch, value):
    """Once a job is done its status is the history's, also before the operation lets it go."""
    pytest.importorskip("longop.archive")
    may_go = threading.Event()
    after = Dispatcher._after

    def let_go(self, job):
        assert may_go.wait(WAIT)
        after(self, job)

    monkeypatch.setattr(Dispatcher, "_after", let_go)
    with closing(LongOperation(lambda: value, history=tmp_path / "history")) as operation:
        try:
            job = operation.start()
            assert job.result(WAIT) is value
            assert operation.status(job.id).result == loads(dumps(value))
            assert [status.id for status in operation.jobs()] == [job.id]
        finally:
            may_go.set()

"""Operations with real threads; every interleaving is forced with events."""

import contextvars
import functools
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, as_completed

import pytest

import longop
from longop import BadParameters, Busy, ForgottenJob, History, LongOperation, State, UnknownJob
from longop.errors import KeyReused
from longop.operation import Owner, close_all

WAIT = 10  # seconds until a test that hangs fails


class Steps:
    """A function that takes one step at a time, each when the test says so."""

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.reported = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.steps_taken = 0
        self.last = False

    def __call__(self, callback):
        self.entered.release()
        while True:
            assert self.go.acquire(timeout=WAIT)
            if self.last:
                return "value"
            self.steps_taken += 1
            try:
                callback(self.steps_taken)
            finally:
                self.reported.release()

    def step(self):
        self.go.release()
        assert self.reported.acquire(timeout=WAIT)

    def end(self):
        self.last = True
        self.go.release()


@pytest.fixture
def steps():
    steps = Steps()
    yield steps
    steps.last = True
    for _ in range(100):
        steps.go.release()


def end_of(job):
    """Wait for the end of a job and return its last status."""
    return list(job.updates())[-1]


def test_start_report_end(steps):
    """A started job runs, shows its reports, and completes with the value."""
    job = LongOperation(steps).start()
    assert steps.entered.acquire(timeout=WAIT)
    assert job.state is State.RUNNING
    steps.step()
    assert job.status().result == 1
    steps.end()
    assert job.result(WAIT) == "value"
    assert job.state is State.COMPLETED


def test_cancel_takes_hold_at_the_next_report(steps):
    """A cancel while the function works takes hold at its next report, and not before."""
    job = LongOperation(steps).start()
    steps.step()
    assert job.cancel()
    assert job.state is State.CANCELLING
    assert not job.done()
    steps.step()
    status = end_of(job)
    assert (status.state, status.result, status.stop_reason) == (State.CANCELLED, 2, "cancelled")
    assert steps.steps_taken == 2
    with pytest.raises(CancelledError):
        job.result(0)


def test_cancel_before_the_first_report(steps):
    """A cancel right after the start takes hold at the first report."""
    job = LongOperation(steps).start()
    assert job.cancel()
    steps.step()
    assert end_of(job).state is State.CANCELLED
    assert steps.steps_taken == 1


def test_cancel_inside_a_report():
    """A cancel that comes while the function reports takes hold in that report."""
    began = threading.Event()

    def function(callback):
        assert began.wait(WAIT)
        callback("reported")
        raise AssertionError("went on after a cancel")

    operation = LongOperation(function)
    job = operation.start()
    job.watch(job.cancel)  # runs inside the report, in the function's own thread
    began.set()
    assert end_of(job).state is State.CANCELLED
    assert job.status().result == "reported"


def test_cancel_after_the_last_report(steps):
    """A cancel after the last report comes too late, and the value is there."""
    job = LongOperation(steps).start()
    steps.step()
    assert job.cancel()
    steps.end()
    status = end_of(job)
    assert (status.state, status.result) == (State.COMPLETED, "value")
    assert status.cancel_requested_at is not None


def test_cancel_after_the_end(steps):
    """A cancel of a job that has ended says so and changes nothing."""
    job = LongOperation(steps).start()
    steps.end()
    last = end_of(job)
    assert not job.cancel()
    assert job.status() == last


def test_failure_while_cancelling(steps):
    """A function that fails by itself after a cancel has failed."""

    def function(callback):
        steps.entered.release()
        assert steps.go.acquire(timeout=WAIT)
        raise ValueError("wrong")

    job = LongOperation(function).start()
    assert steps.entered.acquire(timeout=WAIT)
    job.cancel()
    steps.go.release()
    assert (end_of(job).state, job.status().error) == (State.FAILED, "ValueError: wrong")


def test_except_exception_does_not_swallow_a_cancel():
    """A function with ``except Exception`` round its callback stops, and what it did ceases."""
    effects, cancel = [], threading.Event()

    def function(callback):
        for number in range(1000):
            effects.append(number)
            try:
                callback(str(number), number)
            except Exception:
                pass
            if number == 2:
                cancel.set()
                assert cancelled.wait(WAIT)

    cancelled = threading.Event()
    job = LongOperation(function).start()
    assert cancel.wait(WAIT)
    job.cancel()
    cancelled.set()
    assert end_of(job).state is State.CANCELLED
    assert effects == [0, 1, 2, 3]


def test_bare_except_is_told_again():
    """A function that swallows everything is told at every report, and its end is a cancel."""
    swallowed = []

    def function(callback):
        job_started.wait(WAIT)
        for number in range(5):
            try:
                callback(number)
            except:  # noqa: E722
                swallowed.append(number)
        return "all"

    job_started = threading.Event()
    job = LongOperation(function).start()
    job.cancel()
    job_started.set()
    status = end_of(job)
    assert swallowed == [0, 1, 2, 3, 4]
    assert (status.state, status.result) == (State.CANCELLED, "all")


def test_function_that_never_reports():
    """A function without a callback can be started and watched; a cancel is honest about it."""
    entered, leave = threading.Event(), threading.Event()

    def function():
        entered.set()
        assert leave.wait(WAIT)
        return 42

    job = LongOperation(function).start()
    assert entered.wait(WAIT)
    assert job.cancel()
    assert job.state is State.CANCELLING
    leave.set()
    assert (end_of(job).state, job.result(0)) == (State.COMPLETED, 42)


def test_system_exit_is_a_failure():
    """A function that calls ``sys.exit`` fails; it ends neither the process nor the operation."""
    operation = LongOperation(lambda callback: sys.exit(3))
    assert end_of(operation.start()).error == "SystemExit: 3"
    assert end_of(operation.start()).state is State.FAILED


# Shapes of functions


def test_generator_function():
    """What a generator function yields is reported with its count; what it returns is the value."""

    def count(n):
        for number in range(n):
            yield f"item {number}"
        return "all"

    job = LongOperation(count).start(n=3)
    assert job.result(WAIT) == "all"
    assert job.status().step == 3
    job = LongOperation(count, report=lambda item: {"message": item}).start(n=2)
    job.result(WAIT)
    assert (job.status().message, job.status().step) == ("item 1", None)


def test_generator_is_closed_on_cancel():
    """The ``finally`` of a generator runs on a cancel, before the job is cancelled."""
    go, closed = threading.Event(), []

    def endless():
        try:
            while True:
                assert go.wait(WAIT)
                yield 1
        finally:
            closed.append(job.state)

    job = LongOperation(endless).start()
    job.cancel()
    go.set()
    assert end_of(job).state is State.CANCELLED
    assert closed == [State.CANCELLING]


def test_async_generator_function():
    """What an async generator function yields is reported; on a cancel its ``finally`` runs."""
    go, closed = threading.Event(), []

    async def count(n):
        try:
            for number in range(n):
                yield number
                assert n < 10 or go.wait(WAIT)
        finally:
            closed.append(n)

    job = LongOperation(count).start(n=3)
    assert job.result(WAIT) == 2
    assert job.status().step == 3
    job = LongOperation(count).start(n=1000)
    job.cancel()
    go.set()
    assert end_of(job).state is State.CANCELLED
    assert closed == [3, 1000]


def test_coroutine_function():
    """A coroutine function runs in a loop of its own, reports, and returns its value."""

    async def work(callback, n):
        callback("reported", n)
        return n + 1

    job = LongOperation(work).start(n=1)
    assert job.result(WAIT) == 2
    assert job.status().step == 1


def test_coroutine_is_cancelled_where_it_waits():
    """The task of a coroutine function is cancelled, and its ``finally`` may await."""
    import asyncio

    entered, cleaned = threading.Event(), []

    async def work(callback):
        try:
            entered.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    job = LongOperation(work).start()
    assert entered.wait(WAIT)
    job.cancel()
    assert end_of(job).state is State.CANCELLED
    assert cleaned == [True]


def test_coroutine_cancelled_by_its_callback_cleans_up_in_peace():
    """A coroutine that is on its way out because of its callback is not cancelled once more."""
    import asyncio

    entered, go, cleaned = threading.Event(), threading.Event(), []

    async def work(callback):
        entered.set()
        assert go.wait(WAIT)  # blocks the loop, so that the wake-up comes after the report
        try:
            callback(1)
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            cleaned.append(True)

    job = LongOperation(work).start()
    assert entered.wait(WAIT)
    job.cancel()
    go.set()
    assert end_of(job).state is State.CANCELLED
    assert cleaned == [True]


def test_coroutine_whose_other_task_met_the_cancel():
    """A cancel that a task beside the main one met takes hold of the main one after the grace."""
    import asyncio

    entered = threading.Event()

    async def worker(callback):
        while True:
            callback()
            entered.set()
            await asyncio.sleep(0)

    async def work(callback):
        task = asyncio.ensure_future(worker(callback))
        await asyncio.wait([task])
        await asyncio.sleep(3600)

    job = LongOperation(work, grace=0).start()
    assert entered.wait(WAIT)
    job.cancel()
    assert end_of(job).state is State.CANCELLED


def test_report_adapter():
    """``report`` turns what the function passes into what is shown, or into nothing."""

    def copy(progress):
        progress(0, 75, 100)
        progress("nothing to say")

    def report(status, remaining=None, total=None):
        return {"step": total - remaining, "total": total} if total else None

    job = LongOperation(copy, report=report).start()
    job.result(WAIT)
    assert (job.status().step, job.status().total) == (25, 100)


def test_reporthook_is_understood():
    """A ``reporthook`` reports bytes: of a size that is known, or not."""

    def fetch(reporthook):
        reporthook(0, 8192, -1)
        reporthook(1, 8192, -1)
        assert job_seen.acquire(timeout=WAIT)
        reporthook(2, 8192, 10000)

    job_seen = threading.Semaphore(0)
    job = LongOperation(fetch).start()
    for status in job.updates():
        if status.step == 8192:
            assert status.total is None
            job_seen.release()
    assert (job.status().step, job.status().total) == (10000, 10000)


def test_urlretrieve_as_it_is(tmp_path):
    """``urllib.request.urlretrieve`` is an operation as it is."""
    from urllib.request import urlretrieve

    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"x" * 100_000)
    job = LongOperation(urlretrieve).start(url=source.as_uri(), filename=str(copy))
    assert job.result(WAIT)[0] == str(copy)
    assert copy.read_bytes() == source.read_bytes()
    assert (job.status().step, job.status().total) == (100_000, 100_000)


def test_companion_is_called_when_the_callback_does_not_help(steps):
    """The companion is called if the cancel has not taken hold after the grace."""
    stop = threading.Event()

    def function(callback):
        assert stop.wait(WAIT)
        return "partial"

    job = LongOperation(function, cancel=stop.set, grace=0).start()
    job.cancel()
    status = end_of(job)
    assert (status.state, status.result) == (State.CANCELLED, "partial")


def test_companion_is_called_at_once_without_a_callback():
    """The companion of a function that takes no callback is not kept waiting."""
    stop = threading.Event()
    job = LongOperation(lambda: stop.wait(WAIT), cancel=stop.set, grace=3600).start()
    job.cancel()
    assert end_of(job).state is State.CANCELLED


def test_companion_is_not_called_in_vain(steps):
    """The companion is left alone if the function stops at its next report."""
    called = []
    job = LongOperation(steps, cancel=lambda: called.append(1), grace=3600).start()
    job.cancel()
    steps.step()
    assert end_of(job).state is State.CANCELLED
    for thread in threading.enumerate():
        if thread.name.startswith("longop-guard-"):
            thread.join(WAIT)
    assert called == []


def test_companion_that_raises_is_logged(caplog):
    """A companion that raises is logged, and the function is told at its next report still."""
    go = threading.Event()

    def function(callback):
        assert go.wait(WAIT)
        callback()

    def broken():
        go.set()
        raise ValueError("broken companion")

    job = LongOperation(function, cancel=broken, grace=0).start()
    job.cancel()
    assert end_of(job).state is State.CANCELLED
    for thread in threading.enumerate():
        if thread.name.startswith("longop-guard-"):
            thread.join(WAIT)
    assert "broken companion" in caplog.text


# Wrapper and decorator


def test_decorator():
    """Decorated, with options or without, a function can be started, and called as before."""

    @LongOperation
    def plain(callback, n=2):
        """Do it.

        At length.
        """
        callback(n)
        return n

    @longop.long_operation(limit=3, name="other")
    def configured(callback):
        return "configured"

    assert plain(lambda result: None, n=5) == 5
    assert plain.start(n=7).result(WAIT) == 7
    assert (plain.name, plain.module, plain.description) == ("plain", "test_operation", "Do it.")
    assert plain.__doc__.startswith("Do it.")
    assert configured.start().result(WAIT) == "configured"
    assert (configured.name, configured.limit) == ("other", 3)


def test_attributes_of_an_object_are_its_own():
    """What an object that can be called holds does not get in the operation's way."""
    steps = Steps()
    steps.start = steps.limit = steps.status = "mine"
    steps.last = True
    steps.go.release()
    assert LongOperation(steps).start().result(WAIT) == "value"


def test_names():
    """Partial functions, methods and objects that can be called have names too."""
    assert LongOperation(functools.partial(functools.partial(test_names))).name == "test_names"
    assert LongOperation(Steps()).name == "Steps"
    assert LongOperation(Steps().step).name == "step"
    assert LongOperation(Steps()).module == "test_operation"


@pytest.mark.parametrize(("options", "error"), [
    ({"limit": 0}, ValueError), ({"when_busy": "explode"}, ValueError),
    ({"callback": "nope"}, TypeError), ({"colour": "red"}, TypeError)])
def test_wrong_options(options, error):
    """An option that does not fit is an error where it is given."""
    with pytest.raises(error):
        LongOperation(lambda callback: None, **options)


def test_not_a_function():
    """What cannot be called is no operation."""
    with pytest.raises(TypeError, match="not a function"):
        LongOperation("os.getcwd")


def test_wrong_parameters_start_nothing():
    """A missing or an unknown parameter is named, and nothing is started."""
    called = []

    def function(callback, n, self=0):
        called.append(n)

    operation = LongOperation(function)
    with pytest.raises(BadParameters) as info:
        operation.start(m=1, callback=2)
    assert set(info.value.errors) == {"n", "m", "callback"}
    assert operation.jobs() == []
    operation.start(n=1, self=2).result(WAIT)
    assert called == [1]


# Limit and queue


def test_one_at_a_time_in_order():
    """One job runs at a time by default; the others wait in order and are told their place."""
    steps = Steps()
    operation = LongOperation(steps)
    jobs = [operation.start() for _ in range(4)]
    assert steps.entered.acquire(timeout=WAIT)
    assert [job.state for job in jobs] == [State.RUNNING] + 3 * [State.QUEUED]
    assert [job.status().queue_position for job in jobs] == [None, 1, 2, 3]
    steps.end()
    assert jobs[0].result(WAIT) == "value"
    assert steps.entered.acquire(timeout=WAIT)
    assert [job.status().queue_position for job in jobs] == [None, None, 1, 2]
    for _ in range(3):
        steps.go.release()
    assert [job.result(WAIT) for job in jobs] == 4 * ["value"]


def test_cancel_of_a_queued_job():
    """A queued job is cancelled at once, never runs, and those behind it move up."""
    steps = Steps()
    operation = LongOperation(steps)
    jobs = [operation.start() for _ in range(4)]
    watcher = jobs[3].updates()
    assert next(watcher).queue_position == 3
    assert jobs[1].cancel()
    assert jobs[1].state is State.CANCELLED
    assert jobs[1].status().started_at is None
    assert next(watcher).queue_position == 2
    # Newest first; of those of one millisecond, what has ended comes last.
    listed = [[job.id for job in jobs].index(status.id) for status in operation.jobs()]
    assert listed in ([3, 2, 1, 0], [3, 2, 0, 1])
    steps.end()
    steps.go.release()
    steps.go.release()
    assert [job.result(WAIT) for job in (jobs[0], jobs[2], jobs[3])] == 3 * ["value"]
    assert steps.steps_taken == 0


def test_limit():
    """As many jobs run at once as the limit says, and no more."""
    barrier, running, most = threading.Barrier(3), [], []

    def function(callback):
        running.append(1)
        most.append(len(running))
        barrier.wait(WAIT)
        running.pop()
        barrier.wait(WAIT)

    operation = LongOperation(function, limit=3)
    for job in [operation.start() for _ in range(9)]:
        job.result(WAIT)
    assert max(most) == 3


def test_reject(steps):
    """With ``when_busy="reject"`` a second start is refused while a job runs, and names it."""
    operation = LongOperation(steps, when_busy="reject")
    job = operation.start()
    with pytest.raises(Busy) as info:
        operation.start()
    assert (info.value.job_id, info.value.status) == (job.id, 409)
    job.cancel()
    with pytest.raises(Busy):  # told to stop is not stopped
        operation.start()
    steps.step()
    assert end_of(job).state is State.CANCELLED
    assert operation.start().state is State.RUNNING


def test_the_place_is_free_when_the_result_is_there():
    """Whoever has a job's result can start the next one: no refusal comes too late."""
    operation = LongOperation(lambda callback: 1, when_busy="reject")
    for _ in range(300):
        assert operation.start().result(WAIT) == 1


def test_full_queue(steps):
    """A queue that is full refuses, and says when to try again."""
    operation = LongOperation(steps, max_queued=2)
    jobs = [operation.start() for _ in range(3)]
    with pytest.raises(Busy) as info:
        operation.start()
    assert info.value.status == 429
    assert int(info.value.headers["Retry-After"]) > 0
    jobs[2].cancel()
    assert operation.start().state is State.QUEUED


def test_replace(steps):
    """With ``when_busy="replace"`` the newest start counts: what runs is cancelled first."""
    operation = LongOperation(steps, when_busy="replace", max_queued=0)
    jobs = [operation.start()]
    assert steps.entered.acquire(timeout=WAIT)
    jobs += [operation.start(), operation.start()]
    assert [job.state for job in jobs] == [State.CANCELLING, State.CANCELLED, State.QUEUED]
    assert jobs[1].status().started_at is None
    assert not steps.entered.acquire(blocking=False)  # one at a time still
    steps.step()
    assert end_of(jobs[0]).state is State.CANCELLED
    assert steps.entered.acquire(timeout=WAIT)
    assert jobs[2].state is State.RUNNING
    steps.end()
    assert jobs[2].result(WAIT) == "value"
    assert operation.start().state is State.RUNNING  # nothing is there to be replaced


def test_replace_the_oldest(steps):
    """Of several jobs that run the oldest is replaced."""
    operation = LongOperation(steps, when_busy="replace", limit=2)
    jobs = [operation.start() for _ in range(3)]
    assert [job.state for job in jobs] == [State.CANCELLING, State.RUNNING, State.QUEUED]


def test_join(steps):
    """With ``when_busy="join"`` a start while a job runs is that job, and not after it."""
    operation = LongOperation(steps, when_busy="join")
    job = operation.start()
    assert operation.start() is job
    steps.end()
    assert job.result(WAIT) == "value"
    other = operation.start()
    assert other is not job
    assert {status.id for status in operation.jobs()} == {job.id, other.id}


def test_join_the_oldest(steps):
    """As many jobs run as the limit says before a start joins one, which is the oldest."""
    operation = LongOperation(steps, when_busy="join", limit=2)
    jobs = [operation.start() for _ in range(4)]
    assert jobs[1] is not jobs[0]
    assert jobs[2:] == 2 * jobs[:1]


# Once only


def double(callback, n):
    return 2 * n


def test_start_once():
    """The same key is the same job, while it runs and after it, and the function runs once."""
    called, go = [], threading.Event()

    def function(callback, a, b):
        called.append((a, b))
        assert go.wait(WAIT)
        return a + b

    operation = LongOperation(function)
    job = operation.start_once("key", a=1, b=2)
    assert operation.start_once("key", b=2, a=1) is job
    go.set()
    assert job.result(WAIT) == 3
    again = operation.start_once("key", a=1, b=2)
    assert (again.id, again.status(), again.result(0)) == (job.id, job.status(), 3)
    assert operation.start_once("other key", a=1, b=2).result(WAIT) == 3
    assert operation.start(a=1, b=2).result(WAIT) == 3
    assert called == 3 * [(1, 2)]


@pytest.mark.parametrize("n", [0, 1])
def test_key_with_other_parameters(n):
    """A key that was given with other parameters is an error, while its job runs and after it."""
    go = threading.Event()

    def function(callback, n):
        assert go.wait(WAIT)
        return 1 / n  # or it fails

    operation = LongOperation(function)
    job = operation.start_once("key", n=n)
    with pytest.raises(KeyReused, match=job.id):
        operation.start_once("key", n=2)
    go.set()
    end_of(job)
    with pytest.raises(KeyReused) as info:
        operation.start_once("key", n=str(n))
    assert info.value.status == 422
    assert [status.id for status in operation.jobs()] == [job.id]


def test_key_of_a_forgotten_job():
    """The key of a job that is no longer kept does not start it again."""
    operation = LongOperation(double, history=History(max_jobs=1))
    jobs = [operation.start_once(key, n=1) for key in "ab"]
    for job in jobs:
        end_of(job)
    with pytest.raises(ForgottenJob):
        operation.start_once("a", n=1)
    operation.forget(jobs[1].id)
    with pytest.raises(ForgottenJob):
        operation.start_once("b", n=1)


def test_key_is_the_operations_own():
    """The same key is another job for another operation, though they share a history."""
    history = History()
    jobs = [LongOperation(double, name=name, history=history).start_once("key", n=1)
            for name in ("one", "two")]
    assert [end_of(job).operation for job in jobs] == ["one", "two"]
    assert jobs[0].id != jobs[1].id


def test_key_of_what_was_not_started(steps):
    """A key that did not start anything is free still."""
    operation = LongOperation(steps, when_busy="reject")
    with pytest.raises(BadParameters):
        operation.start_once("key", n=1)
    first = operation.start()
    with pytest.raises(Busy):
        operation.start_once("key")
    steps.end()
    end_of(first)
    steps.last = False
    job = operation.start_once("key")
    assert operation.start_once("key") is job  # and no refusal
    steps.end()
    assert end_of(job).state is State.COMPLETED


def test_key_given_by_many_at_once():
    """However many threads start with one key at once, there is one job."""
    called, barrier, jobs = [], threading.Barrier(16), []

    def start():
        barrier.wait(WAIT)
        jobs.append(operation.start_once("key", n=1))

    operation = LongOperation(lambda callback, n: called.append(n), limit=16)
    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len(jobs) == 16
    assert len({job.id for job in jobs}) == 1
    end_of(jobs[0])
    assert called == [1]


def test_no_thread_to_be_had(monkeypatch):
    """A job whose thread cannot be started has failed, and its place is free."""

    def broken(self):
        raise RuntimeError("can't start new thread")

    operation = LongOperation(lambda callback: 1, when_busy="reject")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", broken)
        job = operation.start()
    assert job.status().error == "RuntimeError: can't start new thread"
    assert operation.start().result(WAIT) == 1


# What is known of jobs


def test_jobs_and_status(steps):
    """Jobs are listed newest first, found by their id, and forgotten once they have ended."""
    operation = LongOperation(steps, history=History(max_jobs=2))
    steps.last = True
    for _ in range(5):
        steps.go.release()
    ended = [operation.start() for _ in range(3)]
    for job in ended:
        job.result(WAIT)
    assert [status.id for status in operation.jobs()] == [ended[2].id, ended[1].id]
    assert operation.status(ended[1].id) == ended[1].status()
    assert operation.live.get(ended[1].id) is None
    operation.forget(ended[1].id)
    for gone in ended[:2]:
        with pytest.raises(ForgottenJob):
            operation.status(gone.id)
    with pytest.raises(UnknownJob):
        operation.status("nope")


def test_live_jobs_are_never_dropped(steps):
    """However small the bounds are, a job that has not ended is kept, and cannot be forgotten."""
    operation = LongOperation(steps, history=History(max_jobs=0, max_bytes=0))
    jobs = [operation.start() for _ in range(20)]
    assert len(operation.jobs()) == 20
    assert all(operation.live.get(job.id) is job for job in jobs)
    for job in jobs:
        with pytest.raises(Busy):
            operation.forget(job.id)


def test_races_from_many_threads():
    """Whatever starts and cancels at the same time, each job ends once, and nothing is left."""
    started = threading.active_count()
    operation = LongOperation(lambda callback: [callback(n) for n in range(10)], limit=4,
                              max_queued=10_000, history=History(max_jobs=10_000))
    ends, barrier = [], threading.Barrier(8)

    def race():
        barrier.wait(WAIT)
        for _ in range(50):
            job = operation.start()
            job.add_done_callback(lambda job: ends.append(job.id))
            job.cancel()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    jobs = [operation.live.get(status.id) for status in operation.jobs()]
    for _ in as_completed([job for job in jobs if job], timeout=WAIT):
        pass
    for thread in threading.enumerate():
        if thread.name.startswith("longop-"):
            thread.join(WAIT)
    assert threading.active_count() == started
    statuses = operation.jobs()
    assert len(statuses) == len(set(ends)) == len(ends) == 400
    assert {status.state for status in statuses} <= {State.CANCELLED, State.COMPLETED}


def test_signal_handler_may_cancel():
    """A job can be cancelled from a signal handler, even in the thread that holds the lock."""
    operation = LongOperation(lambda callback: None)
    job = operation.start()
    job.result(WAIT)
    with operation._dispatcher.lock:
        assert not job.cancel()
        assert operation.status(job.id).state is State.COMPLETED


def test_stuck_job_does_not_hold_up_the_exit():
    """The interpreter exits at once, though a job never ends."""
    script = ("import longop, threading; longop.LongOperation(threading.Event().wait,"
              " callback=False).start(); print('out')")
    done = subprocess.run([sys.executable, "-c", script], timeout=WAIT, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout.split()) == (0, [b"out"])


# Close


class Whole(Owner):
    """An owner that notes what it is told."""

    def __init__(self, error=None):
        super().__init__()
        self.adopted = []
        self.seen = []
        self.error = error

    def adopt(self, dispatcher):
        self.adopted.append(dispatcher)

    def close(self):
        self.seen.append([job.state for dispatcher in self.adopted
                          for job in dispatcher.live.values()])
        if self.error:
            raise self.error


class NotingHistory(History):
    """A history that notes when it is closed, and which owners had been by then."""

    def __init__(self, *owners):
        super().__init__()
        self.owners = owners
        self.seen = []

    def close(self):
        self.seen.append([len(owner.seen) for owner in self.owners])


def test_close_all_closes_owners_and_histories_once():
    """Owners are closed once, when no job is left, and after them the histories, once too."""
    def function(callback):
        while True:
            callback.wait(0.01)

    owner, other = Whole(), Whole()
    history = NotingHistory(owner, other)
    operations = [LongOperation(function, owner=one, history=history)
                  for one in (owner, owner, other)]
    jobs = [operation.start() for operation in operations for _ in range(2)]
    close_all(operations)
    assert {job.state for job in jobs} == {State.INTERRUPTED}
    assert owner.seen == other.seen == [[]]
    assert history.seen == [[1, 1]]


def test_owner_that_cannot_be_closed(caplog):
    """What an owner's close raises is logged, and keeps nothing else from being closed."""
    owners = [Whole(ValueError("broken")), Whole(ValueError("broken")), Whole()]
    history = NotingHistory(*owners)
    close_all([LongOperation(double, owner=owner, history=history) for owner in owners])
    assert history.seen == [[1, 1, 1]]
    assert caplog.text.count("ValueError: broken") == 2


def test_close_all_of_nothing():
    """There may be no operation to close."""
    close_all([])


def test_closed_operation(steps):
    """A closed operation starts nothing."""
    operation = LongOperation(steps)
    operation.close()
    with pytest.raises(Busy, match="is closed"):
        operation.start()


# The same with other options


def test_replace_changes_some_options():
    """The other operation has the same options but for those that are given, and no jobs."""
    def stop():
        pass

    history, owner = History(), Whole()
    operation = LongOperation(double, name="other", limit=3, grace=1, when_busy="reject",
                              history=history, owner=owner)
    operation.start(n=1).result(WAIT)
    changed = operation.replace(limit=2, cancel=stop)
    assert (changed.name, changed.limit, changed.when_busy) == ("other", 2, "reject")
    assert changed.companion is stop
    assert operation.companion is None
    assert changed.replace().companion is stop
    assert [one.live for one in owner.adopted[:2]] == [operation.live, changed.live]
    assert owner.adopted[0].live is operation.live
    assert owner.adopted[1].live is changed.live
    assert operation.owner is changed.owner is owner
    assert changed.jobs() == operation.jobs()  # of one history
    assert LongOperation(double, history=History()).replace(history=None).jobs() == []


def test_long_operation():
    """The decorator and the class make the same."""
    operation = longop.long_operation(double)
    assert operation.start(n=2).result(WAIT) == 4
    assert operation(None, n=2) == 4
    with pytest.raises(TypeError, match="colour"):
        longop.long_operation(colour="red")(double)


def test_generic_at_run_time():
    """An operation's type can be written with its parameters, on every Python."""
    assert LongOperation[..., str] is not None
    assert LongOperation[[int], str] is not None


def test_without_docstrings():
    """Under ``python -OO`` there are no docstrings, and everything works all the same."""
    script = (
        "import longop\n"
        "@longop.long_operation(limit=2)\n"
        "def function(callback, n: int):\n"
        "    'Do it.'\n"
        "    callback('reported', 1, n)\n"
        "    return n\n"
        "print(longop.__doc__, longop.LongOperation.__doc__, function.__doc__)\n"
        "print([function.description], *function.signature.schema()['properties'])\n"
        "print(function.start(n=3).result(10))\n")
    done = subprocess.run([sys.executable, "-OO", "-W", "error", "-c", script], timeout=60,
                          stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"None"] * 3 + [b"['']", b"n", b"3"]


# Context


def test_a_job_runs_in_the_context_of_its_start():
    """A job sees the context variables of its start, also if it had to wait, and keeps its own."""
    variable = contextvars.ContextVar("variable", default="none")
    go = threading.Event()

    def look(callback):
        assert go.wait(WAIT)
        seen = variable.get()
        variable.set("the job's own")
        return seen

    async def look_in_a_loop(callback):
        return look(callback)

    for function in (look, look_in_a_loop):
        operation = LongOperation(function)
        jobs = []
        for name in ("first", "second"):  # the second one is begun in the thread of the first
            token = variable.set(name)
            jobs.append(operation.start())
            variable.reset(token)
        assert jobs[1].state is State.QUEUED
        go.set()
        assert [job.result(WAIT) for job in jobs] == ["first", "second"]
        go.clear()
    assert variable.get() == "none"

"""A job's life without a function: every state, and all that can happen in it."""

import asyncio
import concurrent.futures
import logging
import re
import threading
import time
import typing
from concurrent.futures import CancelledError, InvalidStateError
from pathlib import Path

import pytest

from longop import LongOperation
from longop.callback import Callback
from longop.errors import DeadlineExceeded, LongOperationError, OperationCancelled
from longop.job import Job
from longop.status import TRANSITIONS, State

from .waiting import wait_until


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def make_job(clock=time.monotonic, ended=None):
    return Job("module", "name", Callback(), lock=threading.RLock(),
               ended=ended or (lambda job: None), clock=clock)


def job_in(state):
    job = make_job()
    if state is not State.QUEUED:
        if state is not State.CANCELLED:
            job.begin()
        if state is State.CANCELLING or state is State.CANCELLED:
            job.cancel()
        elif state is State.INTERRUPTED:
            job.stop("interrupted")
            job.finish(error=OperationCancelled())
        elif state is State.COMPLETED:
            job.finish("value")
        elif state is State.FAILED:
            job.finish(error=ValueError("wrong"))
    assert job.state is state
    return job


EVENTS = {
    "moves up": lambda job: job.queue_at(3),
    "begins": lambda job: job.begin(),
    "returns": lambda job: job.finish("other"),
    "raises": lambda job: job.finish(error=KeyError("other")),
    "stops": lambda job: job.finish(error=OperationCancelled()),
}
ALLOWED = {
    (State.QUEUED, "moves up"): State.QUEUED,
    (State.QUEUED, "begins"): State.RUNNING,
    (State.QUEUED, "stops"): State.CANCELLED,
    (State.RUNNING, "returns"): State.COMPLETED,
    (State.RUNNING, "raises"): State.FAILED,
    (State.RUNNING, "stops"): State.CANCELLED,
    (State.CANCELLING, "returns"): State.COMPLETED,
    (State.CANCELLING, "raises"): State.FAILED,
    (State.CANCELLING, "stops"): State.CANCELLED,
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", State)
def test_transitions(state, event):
    """Every event in every state leads where the table says, or raises and changes nothing."""
    job = job_in(state)
    before = job.status()
    if (state, event) in ALLOWED:
        EVENTS[event](job)
        assert job.state is ALLOWED[state, event]
        assert job.state in TRANSITIONS[state]
        assert job.status().version == before.version + 1
        assert job.done() == job.state.is_terminal
    else:
        with pytest.raises(InvalidStateError):
            EVENTS[event](job)
        after = job.status()
        assert (after.state, after.version) == (before.state, before.version)
        assert after.result == before.result
        assert after.error == before.error


@pytest.mark.parametrize(("state", "after", "alive"), [
    (State.QUEUED, State.CANCELLED, True),
    (State.RUNNING, State.CANCELLING, True),
    (State.CANCELLING, State.CANCELLING, True),
    (State.COMPLETED, State.COMPLETED, False),
    (State.FAILED, State.FAILED, False),
    (State.CANCELLED, State.CANCELLED, False),
    (State.INTERRUPTED, State.INTERRUPTED, False),
])
def test_cancel_in_every_state(state, after, alive):
    """A cancel says whether the job was alive, and never that code has stopped which runs."""
    job = job_in(state)
    assert job.cancel() is alive
    assert job.state is after
    assert job.cancelled() is (after in (State.CANCELLED, State.INTERRUPTED))


def test_only_terminal_states_are_final():
    """A state is terminal exactly if nothing follows it."""
    assert [state.value for state in State if state.is_terminal] == [
        "completed", "failed", "cancelled", "interrupted"]


@pytest.mark.parametrize("state", State)
def test_report_in_every_state(state):
    """A report changes the status of a job that runs, and not of one that has ended."""
    job = job_in(state)
    before = job.status()
    try:
        job.callback("partial", 1)
    except OperationCancelled:
        assert state in (State.CANCELLING, State.CANCELLED, State.INTERRUPTED)
    after = job.status()
    if state.is_terminal:
        assert after == before
    else:
        assert (after.result, after.step) == ("partial", 1)
        assert after.version == before.version + 1


def test_id_is_unguessable():
    """No two jobs share an id, and one is 128 bits long."""
    ids = {make_job().id for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 32 and int(id, 16) >= 0 for id in ids)


def test_value_or_last_report_is_the_result():
    """The function's value is the result; of one without a value it is the last report."""
    job = job_in(State.RUNNING)
    job.callback("reported", 5)
    job.finish(None)
    assert job.result(0) == job.status().result == "reported"
    job = job_in(State.RUNNING)
    job.callback("reported", 5)
    job.finish(0)
    assert job.result(0) == job.status().result == 0


@pytest.mark.parametrize("error", [ValueError("wrong"), OperationCancelled()])
def test_partial_result_is_kept(error):
    """What was reported before a failure or a cancel is still there after it."""
    job = job_in(State.RUNNING)
    job.callback("partial", 3, 10, "working")
    job.finish(error=error)
    status = job.status()
    assert (status.result, status.step, status.total) == ("partial", 3, 10)
    assert (status.message, status.progress) == ("working", 0.3)


def test_error_keeps_type_and_message():
    """The error is told with its type and message, and raised again as it is."""
    job = job_in(State.FAILED)
    assert job.status().error == "ValueError: wrong"
    assert job.status().stop_reason == "error"
    with pytest.raises(ValueError, match=r"^wrong$"):
        job.result(0)


def test_broken_exception():
    """An exception whose text cannot be had does not keep a job alive."""

    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    job = job_in(State.RUNNING)
    job.finish(error=Broken())
    assert job.state is State.FAILED
    assert job.status().error.startswith("Broken")


def test_error_on_the_way_out_of_a_cancel():
    """An error raised while a cancel unwinds the function is told, and the job is cancelled."""
    job = job_in(State.CANCELLING)
    try:
        try:
            job.callback.check()
        finally:
            raise ValueError("in the clean-up")
    except ValueError as error:
        job.finish(error=error)
    assert job.state is State.CANCELLED
    assert job.status().error == "ValueError: in the clean-up"


def test_ring_of_causes():
    """A chain of causes that is a ring comes to an end."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    job = job_in(State.RUNNING)
    job.finish(error=first)
    assert job.state is State.FAILED


def test_function_that_asked_and_returned_is_cancelled():
    """A function that saw the cancel and returned was cancelled; one that never looked was not."""
    job = job_in(State.CANCELLING)
    assert job.callback.cancelled
    job.finish("partial")
    assert job.state is State.CANCELLED
    assert job.status().result == "partial"


@pytest.mark.parametrize(("begun", "end", "state"), [
    (False, None, State.INTERRUPTED),
    (True, lambda job: job.finish(error=OperationCancelled()), State.INTERRUPTED),
    (True, lambda job: job.callback.cancelled and job.finish("late"), State.INTERRUPTED),
    (True, lambda job: job.finish("late"), State.COMPLETED),
    (True, lambda job: job.finish(error=ValueError("wrong")), State.FAILED)])
def test_interrupted(begun, end, state):
    """A job that the end of its server stops is interrupted; one that ends by itself is not."""
    job = job_in(State.RUNNING if begun else State.QUEUED)
    assert job.stop("interrupted")
    if end:
        assert job.state is State.CANCELLING
        end(job)
    status = job.status()
    assert status.state is state
    assert (status.stop_reason == "interrupted") == (state is State.INTERRUPTED)
    assert status.cancel_requested_at is not None
    assert not job.stop("interrupted")


@pytest.mark.parametrize(("first", "then", "state"), [
    ("cancelled", "interrupted", State.CANCELLED), ("interrupted", "cancelled", State.INTERRUPTED)])
def test_first_reason_counts(first, then, state):
    """A job that was told to stop twice was stopped for the first reason."""
    job = job_in(State.RUNNING)
    assert job.stop(first)
    assert job.stop(then)
    job.finish(error=OperationCancelled())
    assert (job.state, job.status().stop_reason) == (state, first)


@pytest.mark.parametrize(("value", "error"), [
    (None, OperationCancelled()), ("value", None), (None, ValueError("wrong"))])
def test_end_after_a_deadline(value, error):
    """What ends after its deadline has failed, however it ended; what there is of it is kept."""
    job = job_in(State.RUNNING)
    job.callback("partial", 1, 4)
    overdue = DeadlineExceeded("too late")
    assert job.stop("timeout", overdue)
    assert job.state is State.CANCELLING
    job.finish(value, error)
    status = job.status()
    assert (status.state, status.stop_reason) == (State.FAILED, "timeout")
    assert (status.result, status.progress) == (value or "partial", 0.25)
    own = "\nended with: ValueError: wrong" if isinstance(error, ValueError) else ""
    assert status.error == f"DeadlineExceeded: too late{own}"
    assert job.exception(0) is overdue
    assert overdue.__cause__ is (error if isinstance(error, ValueError) else None)


def test_deadline_after_a_cancel():
    """A deadline that passes after a cancel changes nothing."""
    job = job_in(State.CANCELLING)
    assert job.stop("timeout", DeadlineExceeded("too late"))
    job.finish(error=OperationCancelled())
    assert (job.state, job.status().error) == (State.CANCELLED, None)


@pytest.mark.parametrize("state", [state for state in State if state.is_terminal])
def test_job_of_its_last_status(state, caplog):
    """A job that is made of what is left of one says of itself what that one said."""
    old = job_in(state)
    caplog.clear()
    job = Job.of(old.status())
    assert (job.id, job.status(), job.cancel()) == (old.id, old.status(), False)
    assert (job.done(), job.running(), job.cancelled()) == (True, False, old.cancelled())
    assert list(job.updates()) == [old.status()]
    assert caplog.text == ""  # its end was logged long ago
    called = []
    job.add_done_callback(called.append)
    assert called == [job]
    if state is State.COMPLETED:
        assert job.result(0) == "value"
    elif state is State.FAILED:
        with pytest.raises(LongOperationError, match=r"^ValueError: wrong$"):
            job.result(0)
    else:
        with pytest.raises(CancelledError):
            job.result(0)


def test_time_is_monotonic_and_injected():
    """Elapsed and remaining time come from the injected clock, and stop at the end."""
    clock = Clock()
    job = make_job(clock)
    clock.now += 50  # queued: this is not running time
    assert job.status().elapsed is None
    job.begin()
    clock.now += 10
    job.callback(step=1, total=4)
    status = job.status()
    assert (status.elapsed, status.eta, status.progress) == (10, 30, 0.25)
    clock.now += 10
    job.finish("done")
    clock.now += 1000
    status = job.status()
    assert (status.elapsed, status.eta, status.progress) == (20, None, 1.0)


def test_number_that_raises():
    """A step of which nothing can be made does not keep a job alive."""

    class Odd:
        def __float__(self):
            raise RuntimeError("only one element tensors can be converted")

    job = job_in(State.RUNNING)
    job.callback(step=Odd(), total=3)
    job.finish(1)
    assert (job.state, job.status().progress) == (State.COMPLETED, 1.0)


@pytest.mark.parametrize(("step", "total", "progress"), [
    (1, 2, 0.5), (3, 2, 1.0), (0, 0, None), (1, None, None), ("x", 2, None), (-1, 2, None),
    (float("nan"), 2, None), (1, float("inf"), 0.0), (10**400, 1, None), ("1", "2", 0.5),
    ([], {}, None)])
def test_progress(step, total, progress):
    """Progress is 0 to 1, or unknown, whatever a function reports."""
    job = job_in(State.RUNNING)
    job.callback(step=step, total=total)
    assert job.status().progress == progress


def test_moments_are_iso_8601_in_utc():
    """The moments are in order, and say that they are UTC."""
    job = job_in(State.RUNNING)
    job.cancel()
    job.finish(error=OperationCancelled())
    status = job.status()
    moments = [status.created_at, status.started_at, status.cancel_requested_at,
               status.finished_at]
    assert moments == sorted(moments)
    for moment in moments:
        assert moment.endswith("Z")
        time.strptime(moment[:-5], "%Y-%m-%dT%H:%M:%S")


def test_bookkeeping_comes_before_the_result():
    """Whoever waits for the result finds the operation's books in order."""
    seen = []
    job = make_job(ended=lambda job: seen.append("books"))
    job.add_done_callback(lambda job: seen.append("callback"))
    job.begin()
    job.finish(1)
    assert seen == ["books", "callback"]


def test_callbacks_run_without_the_lock():
    """A done callback may wait for another thread that asks for the status."""
    job = job_in(State.RUNNING)
    answers = []

    def wait_for_another(job):
        thread = threading.Thread(target=lambda: answers.append(job.status().state), daemon=True)
        thread.start()
        thread.join(10)

    job.add_done_callback(wait_for_another)
    job.finish(1)
    assert answers == [State.COMPLETED]


def test_callback_that_raises_is_logged(caplog):
    """A done callback that raises is logged, and the others are called."""
    job = job_in(State.RUNNING)
    called = []
    job.add_done_callback(lambda job: 1 / 0)
    job.add_done_callback(called.append)
    job.finish(1)
    job.add_done_callback(called.append)  # late: called at once
    assert called == [job, job]
    assert "ZeroDivisionError" in caplog.text


def test_traceback_goes_to_the_log(caplog):
    """The log has the traceback of a failure; the status has one line."""
    job = job_in(State.RUNNING)
    try:
        raise ValueError("wrong")
    except ValueError as error:
        job.finish(error=error)
    assert "Traceback" in caplog.text
    assert job.status().error == "ValueError: wrong"


class Looks(logging.Handler):
    """Notes what is said of a job while something is logged about it."""

    def __init__(self, job):
        super().__init__()
        self.job = job
        self.seen = []

    def emit(self, record):
        said = record.getMessage().rstrip(">").rpartition(" ")[2]
        self.seen.append((said, self.job.done(), self.job.state.value))


@pytest.fixture
def log():
    """Yield longop's logger, which logs everything; at the end it is as before."""
    logger = logging.getLogger("longop")
    level, handlers = logger.level, logger.handlers[:]
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.mark.parametrize(("state", "event", "seen"), [
    (State.RUNNING, "returns", [("completed", False, "running")]),
    (State.RUNNING, "raises", [("failed", False, "running")]),
    (State.CANCELLING, "stops", [("cancelled", False, "cancelling")]),
    (State.QUEUED, "cancel", [("cancelled", False, "queued")]),
    (State.RUNNING, "cancel", [("cancelling", False, "cancelling")]),
])
def test_an_end_is_logged_before_it_is_seen(log, state, event, seen):
    """A program that leaves as soon as it sees the end of a job has logged it, once."""
    job = job_in(state)
    looks = Looks(job)
    log.addHandler(looks)
    EVENTS.get(event, Job.cancel)(job)
    assert looks.seen == seen


@pytest.mark.filterwarnings("error")
def test_a_log_that_raises(log):
    """A handler's mistake does not keep the end of a job from being seen."""
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("no room left")

    job = job_in(State.RUNNING)
    queued = job_in(State.QUEUED)
    log.addHandler(Broken())
    job.finish(1)
    assert (job.result(0), queued.cancel(), queued.state) == (1, True, State.CANCELLED)


def failed(error, show_tracebacks, printed=b""):
    """Return a job that has printed something and failed, and what is recorded of it."""
    recorded = []
    job = Job("module", "name", Callback(), lock=threading.RLock(), ended=lambda job: None,
              record=lambda status: recorded.append(job.log()),
              show_tracebacks=show_tracebacks)
    job.begin()
    job.take_print(printed)
    try:
        raise error
    except BaseException as caught:
        job.finish(error=caught)
    return job, recorded


@pytest.mark.parametrize("printed", [b"", b"begun\n", b"no newline"])
def test_traceback_in_the_log_of_the_job(printed):
    """The log of a job that fails ends with the traceback, if that is wanted."""
    job, recorded = failed(ValueError("wr\udce9ng"), True, printed)
    before, begin, rest = job.log().partition("Traceback (most recent call last):\n")
    assert before == printed.decode() + ("\n" if printed == b"no newline" else "")
    assert begin
    assert __file__ in rest
    assert rest.endswith("\nValueError: wr\\udce9ng\n")
    assert recorded == [job.log()]


@pytest.mark.parametrize("error", [ValueError("wrong"), OperationCancelled()])
def test_no_traceback_unasked(error):
    """Without that the log has what was printed and nothing else."""
    job, recorded = failed(error, False, b"begun\n")
    assert (job.log(), recorded) == ("begun\n", ["begun\n"])


def test_no_traceback_of_a_cancel():
    """A job that was cancelled has none."""
    job, _ = failed(OperationCancelled(), True, b"begun\n")
    assert job.log() == "begun\n"


def test_a_traceback_that_cannot_be_shown(monkeypatch):
    """Where Python cannot show the traceback, the error stands there."""
    def overflow(*error):
        raise RecursionError

    monkeypatch.setattr("traceback.format_exception", overflow)
    job, _ = failed(ValueError("wrong"), True)
    assert job.log() == "ValueError: wrong"


def test_the_traceback_in_the_log_begins_with_the_function(caplog):
    """Of the calls in a traceback those that led to the function are left out, and no others."""
    def function(callback):
        callback.wait("no number")

    LongOperation(function).start()
    wait_until(lambda: "TypeError" in caplog.text)
    files = re.findall('File "(.*?)"', caplog.text)
    assert [Path(file).name for file in files] == ["test_job.py", "callback.py"]


# It is a Future


def test_wait_and_as_completed():
    """The functions of concurrent.futures take jobs, whichever way they end."""
    jobs = [job_in(state) for state in (State.RUNNING, State.COMPLETED, State.FAILED,
                                        State.CANCELLED, State.CANCELLING, State.QUEUED)]
    done, not_done = concurrent.futures.wait(jobs, timeout=0)
    assert (done, not_done) == (set(jobs[1:4]), {jobs[0], jobs[4], jobs[5]})
    waited = threading.Thread(
        target=lambda: done.update(concurrent.futures.as_completed(jobs, timeout=10)))
    waited.start()
    jobs[0].finish(1)
    jobs[4].finish(error=OperationCancelled())
    jobs[5].cancel()
    waited.join(10)
    assert done == set(jobs)


def test_future_says_what_the_state_says():
    """``running``, ``done`` and ``cancelled`` agree with the state."""
    for state in State:
        job = job_in(state)
        assert job.running() == (state in (State.RUNNING, State.CANCELLING))
        assert job.done() == state.is_terminal
        assert job.cancelled() == (state in (State.CANCELLED, State.INTERRUPTED))


def test_result_of_a_cancelled_job():
    """The result of a cancelled job is a CancelledError; a wait for one that runs times out."""
    with pytest.raises(CancelledError):
        job_in(State.CANCELLED).result(0)
    with pytest.raises(concurrent.futures.TimeoutError):
        job_in(State.CANCELLING).result(0)


def test_asyncio_wrap_future():
    """asyncio awaits a job, and a cancel of its future asks the job to stop."""
    done, running = job_in(State.COMPLETED), job_in(State.RUNNING)

    async def main():
        assert await asyncio.wrap_future(done) == "value"
        wrapped = asyncio.wrap_future(running)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    asyncio.run(main())
    assert running.state is State.CANCELLING


# Watching


def test_nobody_watches_nobody_pays():
    """A report notifies only while somebody watches."""
    job = job_in(State.RUNNING)
    assert job.callback.notify is None
    updates = [job.updates(), job.updates()]
    for one in updates:
        next(one)
    assert job.callback.notify is not None
    updates[0].close()
    job.callback(7)
    assert next(updates[1]).result == 7
    updates[1].close()
    assert job.callback.notify is None


def test_version_grows_with_each_change():
    """The version grows by one with each report and each change of the state."""
    job = make_job()
    versions = [job.status().version]
    for change in (lambda: job.queue_at(2), lambda: job.queue_at(1), job.begin,
                   lambda: job.callback(1), lambda: job.callback(2), job.cancel,
                   lambda: job.finish(3)):
        change()
        versions.append(job.status().version)
    assert versions == list(range(8))


def test_job_can_be_subscripted():
    """``Job[int]`` in an annotation is no error at run time, on Python 3.8 either."""
    def function(job: Job[int]) -> Job[str]:
        return job

    hints = typing.get_type_hints(function)
    assert isinstance(job_in(State.QUEUED), typing.get_origin(hints["job"]) or hints["job"])


@pytest.mark.parametrize("means", [None, "SIGTERM"])
def test_means_are_told_only_if_they_stopped_it(means):
    """The means that stopped a job are in its error; means that raised are not."""
    job = job_in(State.CANCELLING)
    job.stop_by("companion", lambda: 1 / 0)
    if means:
        job.stop_by(means, lambda: None)
    job.finish(error=OperationCancelled())
    assert job.status().error == (means and "stopped by SIGTERM")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_means_that_raise(error, caplog):
    """A means that raises is logged, and what was tried before it stays what stopped the job."""
    def act():
        raise error

    job = make_job()
    job.begin()
    job.cancel()
    job.stop_by("first", lambda: None)
    job.stop_by("second", act)
    job.finish()
    assert job.status().error == "stopped by first"
    assert f"{type(error).__name__}: {error}" in caplog.text


def test_means_that_was_not_done():
    """A means that says it was not done has not stopped the job, and the one before has."""
    job = job_in(State.CANCELLING)
    job.stop_by("first", lambda: None)
    job.stop_by("second", lambda: False)
    job.finish()
    assert job.status().error == "stopped by first"


@pytest.mark.parametrize("overdue", [None, DeadlineExceeded("late")])
def test_lost_job(overdue):
    """Of a job whose code may still run, no means has stopped it: it has failed."""
    job = job_in(State.RUNNING)
    job.stop("timeout" if overdue else "cancelled", overdue)
    job.stop_by("companion", lambda: None)
    job.lose()
    job.finish(error=LongOperationError("lost"))
    assert job.state is State.FAILED
    assert "companion" not in job.status().error
    assert "LongOperationError: lost" in job.status().error


def test_a_result_that_grows():
    """The status has the whole result as it is now; for doors that send the rest it grows."""
    job = make_job()
    job.begin()
    job.callback.append("a")
    first = job.status()
    growing = job.growing_status().result
    job.callback.append("b")
    assert (first.result, job.status().result) == ("a", "ab")
    assert growing.since(1) == "b"
    job.finish()
    assert job.growing_status().result == job.status().result == job.result() == "ab"


def test_series_after_the_end():
    """The numbers that were reported are there after the end too."""
    job = make_job()
    job.begin()
    job.callback(1.5, 1)
    job.callback(0.5, 2)
    job.finish()
    assert job.series() == {"reports": 2, "step": [1, 2], "series": {"result": [1.5, 0.5]}}


def test_version_of_reports_that_overtake_each_other():
    """A report that comes late, from another thread, is a newer version with an older count."""
    job = job_in(State.RUNNING)
    versions = [job.status().version]
    for count, result in [(7, "seven"), (6, "six"), (6, "another six"), (7, "seven"), (9, "nine")]:
        job.callback.latest = (count, result, None, None, None)
        assert job.status().result == result
        versions.append(job.status().version)
    job.finish()
    versions.append(job.status().version)
    assert versions == [1, 8, 9, 10, 11, 12, 13]

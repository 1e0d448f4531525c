"""`longop.callback`: what a cancel does in other threads, and while it is on its way out."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import sys
import threading
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from longop import Callback, OperationCancelled, ReportCancelled
from longop.executors import Call
from longop.status import State

from .pythons import counts_references
from .waiting import WAIT, end_of, wait_until

WHERE = pytest.mark.parametrize("executor", ["thread", "process"])


# Functions that report from other threads; each leaves a file that says how far it came


def report_and_wait(callback, number=0):
    callback(number)
    callback.wait(0.001)


def report_forever(callback):
    for number in itertools.count():
        report_and_wait(callback, number)


def in_a_thread_pool(folder: Path, callback):
    """Report in a pool that hands on what is an ``Exception``, and hangs for what is not."""
    with ThreadPool(1) as pool:
        for _ in pool.imap(partial(report_and_wait, callback), range(20_000)):
            pass
    (folder / "finished").touch()


def in_done_callbacks(folder: Path, callback):
    """Report in the done callbacks of a pool, which has to go on working."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            while True:
                pool.submit(int).add_done_callback(lambda future: callback("done"))
                callback.wait(0.001)
        finally:
            assert pool.submit(int).result(WAIT) == 0
            (folder / "cleaned up").touch()
    (folder / "finished").touch()


class TransferFailedError(Exception):
    """What a library makes of an error in one of its threads."""


def in_a_library(folder: Path, callback):
    """Upload in a thread of a library, as s3transfer does; then remove what was uploaded."""
    raised = []

    def transfer():
        try:
            report_forever(callback)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=transfer)
    thread.start()
    thread.join()
    if raised:
        raise TransferFailedError("not uploaded") from raised[0]
    (folder / "finished").touch()


async def in_to_thread(folder: Path, callback):
    """Report in a thread that a coroutine waits for."""
    loop = asyncio.get_running_loop()  # asyncio.to_thread is not in Python 3.8
    await loop.run_in_executor(None, report_forever, callback)
    (folder / "finished").touch()


@WHERE
@pytest.mark.parametrize(("function", "error"), [
    (in_a_thread_pool, None), (in_done_callbacks, None), (in_to_thread, None),
    (in_a_library, "TransferFailedError: not uploaded")])
def test_reports_from_another_thread(function, error, executor, make, tmp_path):
    """A cancel that takes hold in another thread comes out in the function, and stops it."""
    operation = make(function, executor, limit=1, grace=WAIT * 2)
    job = operation.start(folder=tmp_path)
    wait_until(lambda: job.status().result)
    waiting = operation.start(folder=tmp_path)
    job.cancel()
    status = end_of(job)
    assert (status.state, status.error) == (State.CANCELLED, error)
    assert not (tmp_path / "finished").exists()
    assert (tmp_path / "cleaned up").exists() is (function is in_done_callbacks)
    wait_until(lambda: waiting.status().result)
    waiting.cancel()
    assert end_of(waiting).state is State.CANCELLED


def swallowed_in_a_library(folder: Path, callback):
    """Report in a thread that swallows every error; go on when told to by a file."""
    def swallow():
        while not (folder / "go").exists():
            try:
                report_and_wait(callback, 1)
            except Exception:
                (folder / "swallowed").touch()

    thread = threading.Thread(target=swallow)
    thread.start()
    thread.join()
    return "finished"


@WHERE
def test_cancel_that_nothing_meets(executor, make, tmp_path):
    """A job is cancelling for as long as its function runs, if a library swallows the cancel."""
    job = make(swallowed_in_a_library, executor, grace=WAIT * 2).start(folder=tmp_path)
    wait_until(lambda: job.status().result)
    job.cancel()
    wait_until((tmp_path / "swallowed").exists)
    assert job.state is State.CANCELLING
    (tmp_path / "go").touch()
    status = end_of(job)
    assert (status.state, status.result) == (State.CANCELLED, "finished")


def raised_by(function):
    """Return what a function raises, or returns, in this thread."""
    try:
        return function()
    except BaseException as error:
        return type(error)


@pytest.mark.parametrize("report", [
    lambda callback: callback(), lambda callback: callback.check(),
    lambda callback: callback.wait(1000)])
def test_class_of_the_cancel(report):
    """In the function's own thread it is a BaseException, in others one that libraries catch."""
    assert issubclass(ReportCancelled, concurrent.futures.CancelledError)
    assert issubclass(ReportCancelled, Exception)
    callback, pool = Callback(), ThreadPool(1)
    callback.begin()
    callback.cancel()
    with pool:
        assert raised_by(lambda: report(callback)) is OperationCancelled
        assert pool.apply(raised_by, (lambda: report(callback),)) is ReportCancelled
        assert callback.told is True
        callback.end()
        assert raised_by(lambda: report(callback)) is ReportCancelled


def left_behind(folder: Path, callback):
    """Leave a thread behind that goes on reporting until a cancel."""
    def run():
        wait_until((folder / "go").exists)
        callback("late")
        (folder / "reported").touch()

    threading.Thread(target=run, daemon=True).start()
    callback("in time")


@WHERE
def test_report_after_the_end(executor, make, tmp_path):
    """A thread that the function leaves behind may report; nobody hears it."""
    job = make(left_behind, executor).start(folder=tmp_path)
    before = end_of(job)
    (tmp_path / "go").touch()
    wait_until((tmp_path / "reported").exists)
    assert job.status() == before
    assert (before.state, before.result) == (State.COMPLETED, "in time")


# While the cancel is on its way out


def cancelled_callback():
    callback = Callback()
    callback.begin()
    callback.cancel()
    return callback


@pytest.mark.parametrize("wrap", [
    lambda error: error, lambda error: OSError()])
@pytest.mark.parametrize("look", [
    lambda callback: callback(message="cleaning up"), lambda callback: callback.check(),
    lambda callback: callback.wait(0.001)])
def test_no_report_raises_in_the_cleanup(look, wrap):
    """While the cancel, or an error that it led to, is handled, nothing raises; then it does."""
    callback = cancelled_callback()
    try:
        try:
            callback()
        except OperationCancelled as error:
            look(callback)
            raise wrap(error)  # noqa: B904
        finally:
            look(callback)
            with contextlib.suppress(ValueError):
                look(callback)
                raise ValueError
            look(callback)
    except BaseException:
        look(callback)
    with pytest.raises(OperationCancelled):
        look(callback)


def test_error_that_has_nothing_to_do_with_it():
    """An error that the cancel did not lead to is no cleanup."""
    callback = Callback()
    try:
        raise ValueError
    except ValueError:
        callback.cancel()
        with pytest.raises(OperationCancelled):
            callback()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not tell before Python 3.11")
def test_timeout_is_no_cleanup():
    """A timeout of the function's own, and a task that it has cancelled itself, are no cancel."""
    callback = Callback()

    async def function():
        task = asyncio.ensure_future(asyncio.sleep(1000))
        task.cancel()
        for waiting in task, asyncio.wait_for(asyncio.sleep(1000), 0.001):
            try:
                await waiting
            except (asyncio.CancelledError, asyncio.TimeoutError):
                callback.cancel()
                with pytest.raises(OperationCancelled):
                    callback()

    asyncio.run(function())


def test_wait_in_the_cleanup_sleeps(monkeypatch):
    """A wait in the cleanup is a sleep of that length, no endless and no busy one."""
    callback, slept = cancelled_callback(), []
    monkeypatch.setattr("longop.callback.time.sleep", slept.append)
    try:
        callback()
    except OperationCancelled:
        callback.wait(5)
        callback.wait(-1)
    assert 4 < slept[0] <= 5
    assert slept[1] == 0


def test_each_thread_has_its_own_cleanup():
    """While one thread handles the cancel, another one is still told."""
    callback = cancelled_callback()
    with ThreadPool(1) as pool:
        try:
            callback()
        except OperationCancelled:
            callback("cleaning up")
            assert pool.apply(raised_by, (callback,)) is ReportCancelled


class Cleaning:
    """A context manager that reports as it is left, sooner or later."""

    def __init__(self, callback):
        self.callback = callback

    def __enter__(self):
        return self

    def __exit__(self, *error):
        helper(self.callback)
        self.callback("left")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await asyncio.sleep(0)
        self.__exit__(*error)


def helper(callback):
    try:
        raise KeyError
    except KeyError:
        callback("in a helper")


def plain(callback):
    with Cleaning(callback):
        callback.cancel()
        callback()


def with_a_generator(callback):
    def inner():
        with Cleaning(callback):
            yield

    for _ in inner():
        callback.cancel()
        callback()


def generator(callback):
    with Cleaning(callback):
        callback.cancel()
        yield "first"
        yield "second"


async def async_generator(callback):
    async with Cleaning(callback):
        callback.cancel()
        yield "first"
        yield "second"


async def async_generator_that_waits(callback):
    async with Cleaning(callback):
        yield "first"
        callback.cancel()
        await asyncio.sleep(1000)


async def coroutine(callback):
    async with Cleaning(callback):
        callback.cancel()
        callback()


async def coroutine_that_waits(callback):
    async with Cleaning(callback):
        callback.cancel()
        await asyncio.sleep(1000)


async def task(callback):
    async with Cleaning(callback):
        await asyncio.gather(coroutine_that_waits(callback), asyncio.sleep(1000))


FUNCTIONS = [plain, pytest.param(with_a_generator, marks=counts_references), generator,
             async_generator, async_generator_that_waits, coroutine, coroutine_that_waits, task]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_cleanup_of_every_kind_of_function(function):
    """The cleanup of any function may report, and is not cut short."""
    callback = Callback()
    with pytest.raises(OperationCancelled):
        Call(function, (callback,), {}, callback, None, WAIT).run()
    assert callback.latest[1] == "left"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no TaskGroup before Python 3.11")
@pytest.mark.parametrize("child", [coroutine, coroutine_that_waits])
def test_task_group(child, make):
    """A task group that a cancel ends makes a cancelled job, without an error."""
    async def function(callback):
        async with Cleaning(callback), asyncio.TaskGroup() as group:
            group.create_task(child(callback))
            group.create_task(asyncio.sleep(1000))

    status = end_of(make(function, "thread").start())
    assert (status.state, status.error, status.result) == (State.CANCELLED, None, "left")

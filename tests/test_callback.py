"""`longop.callback`: reports go out, and a cancel comes in."""

import asyncio
import contextlib
import copy
import dataclasses
import functools
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from longop import Callback, OperationCancelled
from longop.values.growth import settled

from .pythons import has_process_pools

ROOT = Path(__file__).parent.parent
WAIT = 10  # seconds after which a test has failed; nothing waits for so long


def in_thread(function):
    """Start a function in a thread; return the thread and the list that gets what it raises."""
    raised = []

    def run():
        try:
            function()
        except BaseException as error:
            raised.append(type(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def joined(thread):
    thread.join(WAIT)
    return not thread.is_alive()


# Reports


@pytest.mark.parametrize(("arguments", "keywords", "latest"), [
    (("b", 3, 4, "n"), {}, (2, "b", 3, 4, "n")),
    ((), {"message": "n", "total": 4, "step": 3, "result": "b"}, (2, "b", 3, 4, "n")),
    (("b",), {}, (2, "b", 1, 2, "m")), ((), {"step": 2}, (2, "a", 2, 2, "m")),
    ((), {}, (2, "a", 1, 2, "m")),
    *[((falsy,) * 4, {}, (2, falsy, falsy, falsy, falsy)) for falsy in (0, "", False, [], {})]])
def test_report_replaces_what_it_names(arguments, keywords, latest):
    """A report replaces what it names, with nought and empty ones too, and leaves the rest."""
    callback = Callback()
    assert (callback.latest, callback.cancelled) == ((0, None, None, None, None), False)
    assert not callback("a", 1, 2, "m")
    assert callback.latest == (1, "a", 1, 2, "m")
    callback(*arguments, **keywords)
    assert callback.latest == latest


def test_result_is_not_copied_or_compared():
    """A result may be anything: it is handed on as it is, and never compared."""
    class Strange:
        def __eq__(self, other):
            raise RuntimeError("not comparable")

        def __bool__(self):
            raise RuntimeError("neither true nor false")

        __hash__ = None

    callback, strange = Callback(), Strange()
    callback(strange)
    callback(step=strange)
    assert callback.latest[1] is strange
    assert callback.latest[2] is strange


def test_reader_never_sees_half_a_report():
    """A reader in another thread sees the parts of one report, never of two."""
    callback, start, stop = Callback(), threading.Barrier(2), threading.Event()
    callback(0, 0, 0, 0)

    def report():
        start.wait(WAIT)
        number = 0
        while not stop.is_set():
            number += 1
            callback(number, number, number, number)

    thread, raised = in_thread(report)
    start.wait(WAIT)
    seen = [callback.latest for _ in range(20_000)]
    stop.set()
    assert joined(thread)
    assert raised == []
    assert all(len(set(report[1:])) == 1 for report in seen)
    assert [report[0] for report in seen] == sorted(report[0] for report in seen)


# Whoever watches


def test_watcher_is_told_of_each_report():
    """The watcher is told after each report, and sees it, also where the report then raises."""
    callback, seen = Callback(), []
    callback("unseen")
    callback.notify = lambda: seen.append(callback.latest[1])
    callback("a")
    callback.notify = None
    callback("unseen")
    callback.notify = lambda: seen.append(callback.latest[1])
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback("last")
    assert seen == ["a", "last"]


class LeavingWatcher(Callback):
    """A callback whose only watcher leaves in the middle of a report, from another thread."""

    @property
    def notify(self):
        watcher, self.watcher = self.watcher, None
        return watcher

    @notify.setter
    def notify(self, watcher):
        self.watcher = watcher


def test_watcher_that_leaves_during_a_report():
    """A watcher may leave at any moment; a report does not fail for it."""
    callback, seen = LeavingWatcher(), []
    callback.notify = lambda: seen.append(1)
    callback("a")
    assert callback.latest[1] == "a"
    assert seen == [1]


# Cancel


def test_cancelled_is_no_exception():
    """except Exception does not swallow a cancel, except BaseException does."""
    assert issubclass(OperationCancelled, BaseException)
    assert not issubclass(OperationCancelled, Exception)


def test_report_raises_after_a_cancel():
    """Every report after a cancel raises, and still is a report."""
    callback = Callback()
    callback("a", 1)
    callback.cancel()
    for step in (2, 3):
        with pytest.raises(OperationCancelled):
            callback("b", step)
        assert callback.latest == (step, "b", step, None, None)


@pytest.mark.parametrize("look", [lambda callback: callback.check(),
                                  lambda callback: callback.wait(0.001)])
def test_check_and_wait_raise_without_a_report(look):
    """check and wait raise at once where there was a cancel, as often, and report nothing."""
    callback = Callback()
    assert look(callback) is None
    callback.cancel()
    callback.cancel()
    for _ in range(2):
        with pytest.raises(OperationCancelled):
            look(callback)
        assert callback.cancelled is True
    with pytest.raises(OperationCancelled):
        callback.wait(1000)
    assert callback.latest == (0, None, None, None, None)


@pytest.mark.parametrize("look", [
    lambda callback: callback.cancelled, lambda callback: callback.check(),
    lambda callback: callback(), lambda callback: callback.wait(0)])
def test_told_is_whether_the_function_has_looked(look):
    """told says whether the function was shown that it is to stop, in whichever way it looks."""
    callback = Callback()
    look(callback)
    assert callback.told is False
    callback.cancel()
    assert callback.told is False
    with contextlib.suppress(OperationCancelled):
        look(callback)
    assert callback.told is True


def report_forever(callback, begun):
    while True:
        callback("a")
        begun.set()


def wait_long(callback, begun):
    begun.set()
    callback.wait(1000)


@pytest.mark.parametrize("function", [report_forever, wait_long])
def test_cancel_from_another_thread(function):
    """A cancel from another thread ends a wait, and a loop that only reports."""
    callback, begun = Callback(), threading.Event()
    thread, raised = in_thread(lambda: function(callback, begun))
    assert begun.wait(WAIT)
    callback.cancel()
    assert joined(thread)
    assert raised == [OperationCancelled]


# Hooks


def test_hooks_are_called_once():
    """Each hook, whenever it was added, is called once and sees the cancel, also if one raises."""
    callback, called = Callback(), []

    def hook(name):
        return lambda: called.append((name, callback.cancelled))

    def gone():  # as the hook of an event loop that is closed
        raise RuntimeError("Event loop is closed")

    for one in (hook("a"), gone, lambda: callback.on_cancel(hook("b")), gone, hook("c")):
        callback.on_cancel(one)
    assert called == []
    callback.cancel()
    callback.cancel()
    assert sorted(called) == [("a", True), ("b", True), ("c", True)]
    callback.on_cancel(hook("d"))
    assert called[3:] == [("d", True)]
    callback.cancel()
    assert len(called) == 4


def test_hooks_and_a_cancel_at_the_same_time():
    """Whichever comes first, a hook or a cancel from another thread, the hook is called once."""
    for _ in range(200):
        callback, start, called = Callback(), threading.Barrier(3), []

        def cancel(callback=callback, start=start):
            start.wait(WAIT)
            callback.cancel()

        threads = [in_thread(cancel) for _ in range(2)]
        start.wait(WAIT)
        callback.on_cancel(lambda called=called: called.append(1))
        assert all(joined(thread) for thread, _ in threads)
        assert [raised for _, raised in threads] == [[], []]
        assert called == [1]


# As any function


def test_what_a_report_returns():
    """A report returns what is false and can be awaited, at once and as often as one likes."""
    callback = Callback()

    async def function():
        reported = callback("a")
        assert inspect.isawaitable(reported)
        assert await reported is None
        assert await reported is None
        await asyncio.gather(callback("b"), callback("c"))
        return await asyncio.wait_for(callback("d"), WAIT)

    assert not callback()
    assert asyncio.run(function()) is None
    assert callback.latest[:2] == (5, "d")


def test_callback_is_like_a_function():
    """It has a name, a signature and attributes, can be wrapped, hashed and weakly referenced."""
    callback = Callback()
    assert (callback.__name__, callback.__qualname__) == ("callback", "callback")
    assert weakref.ref(callback)() is callback
    assert weakref.WeakSet([callback])
    callback.order = 10
    assert vars(callback) == {"order": 10}
    assert {callback: 1}[callback] == 1
    assert [*inspect.signature(callback).parameters] == ["result", "step", "total", "message"]
    assert functools.wraps(callback)(lambda: None).order == 10
    assert not hasattr(callback, "before_iteration")
    with pytest.raises(AttributeError, match="cancle"):
        callback.cancle()


@dataclasses.dataclass
class Options:
    """Options of a library, with a callback among them."""

    on_round: Callback


def test_copy_is_the_callback_itself():
    """A copy of a callback, however deep, is the same one, so its reports are heard."""
    callback = Callback()
    assert copy.copy(callback) is callback
    assert copy.deepcopy({"on_round": [callback]}) == {"on_round": [callback]}
    assert dataclasses.asdict(Options(callback)) == {"on_round": callback}
    assert copy.deepcopy(functools.partial(callback, step=1)).func is callback


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_callback_cannot_be_pickled(protocol):
    """Pickled, a callback would be a twin that nobody hears: that is an error, and says so."""
    with pytest.raises(TypeError, match=r"in another process.*executor="):
        pickle.dumps([Callback()], protocol)


FORKS = """
import contextlib, ctypes, multiprocessing, os, sys
import longop

# Python's threads may load this as they end. A fork during that crashes, with and without longop.
with contextlib.suppress(OSError):
    ctypes.CDLL("libgcc_s.so.1")

def tell(how, callback):
    try:
        {"report": callback, "check": callback.check, "wait": lambda: callback.wait(20),
         "ask": lambda: print(callback.cancelled)}[how]()
    except RuntimeError as error:
        print(how, error, flush=True)
    os._exit(0)  # a fork of a process with threads may hang at its end

def work(callback):
    for how in "report", "check", "wait", "ask":
        process = multiprocessing.get_context("fork").Process(target=tell, args=(how, callback))
        process.start()
        process.join(5)
        process.kill()
    callback(step=1)

def start():
    job = longop.LongOperation(work, report=eval(sys.argv[1])).start()
    print(job.exception(40), job.status().step, flush=True)

start()
process = multiprocessing.get_context("fork").Process(target=start)
process.start()
process.join(60)
print("exit code of the fork:", process.exitcode, file=sys.stderr)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("report", ["None", "lambda step=None: {'step': step}"])
def test_callback_in_a_fork(report):
    """In a fork a callback is an error that says so; one that is made there is heard there."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS, report], timeout=6 * WAIT,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True,
                          text=True)
    lines = done.stdout.splitlines()
    words = [line.split()[0] for line in lines]
    assert words == 2 * ["report", "check", "wait", "ask", "None"], done.stdout + done.stderr
    assert lines[4] == lines[9] == "None 1"
    for line in lines[:4] + lines[5:9]:
        assert "cannot be used in a fork: in another process nobody hears" in line
        assert "executor=" in line


@has_process_pools
def test_callback_handed_to_a_pool():
    """A function that hands its callback to a pool of processes gets the error there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(print, Callback())
        with pytest.raises(TypeError, match="pickled"):
            future.result(WAIT * 3)


@pytest.mark.parametrize(("arguments", "keywords", "wrong"), [
    ((1, 2, 3, 4, 5), {}, "5 arguments"), ((), {"percent": 3}, "percent"),
    ((1,), {"percent": 3, "intermediate_result": b"x" * 100_000}, "percent, intermediate_result")])
def test_report_of_the_wrong_shape(arguments, keywords, wrong):
    """Arguments that the callback does not have are an error that names report=."""
    callback = Callback()
    with pytest.raises(TypeError, match=rf"not .*{wrong}.*report=") as caught:
        callback(*arguments, **keywords)
    assert len(str(caught.value)) < 200
    assert callback.latest[0] == 0


@pytest.mark.parametrize(("arguments", "keywords", "hints"), [
    ((0, 10), {}, 1), ((1, 10), {}, 1), ((9, 10), {}, 1), ((1, 1), {}, 0), ((2, 1), {}, 0),
    ((-1, 1), {}, 0), (("1", 2), {}, 0), ((1, "2"), {}, 0), ((1.0, 2), {}, 0), ((1,), {}, 0),
    ((True, 2), {}, 0), ((1, 2, 3), {}, 0), ((1, 2), {"message": ""}, 0), ((), {}, 0)])
def test_hint_for_done_and_total(arguments, keywords, hints, caplog):
    """A first report that looks like (done, total) says what to write, and is read as ever."""
    callback = Callback()
    for _ in range(3):
        callback(*arguments, **keywords)
    found = [record.getMessage() for record in caplog.records]
    assert ["report=longop.done_total" in text for text in found] == [True] * hints
    assert callback.latest[1:3] == (*arguments, None, None)[:2]


def test_no_hint_later(caplog):
    """Only the first report of a job is looked at."""
    callback = Callback()
    callback("begun")
    callback(1, 10)
    assert caplog.records == []


# Much at once


def test_reports_from_many_threads():
    """Reports from 64 threads at once: none raises, and each thread's last one was whole."""
    callback, start = Callback(), threading.Barrier(64)

    def report(name):
        def run():
            start.wait(WAIT)
            for number in range(200):
                callback(name, number, name, number)
        return run

    threads = [in_thread(report(name)) for name in range(64)]
    assert all(joined(thread) for thread, _ in threads)
    assert [raised for _, raised in threads if raised] == []
    _, result, step, total, message = callback.latest
    assert (result, step) == (total, message)


def test_large_and_many_reports():
    """A million reports keep only the newest; 100 MB are handed on and not copied."""
    callback, large = Callback(), bytes(100_000_000)
    callback(large)
    assert callback.latest[1] is large
    for number in range(1_000_000):
        callback(number)
    assert callback.latest[:2] == (1_000_001, 999_999)


# A result that grows


def result_of(callback):
    return settled(callback.latest[1])


def test_append_adds_to_the_result():
    """What is appended makes the result, each piece is a report, and the rest stays as it is."""
    callback = Callback()
    callback.append("a", 1, 3, "m")
    assert not callback.append("b", step=2)
    assert callback.latest == (2, callback.latest[1], 2, 3, "m")
    assert result_of(callback) == "ab"


def test_append_follows_a_result():
    """It begins with the result reported before, and a report sets the result anew."""
    callback = Callback()
    callback("a")
    callback.append("b")
    assert result_of(callback) == "ab"
    callback("c", 1)
    assert callback.latest[1] == "c"
    callback.append("d")
    assert result_of(callback) == "cd"
    callback("")
    callback.append("e")
    assert result_of(callback) == "e"
    callback([1])
    callback.append({"row": 2})
    assert result_of(callback) == [1, {"row": 2}]


def test_a_report_without_a_result_leaves_what_grew():
    """A step or a piece that is None changes nothing of the result."""
    callback = Callback()
    callback.append(b"a")
    callback(step=2)
    callback.append(None, step=3)
    callback.append(b"b")
    assert result_of(callback) == b"ab"
    assert callback.latest[2] == 3


def test_append_refuses_another_kind():
    """Bytes after text are an error that says so, and nothing is lost."""
    callback = Callback()
    callback.append("a")
    with pytest.raises(TypeError, match=r"append\(\) adds to text, which bytes cannot follow"):
        callback.append(b"b")
    assert callback.latest[0] == 1
    assert result_of(callback) == "a"


def test_append_raises_on_a_cancel():
    """It is a checkpoint as each report is; the piece is kept."""
    callback = Callback()
    callback.append("a")
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback.append("b")
    assert result_of(callback) == "ab"


def test_threads_append_to_one_result():
    """Pieces and steps from eight threads, the first ones at once, are all there."""
    for _ in range(20):
        callback = Callback()
        barrier = threading.Barrier(8)

        def report(letter, callback=callback, barrier=barrier):
            barrier.wait()
            for n in range(50):
                callback.append(letter)
                callback(step=n)

        threads = [in_thread(functools.partial(report, letter))[0] for letter in "abcdefgh"]
        assert all(joined(thread) for thread in threads)
        callback(step=50)  # of reports that cross, one may show the result before
        assert sorted(result_of(callback)) == sorted("abcdefgh" * 50)


def test_series_of_numbers():
    """The numbers that were reported are kept, with their steps."""
    callback = Callback()
    assert callback.series() == {"reports": 0, "step": [], "series": {}}
    callback(1.5, 10)
    callback(step=20)
    callback(2.5)
    assert callback.series() == {
        "reports": 3, "step": [10, 20, 20], "series": {"result": [1.5, 1.5, 2.5]}}


def test_series_of_a_twin():
    """What a twin elsewhere reports makes a series too, whichever reports arrive."""
    callback = Callback()
    for count in range(1, 10_000, 7):
        callback.receive((count, float(count), count, None, None))
    shown = callback.series()
    assert shown["reports"] == shown["step"][-1] == 9_997
    assert shown["series"] == {"result": shown["step"]}
    assert 200 < len(shown["step"]) <= 500

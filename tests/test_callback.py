"""`longop.callback`: reports go out, and a cancel comes in."""

import contextlib
import threading

import pytest

from longop import Callback, OperationCancelled
from longop.callback import AdaptedCallback

WAIT = 10  # seconds after which a test has failed; nothing waits for so long


def broken(reason):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(strict=True, reason=reason)


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


def test_nothing_is_reported_at_first():
    """A new callback has no reports, and is not cancelled."""
    callback = Callback()
    assert callback.latest == (0, None, None, None, None)
    assert callback.cancelled is False


def test_report():
    """A report holds result, step, total and message, by position and by name."""
    callback = Callback()
    assert callback("a", 1, 2, "m") is None
    assert callback.latest == (1, "a", 1, 2, "m")
    callback(message="n", total=4, step=3, result="b")
    assert callback.latest == (2, "b", 3, 4, "n")


def test_report_replaces_what_it_names():
    """A report replaces what it names and leaves the rest."""
    callback = Callback()
    callback("a", 1, 2, "m")
    callback(step=2)
    assert callback.latest == (2, "a", 2, 2, "m")
    callback("b")
    assert callback.latest == (3, "b", 2, 2, "m")
    callback()
    assert callback.latest == (4, "b", 2, 2, "m")


@pytest.mark.parametrize("falsy", [0, "", False, [], {}, 0.0])
def test_falsy_values_are_reported(falsy):
    """Only None leaves what was there: nought and an empty text are reports."""
    callback = Callback()
    callback("a", 1, 2, "m")
    callback(falsy, falsy, falsy, falsy)
    assert callback.latest == (2, falsy, falsy, falsy, falsy)


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


def test_unknown_parameter():
    """A report of something else is an error in the function that reports."""
    with pytest.raises(TypeError):
        Callback()(percent=3)
    with pytest.raises(TypeError):
        Callback()(1, 2, 3, 4, 5)


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
    """The watcher is told after each report, and sees it."""
    callback, seen = Callback(), []
    callback("unseen")
    callback.notify = lambda: seen.append(callback.latest[1])
    callback("a")
    callback("b")
    callback.notify = None
    callback("unseen")
    assert seen == ["a", "b"]


def test_watcher_is_told_of_the_report_that_raises():
    """The watcher is told of a report before it raises."""
    callback, seen = Callback(), []
    callback.notify = lambda: seen.append(callback.latest[1])
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback("last")
    assert seen == ["last"]


class LeavingWatcher(Callback):
    """A callback whose only watcher leaves in the middle of a report, from another thread."""

    @property
    def notify(self):
        watcher, self.watcher = self.watcher, None
        return watcher

    @notify.setter
    def notify(self, watcher):
        self.watcher = watcher


@broken("notify is looked up twice: a watcher that leaves in between makes the report, and with "
        "it the job, fail with 'NoneType' object is not callable")
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


def test_check_raises_without_a_report():
    """check raises once there was a cancel, and reports nothing."""
    callback = Callback()
    assert callback.check() is None
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback.check()
    assert callback.latest == (0, None, None, None, None)


def test_cancelled_can_be_asked():
    """cancelled is true once there was a cancel, and stays so."""
    callback = Callback()
    callback.cancel()
    callback.cancel()
    assert callback.cancelled is True
    assert callback.cancelled is True


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


def test_wait_returns_after_its_time():
    """wait returns nothing where nobody cancels."""
    assert Callback().wait(0.001) is None


def test_wait_after_a_cancel():
    """wait raises at once where there was a cancel before."""
    callback = Callback()
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback.wait(1000)


def test_cancel_ends_a_wait():
    """A cancel from another thread ends a wait."""
    callback = Callback()
    thread, raised = in_thread(lambda: callback.wait(1000))
    callback.cancel()
    assert joined(thread)
    assert raised == [OperationCancelled]


def test_cancel_from_another_thread_ends_a_loop():
    """A function that only reports stops at its next report after a cancel."""
    callback, reported = Callback(), threading.Event()

    def function():
        while True:
            callback("a")
            reported.set()

    thread, raised = in_thread(function)
    assert reported.wait(WAIT)
    callback.cancel()
    assert joined(thread)
    assert raised == [OperationCancelled]


# Hooks


def test_hooks_are_called_once():
    """Each hook is called once, however often there is a cancel."""
    callback, called = Callback(), []
    callback.on_cancel(lambda: called.append("a"))
    callback.on_cancel(lambda: called.append("b"))
    assert called == []
    callback.cancel()
    callback.cancel()
    assert sorted(called) == ["a", "b"]


def test_hook_after_a_cancel():
    """A hook that comes after the cancel is called at once, and once."""
    callback, called = Callback(), []
    callback.cancel()
    callback.on_cancel(lambda: called.append("a"))
    assert called == ["a"]
    callback.cancel()
    assert called == ["a"]


def test_hook_sees_the_cancel():
    """A hook that looks sees that there was a cancel."""
    callback, seen = Callback(), []
    callback.on_cancel(lambda: seen.append(callback.cancelled))
    callback.cancel()
    assert seen == [True]


def test_hook_that_adds_a_hook():
    """A hook may add another one, which is called too."""
    callback, called = Callback(), []
    callback.on_cancel(lambda: callback.on_cancel(lambda: called.append("a")))
    callback.cancel()
    assert called == ["a"]


def test_hook_whose_target_is_gone():
    """A hook that raises RuntimeError, as a closed loop does, does not keep the others."""
    def gone():
        raise RuntimeError("Event loop is closed")

    callback, called = Callback(), []
    callback.on_cancel(lambda: called.append("a"))
    callback.on_cancel(gone)
    callback.on_cancel(lambda: called.append("b"))
    callback.cancel()
    assert sorted(called) == ["a", "b"]


@broken("a hook that raises anything else keeps the others from being called")
def test_hook_that_raises():
    """Every hook is called, whatever another one raises."""
    def wrong():
        raise ValueError("wrong")

    callback, called = Callback(), []
    callback.on_cancel(lambda: called.append("a"))
    callback.on_cancel(wrong)
    callback.on_cancel(lambda: called.append("b"))
    with contextlib.suppress(ValueError):
        callback.cancel()
    assert sorted(called) == ["a", "b"]


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


# Functions that report in a shape of their own


def test_adapter():
    """What the adapter makes of the function's own arguments is reported."""
    callback = AdaptedCallback(lambda done, left, *, what: {"step": done, "total": done + left,
                                                            "message": what})
    assert callback(1, 2, what="a") is None
    assert callback.latest == (1, None, 1, 3, "a")
    callback(2, 1, what=None)
    assert callback.latest == (2, None, 2, 3, "a")


@pytest.mark.parametrize("nothing", [None, {}])
def test_adapter_with_nothing_to_say(nothing):
    """An adapter may say nothing: what was reported stays."""
    callback = AdaptedCallback(lambda text: nothing if text == "-" else {"result": text})
    callback("a")
    callback("-")
    assert callback.latest[1:] == ("a", None, None, None)


def test_adapter_and_a_cancel():
    """An adapted callback reports, then raises, and can be asked, as any other."""
    callback = AdaptedCallback(lambda text: {"result": text})
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback("a")
    assert callback.latest[1] == "a"
    with pytest.raises(OperationCancelled):
        callback.check()
    assert callback.cancelled is True


def test_adapter_that_says_nothing_is_a_checkpoint():
    """A cancel takes hold at a report that the adapter leaves out, too."""
    callback = AdaptedCallback(lambda: None)
    callback.cancel()
    with pytest.raises(OperationCancelled):
        callback()


def test_adapter_that_is_wrong():
    """An adapter's own error, and a key that is not known, come out in the function."""
    with pytest.raises(ZeroDivisionError):
        AdaptedCallback(lambda done, total: {"step": done / total})(1, 0)
    with pytest.raises(TypeError):
        AdaptedCallback(lambda: {"percent": 3})()
    with pytest.raises(TypeError):
        AdaptedCallback(lambda one: {})(1, 2)

"""`longop.callback`: reports go out, and a cancel comes in."""

import contextlib
import threading

import pytest

from longop import Callback, OperationCancelled
from longop.callback import AdaptedCallback

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
    assert callback("a", 1, 2, "m") is None
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


# Functions that report in a shape of their own


@pytest.mark.parametrize("nothing", [None, {}])
def test_adapter(nothing):
    """What the adapter makes of the function's own arguments is reported, if it is anything."""
    callback = AdaptedCallback(lambda done, left, *, what: nothing if done is None else {
        "step": done, "total": done + left, "message": what})
    assert callback(1, 2, what="a") is None
    assert callback.latest == (1, None, 1, 3, "a")
    callback(2, 1, what=None)
    callback(None, 3, what="b")
    assert callback.latest[1:] == (None, 2, 3, "a")


def test_adapter_and_a_cancel():
    """An adapted callback reports, then raises, and can be asked, as any other."""
    callback = AdaptedCallback(lambda text: {"result": text} if text else None)
    callback.cancel()
    for text in ("a", ""):
        with pytest.raises(OperationCancelled):
            callback(text)
    assert callback.latest[1] == "a"
    with pytest.raises(OperationCancelled):
        callback.check()
    assert callback.cancelled is True


@pytest.mark.parametrize(("report", "raised"), [
    (lambda: Callback()(percent=3), TypeError), (lambda: Callback()(1, 2, 3, 4, 5), TypeError),
    (lambda: AdaptedCallback(lambda done, total: {"step": done / total})(1, 0), ZeroDivisionError),
    (lambda: AdaptedCallback(lambda: {"percent": 3})(), TypeError),
    (lambda: AdaptedCallback(lambda one: {})(1, 2), TypeError)])
def test_report_that_is_wrong(report, raised):
    """An adapter's own error, and a report of what is not known, come out in the function."""
    with pytest.raises(raised):
        report()

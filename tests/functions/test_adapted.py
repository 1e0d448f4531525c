"""`longop.functions.adapted`: functions that report in a form of their own."""

import functools
import inspect
import pickle
import re
import threading
import typing

import pytest

from longop import LongOperation, OperationCancelled
from longop.executors import Call
from longop.functions.adapted import AdaptedCallback, is_maker
from longop.status import State

from ..waiting import WAIT, end_of


@pytest.mark.parametrize("nothing", [None, {}])
def test_adapter(nothing):
    """What the adapter makes of the function's own arguments is reported, if it is anything."""
    callback = AdaptedCallback(lambda done, left, *, what: nothing if done is None else {
        "step": done, "total": done + left, "message": what})
    assert not callback(1, 2, what="a")
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


def fails(done, total):
    return {"step": done / total}


@pytest.mark.parametrize(("report", "args", "raised", "says"), [
    (fails, (1, 0), ZeroDivisionError, "report=<function fails"),
    (fails, (1,), TypeError, "report=<function fails"),
    (lambda: {"percent": 3}, (), TypeError, r"report=.* returned percent; known are result, "),
    (lambda: [1, 2], (), TypeError, r"report=.* returned 'list', not a mapping"),
    (lambda: "text", (), TypeError, r"report=.* returned 'str', not a mapping")])
def test_adapter_that_is_wrong(report, args, raised, says):
    """An adapter's own error, and what it returns but must not, come out and name report=."""
    with pytest.raises(raised) as caught:
        AdaptedCallback(report)(*args)
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert re.search(says, text)


@pytest.mark.parametrize("returned", [1, 0, None, True, "x"])
def test_what_the_callback_returns(returned):
    """The adapter may say what the callback returns, beside a report or without one."""
    callback = AdaptedCallback(lambda step: {"step": step, "returns": returned})
    assert callback(3) is returned
    assert callback.latest == (1, None, 3, None, None)


def test_it_shows_the_signature_of_its_adapter():
    """Libraries that look at the parameters of a callback see those of report=."""
    def report(intermediate_result):
        return {}

    assert [*inspect.signature(AdaptedCallback(report)).parameters] == ["intermediate_result"]
    assert [*inspect.signature(AdaptedCallback(dict)).parameters] == ["args", "kwargs"]
    assert inspect.signature(AdaptedCallback)  # the class has one too


# Classes


class Counter:
    """An adapter that remembers."""

    made: typing.ClassVar[list] = []

    def __init__(self, begin=0):
        self.made.append(threading.get_ident())
        self.sum = begin

    def __call__(self, size):
        self.sum += size
        return {"step": self.sum}


def reports_three(callback):
    for size in (1, 2, 3):
        callback(size)


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize(("report", "sum_"), [(Counter, 6), (functools.partial(Counter, 10), 16)])
def test_class_is_made_for_each_job(report, sum_, executor, make):
    """An object of the class counts for one job, and the next job has another one."""
    operation = make(reports_three, executor, report=report)
    for _ in range(2):
        status = end_of(operation.start())
        assert (status.state, status.step) == (State.COMPLETED, sum_)


def test_class_is_made_once_in_the_functions_thread():
    """The class is called once for a job, in the thread that runs the function."""
    Counter.made.clear()
    callback = AdaptedCallback(Counter)
    assert Counter.made == []
    Call(reports_three, (callback,), {}, callback, None, 0).run()
    assert Counter.made == [threading.get_ident()]
    assert [*inspect.signature(callback).parameters] == ["size"]


def test_object_of_a_class_takes_one_report_at_a_time():
    """From 64 threads at once no block is lost, and the newest report has the whole sum."""
    callback, start = AdaptedCallback(Counter), threading.Barrier(64)
    callback.begin()

    def run():
        start.wait(WAIT)
        for _ in range(100):
            callback(1)

    threads = [threading.Thread(target=run) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert callback.latest == (6400, None, 6400, None, None)


class Needy:
    """A class that cannot be made without arguments."""

    def __init__(self, size, *, unit):
        pass

    def __call__(self, block):
        return {}


@pytest.mark.parametrize(("report", "says"), [
    (Needy, r"report=.*Needy.* without arguments.* 'size'"), (3, "report=3 is neither a function")])
def test_report_that_cannot_be_used(report, says):
    """What cannot be an adapter is refused where it is given."""
    with pytest.raises(TypeError, match=says):
        LongOperation(reports_three, report=report)


def test_constructor_that_raises(make):
    """A class that cannot be made fails its job, and not the start."""
    class Failing(Counter):
        def __init__(self):
            raise ValueError("no")

    status = end_of(make(reports_three, "thread", report=Failing).start())
    assert (status.state, status.error) == (State.FAILED, "ValueError: no")


def test_class_of_reports():
    """A class whose objects are not called makes reports itself: dict is an adapter."""
    assert not is_maker(dict)
    callback = AdaptedCallback(dict)
    callback.begin()
    callback(step=1, total=2)
    assert callback.latest[2:4] == (1, 2)


def test_adapted_callback_does_not_travel():
    """Like any other it cannot be pickled; its recipe can."""
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(AdaptedCallback(fails))
    make, arguments = pickle.loads(pickle.dumps(AdaptedCallback(fails).recipe()))
    assert make(*arguments)(1, 2) is not None

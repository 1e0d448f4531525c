"""`longop.executors`: a call of a function of any kind, made in a thread."""

import asyncio
import pickle
from functools import partial

import pytest

import longop
from longop import Callback, LongOperation, OperationCancelled
from longop.functions.adapted import AdaptedCallback
from longop.executors import Backend, Call, ThreadBackend, companion_rungs
from longop.status import State

from .test_job import job_in


def call_of(function, *args, callback=None, stop=None, grace=2.0, **kwargs):
    callback = callback or Callback()
    args = [callback if arg is Callback else arg for arg in args]
    return Call(function, tuple(args), kwargs, callback, stop, grace)


class Generating:
    """Generates when it is called, as does its method."""

    def __call__(self, n: int):
        yield n

    @longop.long_operation
    def method(self, n: int):
        yield n


def to_step(result, step):
    return {"result": result, "step": step}


def returns(n: int):
    return n


def reports(callback, n):
    callback("reported", n)
    return n


def generates(n: int):
    yield from range(n)
    return "end"


async def awaits(n):
    await asyncio.sleep(0)
    return n


async def drains(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number


@pytest.mark.parametrize(("function", "args", "value", "latest"), [
    (returns, (3,), 3, (0, None, None, None, None)),
    (reports, (Callback, 3), 3, (1, "reported", 3, None, None)),
    (generates, (3,), "end", (3, 2, 3, None, None)),
    (awaits, (3,), 3, (0, None, None, None, None)),
    (drains, (3,), None, (3, 2, 3, None, None))])
def test_every_kind_of_function(function, args, value, latest):
    """A function of any kind is run to its end; what it yields is reported with a count."""
    call = call_of(function, *args)
    assert call.run() == value
    assert call.callback.latest == latest


def test_adapter_takes_what_is_yielded():
    """An adapter decides how an item is reported, in place of the count."""
    callback = AdaptedCallback(lambda item: {"step": item * 10})
    assert call_of(generates, 3, callback=callback).run() == "end"
    assert callback.latest == (3, None, 20, None, None)


@pytest.mark.parametrize(("function", "reported"), [(generates, 1), (drains, 0)])
def test_cancel_of_a_generator(function, reported):
    """A generator is cancelled where it yields, or where it awaits before that."""
    call = call_of(function, 3)
    call.callback.cancel()
    with pytest.raises(OperationCancelled):
        call.run()
    assert call.callback.latest[0] == reported


def test_error_in_the_cleanup_of_an_async_generator():
    """What an async generator raises as its cancel closes it comes out, and is not lost."""
    async def fails(callback):
        try:
            callback.cancel()
            yield 1
        finally:
            raise ValueError("not cleaned up")

    with pytest.raises(ValueError, match="not cleaned up"):
        call_of(fails, Callback).run()


@pytest.mark.parametrize("function", [
    lambda callback: callback("a"), lambda callback: forward(callback)])
def test_value_of_a_report_is_no_value(function):
    """A function that returns what its report returned has no value, as if it returned None."""
    call = call_of(function, Callback)
    assert call.run() is None
    assert call.callback.latest[1] == "a"


async def forward(callback):
    return callback("a")


def test_items_are_not_done_and_total(caplog):
    """A generator's items, reported with their number, are no reason for a hint."""
    call_of(generates, 3).run()
    assert caplog.records == []


def test_coroutine_is_cancelled_where_it_waits():
    """A coroutine that never reports is cancelled in its await, and cleans up."""
    trace = []

    async def waits(callback):
        callback.cancel()
        try:
            await asyncio.sleep(60)
        finally:
            trace.append("cleaned up")

    call = call_of(waits, Callback)
    with pytest.raises(OperationCancelled):
        call.run()
    assert trace == ["cleaned up"]


def test_coroutine_that_has_seen_the_cancel_has_its_grace():
    """A coroutine that was told by its callback ends by itself, if it does so in time."""
    async def sees(callback):
        callback.cancel()
        assert callback.cancelled
        await asyncio.sleep(0.01)
        return "in its own time"

    assert call_of(sees, Callback, grace=60).run() == "in its own time"
    with pytest.raises(OperationCancelled):
        call_of(sees, Callback, grace=0).run()


def test_cancelled_error_of_its_own():
    """A coroutine's own CancelledError is not taken for a cancel of the job."""
    async def cancels_itself():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        call_of(cancels_itself).run()


def test_pickled_call_has_a_new_callback():
    """A call that was sent elsewhere has a new callback, among its arguments too."""
    call = call_of(reports, Callback, 3)
    call.callback("reported")
    copy = pickle.loads(pickle.dumps(call))
    assert copy.args[0] is copy.callback
    assert copy.callback.latest[0] == 0
    assert copy.run() == 3


class Untravelled(Callback):
    """A callback that cannot be pickled."""

    def __reduce__(self):
        raise pickle.PicklingError("a callback was pickled")


def test_pickled_call_leaves_its_callback_behind():
    """A call travels without its callback, which is rebuilt at each place where it stood."""
    call = call_of(reports, Callback, 3, callback=Untravelled(), again=None)
    call.kwargs["again"] = call.callback
    copy = pickle.loads(pickle.dumps(call))
    assert copy.callback is not call.callback
    assert copy.args == (copy.callback, 3)
    assert copy.kwargs == {"again": copy.callback}


def test_pickled_call_keeps_its_adapter():
    """The new callback of a call that was sent reports through the same adapter."""
    callback = AdaptedCallback(to_step)
    copy = pickle.loads(pickle.dumps(call_of(reports, Callback, 3, callback=callback)))
    copy.run()
    assert copy.callback.latest == (1, "reported", 3, None, None)


def test_callback_inside_an_argument_does_not_travel():
    """A callback that the caller has put into something is not ours to replace."""
    callback = Untravelled()
    call = call_of(reports, partial(print, callback), 3, callback=callback)
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(call)


@pytest.mark.parametrize(("function", "args", "kwargs", "waits"), [
    (returns, (3,), {}, False), (reports, (Callback, 3), {}, True), (generates, (3,), {}, True),
    (awaits, (3,), {}, True), (drains, (3,), {}, True), (partial(generates, 3), (), {}, True),
    (Generating(), (3,), {}, True), (Generating().method, (3,), {}, True),
    (LongOperation(generates), (3,), {}, True), (LongOperation(Generating()), (3,), {}, True),
    (LongOperation(partial(awaits, 3)), (), {}, True), (LongOperation(returns), (3,), {}, False),
    (Generating, (), {}, False), (len, ([],), {}, False)])
def test_companion_is_a_rung(function, args, kwargs, waits):
    """A companion is tried after the grace, or at once if nothing else can stop the function.

    A generator stops where it yields, a coroutine where it waits.
    """
    stopped = []

    def companion():
        stopped.append(1)

    call = call_of(function, *args, stop=companion, **kwargs)
    [rung] = companion_rungs(call, companion)
    assert rung.waits == waits
    rung.act()
    assert (stopped, call.stop_name) == ([1], "companion")


def test_call_without_a_companion():
    """Without a companion there is no rung in a thread."""
    assert companion_rungs(call_of(returns, 3), print) == []


@pytest.mark.parametrize("says", [None, False])
def test_companion_in_a_thread(says):
    """In a thread the companion is called here; what it returns says nothing."""
    job, taken = job_in(State.CANCELLING), []
    call = call_of(returns, 3, stop=lambda: says)

    def guard(job, rungs):
        taken.extend(rungs)
        return lambda: taken.append("begun")

    assert ThreadBackend().perform(job, call, guard) == 3
    rung, begun = taken
    rung.act()
    job.finish(3)
    assert (begun, job.status().error) == ("begun", "stopped by <lambda>")


def test_thread_backend():
    """In a thread the job listens to the function's callback, and any call can be made."""
    backend, call = ThreadBackend(), call_of(reports, Callback, 3)
    backend.check(call)
    assert backend.callback_of(call) is call.callback
    assert backend.perform(job_in(State.RUNNING), call, lambda job, rungs: lambda: None) == 3
    backend.close()
    assert backend.closed is False


def test_backend_is_abstract():
    """A backend says at least how a call is made; the job listens to a twin by default."""
    with pytest.raises(TypeError):
        Backend()

    class Elsewhere(Backend):
        def perform(self, job, call, guard):
            return "value"

    call = call_of(reports, Callback, 3)
    assert Elsewhere().callback_of(call) is not call.callback

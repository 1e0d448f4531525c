"""`longop.updates`: the changes of a job, for a thread or for a coroutine."""

import asyncio
import gc
import threading
import time

import pytest

from longop import LongOperation, State
from longop.updates import Updates, _LoopSignal

from .test_job import job_in
from .waiting import WAIT


def is_watched(job):
    return job.callback.notify is not None


def run(main):
    """Run a coroutine function in a loop of its own, and return what it returns."""
    return asyncio.run(asyncio.wait_for(main(), WAIT))


# In a thread


def test_updates_give_the_newest_and_then_the_end():
    """A slow watcher gets the newest status, never a backlog, and the end is the last."""
    job = job_in(State.RUNNING)
    updates = job.updates()
    assert next(updates).result is None
    for number in range(1000):
        job.callback(number)
    assert next(updates).result == 999
    job.finish("end")
    assert [status.result for status in updates] == ["end"]
    assert [status.result for status in job.updates()] == ["end"]


def test_updates_wait_for_a_change():
    """A watcher sleeps until something is new, and misses nothing that comes as it looks."""
    job = job_in(State.RUNNING)
    seen, saw = [], threading.Event()

    def watch():
        for status in job.updates():
            seen.append(status.result)
            saw.set()

    thread = threading.Thread(target=watch)
    thread.start()
    for number in range(100):
        assert saw.wait(10)
        saw.clear()
        job.callback(number)
    assert saw.wait(10)
    job.finish("end")
    thread.join(10)
    assert seen == [None, *range(100), "end"]


def test_updates_end_for_good():
    """After its last status an iteration is over, however often it is asked."""
    job = job_in(State.RUNNING)
    updates = job.updates()
    next(updates)
    job.finish("end")
    assert next(updates).result == "end"
    assert not is_watched(job)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(updates)


def test_close_ends_the_iteration():
    """A closed iteration has no more steps, and closing it twice does no harm."""
    job = job_in(State.RUNNING)
    for steps in 0, 1:
        updates = job.updates()
        for _ in range(steps):
            next(updates)
        updates.close()
        updates.close()
        job.callback("more")
        assert list(updates) == []
        assert not is_watched(job)


def test_close_wakes_a_thread_that_waits():
    """Closed by another thread, an iteration that waits for a change ends."""
    job = job_in(State.RUNNING)
    updates, first = job.updates(), threading.Event()

    def watch():
        for _ in updates:
            first.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert first.wait(WAIT)
    updates.close()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert not is_watched(job)


def test_break_stops_watching():
    """A loop that is left early does not watch any more."""
    job = job_in(State.RUNNING)
    for _ in job.updates():
        assert is_watched(job)
        break
    gc.collect()
    assert not is_watched(job)


# In a coroutine


def test_async_updates_give_the_newest_and_then_the_end():
    """A coroutine gets each change, of fast ones the newest, and the end is the last."""
    job = job_in(State.RUNNING)

    async def main():
        updates = job.updates()
        seen = [(await updates.__anext__()).result]
        job.callback("first")
        seen.append((await updates.__anext__()).result)
        for number in range(1000):
            job.callback(number)
        seen.append((await updates.__anext__()).result)
        job.finish("end")
        seen += [status.result async for status in updates]
        with pytest.raises(StopAsyncIteration):
            await updates.__anext__()
        return seen

    assert run(main) == [None, "first", 999, "end"]
    assert not is_watched(job)


def test_async_updates_of_a_job_that_has_ended():
    """Of a job that has ended there is one status, in a thread and in a coroutine."""
    job = job_in(State.COMPLETED)

    async def main():
        return [status async for status in job.updates()]

    assert run(main) == list(job.updates()) == [job.status()]


def test_async_updates_wait_for_a_change():
    """A coroutine sleeps until another thread changes the job, and misses no change."""
    job = job_in(State.RUNNING)
    saw = threading.Semaphore(0)

    def report():
        for number in range(100):
            assert saw.acquire(timeout=WAIT)
            job.callback(number)
        assert saw.acquire(timeout=WAIT)
        job.finish("end")

    async def main():
        seen = []
        async for status in job.updates():
            seen.append(status.result)
            saw.release()
        return seen

    thread = threading.Thread(target=report)
    thread.start()
    assert run(main) == [None, *range(100), "end"]
    thread.join(WAIT)


class LookingJob:
    """A job that does something right after the watcher has looked, or right before."""

    def __init__(self, job):
        self.job, self.before, self.after = job, lambda: None, lambda: None
        self.watch, self.unwatch = job.watch, job.unwatch

    def status(self):
        self.before()
        status = self.job.status()
        self.after()
        return status


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("way", ["for", "async for"])
def test_change_around_the_look(way, moment):
    """A change right before or right after the watcher looks is seen, and seen once."""
    job, todo = job_in(State.RUNNING), iter("abc")
    looking = LookingJob(job)

    def change():
        letter = next(todo, None)
        if letter:
            job.callback(letter)
        elif not job.done():
            job.finish("end")

    setattr(looking, moment, change)
    updates = Updates(looking)

    async def main():
        return [status.result async for status in updates]

    seen = run(main) if way == "async for" else [status.result for status in updates]
    assert seen == [*([None] if moment == "after" else []), "a", "b", "c", "end"]


@pytest.mark.parametrize("moment", ["before _is_set", "before the event", "after both"])
def test_change_while_the_signal_is_cleared(moment):
    """A change at any moment of clearing the signal wakes the coroutine."""
    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        signal = _LoopSignal(loop, event)
        signal.set()
        signal.set()
        await signal.wait()
        clear = event.clear
        if moment == "before _is_set":
            signal.set()
        elif moment == "before the event":
            event.clear = lambda: (signal.set(), clear())
        signal.clear()
        event.clear = clear
        if moment == "before _is_set":  # it is seen by the look that follows
            assert not event.is_set()
            signal.set()
        elif moment == "after both":
            signal.set()
        await asyncio.wait_for(signal.wait(), WAIT)

    run(main)


def test_a_thousand_watchers_add_no_thread():
    """A thousand coroutines that watch a job need no thread, and each sees its end."""
    gate = threading.Event()

    def function(callback):
        callback("first")
        assert gate.wait(WAIT)
        callback("second")
        return "end"

    job = LongOperation(function).start()

    async def main():
        seen, last = [], []

        async def watch():
            async for status in job.updates():
                seen.append(status.result)
            last.append(status.result)

        tasks = [asyncio.ensure_future(watch()) for _ in range(1000)]
        while len(seen) < 1000:
            await asyncio.sleep(0.001)
        threads = threading.active_count()
        gate.set()
        await asyncio.gather(*tasks)
        return threads, last

    before = threading.active_count()
    threads, last = run(main)
    assert threads <= before
    assert last == ["end"] * 1000
    assert not is_watched(job)


def test_fast_function_leaves_the_loop_its_turns():
    """A job that changes at each look keeps the loop from nothing."""
    job = job_in(State.RUNNING)
    turns = []

    async def main():
        async def other():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        seen = 0
        async for _ in job.updates():
            seen += 1
            job.callback(seen)
            if seen == 100:
                break
        task.cancel()

    run(main)
    assert len(turns) >= 99


def test_a_million_reports_are_one_call_in_the_loop():
    """Reports that come before the coroutine looks again take one call in the loop's queue."""
    job = job_in(State.RUNNING)

    async def main():
        calls, loop = [], asyncio.get_running_loop()
        updates = job.updates()
        await updates.__anext__()
        schedule = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args: (calls.append(1), schedule(*args))
        for number in range(10_000):
            job.callback(number)
        assert (await updates.__anext__()).result == 9_999
        return len(calls)

    assert run(main) == 1


def test_async_break_stops_watching():
    """A coroutine that leaves its loop early does not watch any more."""
    job = job_in(State.RUNNING)

    async def main():
        async for _ in job.updates():
            assert is_watched(job)
            break
        gc.collect()
        assert not is_watched(job)

    run(main)


def test_aclose_stops_watching():
    """A closed iteration does not watch any more, and has no more steps."""
    job = job_in(State.RUNNING)

    async def main():
        updates = job.updates()
        await updates.__anext__()
        await updates.aclose()
        await updates.aclose()
        assert not is_watched(job)
        return [status async for status in updates]

    assert run(main) == []


def test_aclose_wakes_a_coroutine_that_waits():
    """Closed by another task, an iteration that waits for a change ends."""
    job = job_in(State.RUNNING)

    async def main():
        updates = job.updates()
        await updates.__anext__()
        waiting = asyncio.ensure_future(updates.__anext__())
        for _ in range(5):
            await asyncio.sleep(0)
        await updates.aclose()
        with pytest.raises((StopAsyncIteration, RuntimeError)):  # the second since Python 3.14
            await waiting

    run(main)


def test_cancelled_coroutine_stops_watching():
    """A step that is cancelled stops watching; the next one goes on and misses nothing."""
    job = job_in(State.RUNNING)

    async def main():
        updates = job.updates()
        await updates.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(updates.__anext__(), 0.01)
        assert not is_watched(job)
        job.callback("meanwhile")
        assert (await updates.__anext__()).result == "meanwhile"
        job.finish("end")
        return [status.result async for status in updates]

    assert run(main) == ["end"]


def test_loop_that_was_closed():
    """A job is none the worse for a watcher whose loop is closed; another loop may go on."""
    job = job_in(State.RUNNING)
    updates = job.updates()

    async def step():
        return (await updates.__anext__()).result

    assert run(step) is None
    assert is_watched(job)
    job.callback("the loop is closed")
    assert run(step) == "the loop is closed"
    job.finish("end")
    assert [status.result for status in updates] == ["end"]


def test_both_ways_with_one_object():
    """One iteration may go from a coroutine to a thread, and misses nothing."""
    job = job_in(State.RUNNING)
    updates = job.updates()

    async def step():
        return (await updates.__anext__()).result

    assert run(step) is None
    job.callback("first")
    assert next(updates).result == "first"
    job.callback("second")
    assert run(step) == "second"
    job.finish("end")
    assert [status.result for status in updates] == ["end"]
    assert not is_watched(job)


def test_watched_job_is_cancelled():
    """A coroutine that watches sees the cancel, and then that the job has stopped."""
    def function(callback):
        while True:
            callback("working")
            time.sleep(0.001)

    job = LongOperation(function).start()

    async def main():
        seen = []
        async for status in job.updates():
            if status.result:
                job.cancel()
            if not seen or status.state is not seen[-1]:
                seen.append(status.state)
        return seen

    assert run(main)[-1] is State.CANCELLED

"""`longop.serve.audience`: a change of a job reaches all who watch it, and not too often."""

import contextlib
import threading
import time

from longop.serve.audience import PERIOD, Audiences
from longop.serve.loop import Loop

from ..waiting import wait_until
from .clients import connected, events_of, get, serving


def test_many_watchers(job, steps):
    """All who watch one job see its end; the job has one watcher."""
    with serving(job) as server, contextlib.ExitStack() as stack:
        path = get(f"/v1/jobs/{job.id}/events")
        clients = [stack.enter_context(connected(server, path)) for _ in range(100)]
        wait_until(lambda: len(server.connections) == 100)
        steps.step(5)
        assert len(job._watchers) == 1
        job.cancel()
        for client in clients:
            assert [*events_of(client)][-1]["state"] == "cancelled"


def test_fast_function(job, steps):
    """A job that changes all the time is looked at a hundred times a second at most."""
    with serving(job) as server, connected(server, get(f"/v1/jobs/{job.id}/events")) as client:
        events = events_of(client)
        next(events)
        begin = time.monotonic()
        count = 0
        while count < 20:
            steps.step(10)
            count += next(events)["step"] > 0
        assert time.monotonic() - begin > 19 * 0.01


class Changing:
    """A job that changes when it is told to."""

    def __init__(self):
        self.watchers = []
        self.watch = self.watchers.append
        self.unwatch = self.watchers.remove

    def change(self):
        for watcher in [*self.watchers]:
            watcher()


def turns(loop, seconds):
    """Turn a loop for so long."""
    ended = []
    loop.call_at(time.monotonic() + seconds, lambda: ended.append(None))
    while not ended:
        loop.turn()


def test_subscribe():
    """All look after a change; a job has one watcher, and none when the last has left."""
    with contextlib.closing(Loop()) as loop:
        audiences, job, seen = Audiences(loop), Changing(), []

        def first():
            seen.append("first")

        def second():
            seen.append("second")

        audiences.subscribe(job, first)
        audiences.subscribe(job, second)
        assert (len(audiences), len(job.watchers)) == (1, 1)
        job.change()
        turns(loop, 2 * PERIOD)
        assert sorted(seen) == ["first", "second"]
        audiences.unsubscribe(job, first)
        job.change()
        turns(loop, 2 * PERIOD)
        assert sorted(seen) == ["first", "second", "second"]
        audiences.unsubscribe(job, second)
        assert (len(audiences), job.watchers) == (0, [])


def test_pace():
    """Of many changes one is seen at once and the last after the rest, and none in between."""
    with contextlib.closing(Loop()) as loop:
        audiences, job, seen = Audiences(loop), Changing(), []
        audiences.subscribe(job, lambda: seen.append(loop.now))
        job.change()
        loop.turn()
        assert len(seen) == 1
        for _ in range(100):
            job.change()
        turns(loop, 3 * PERIOD)
        assert len(seen) == 2
        assert seen[1] - seen[0] >= PERIOD


def test_change_during_the_look():
    """A change that comes while the others look is not missed."""
    with contextlib.closing(Loop()) as loop:
        audiences, job, seen = Audiences(loop), Changing(), []

        def look():
            seen.append(None)
            if len(seen) == 1:
                job.change()

        audiences.subscribe(job, look)
        job.change()
        turns(loop, 3 * PERIOD)
        assert len(seen) == 2


def test_leaving_during_the_look():
    """One that leaves while it looks, or makes another one leave, does no harm."""
    with contextlib.closing(Loop()) as loop:
        audiences, job, looks = Audiences(loop), Changing(), []

        def leave():
            if looks:
                for look in looks:
                    audiences.unsubscribe(job, look)
                looks.clear()

        looks += [lambda: leave() for _ in range(3)]
        for look in [*looks]:
            audiences.subscribe(job, look)
        job.change()
        turns(loop, 2 * PERIOD)
        assert (len(audiences), job.watchers) == (0, [])


def test_changes_in_many_threads():
    """However many threads change a job at once, the last change is seen."""
    with contextlib.closing(Loop()) as loop:
        audiences, job = Audiences(loop), Changing()
        changes, seen = [], []

        def change():
            for _ in range(500):
                changes.append(None)
                job.change()

        audiences.subscribe(job, lambda: seen.append(len(changes)))
        threads = [threading.Thread(target=change) for _ in range(4)]
        for thread in threads:
            thread.start()
        while not seen or seen[-1] < 2_000:
            loop.turn()
        for thread in threads:
            thread.join()

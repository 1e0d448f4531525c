"""What the library costs by itself."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import longop
from longop.archive import FileHistory

from .work import idle, talk

ROUNDS = 9


def timed(function):
    """Return how many seconds a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(label, ours, peer, wanted):
    """Print the ratio of two functions that return figures, interleaved, by the medians."""
    pairs = [(ours(), peer()) for _ in range(ROUNDS)]
    mine, its = (median(column) for column in zip(*pairs))
    ratio = median(mine / its for mine, its in pairs)
    print(f"{label:58} {ratio:6.2f} x   ({mine:.4g} to {its:.4g}; wanted: {wanted})", flush=True)


def starting(statement):
    """Return how long a Python takes for a statement, beyond its own start."""
    run = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {os.getcwd()!r}); "]
    return lambda: (timed(lambda: subprocess.run([*run[:-1], run[-1] + statement], check=True))
                    - timed(lambda: subprocess.run([*run[:-1], run[-1]], check=True)))


def bench_import():
    compare("import longop, to its standard library modules",
            starting("import longop"),
            starting("import concurrent.futures.thread, inspect, dataclasses"), "at most 1.6")


def bench_report():
    count = 200_000

    def report():
        seconds = []

        def function(callback):
            seconds.append(timed(lambda: [callback("x", n) for n in range(count)]))

        longop.LongOperation(function).start().result()
        return seconds[0] / count * 1e9

    def lock():
        lock = threading.Lock()

        def loop():
            for _ in range(count):
                with lock:
                    pass

        return timed(loop) / count * 1e9

    compare("a report that nobody watches, to `with lock: pass` (ns)", report, lock, "at most 2")


def bench_cancel():
    """From cancel() to cancelled, for a function that reports every millisecond."""
    def function(callback):
        while True:
            time.sleep(0.001)
            callback()

    operation, times = longop.LongOperation(function), []
    for _ in range(200):
        job = operation.start()
        while job.status().version < 4:
            time.sleep(0.001)

        def cancel(job=job):
            job.cancel()
            for _ in job.updates():
                pass

        times.append(timed(cancel) * 1000)
    print(f"from cancel() to cancelled (ms): median {median(times):.2f}, "
          f"worst of 200 {max(times):.2f} (wanted: under 5)", flush=True)


def bench_process():
    """A job in a process, warm and cold, and what its reports cost."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        operation = longop.LongOperation(idle, executor="process", callback=False)
        pool.submit(idle).result(), operation.start().result()
        compare("a job in a warm process, to submit() to a pool (ms)",
                lambda: timed(lambda: operation.start().result()) * 1e3,
                lambda: timed(lambda: pool.submit(idle).result()) * 1e3, "under 20 ms")
        operation.close()

    def cold():
        operation = longop.LongOperation(idle, executor="process", callback=False)
        try:
            return timed(lambda: operation.start().result())
        finally:
            operation.close()

    start = [sys.executable, "-c", "import longop.workers.worker, tests.bench.work"]
    compare("the first job in a process, to a Python that starts (s)", cold,
            lambda: timed(lambda: subprocess.run(start, check=True)),
            "as fast as the interpreter starts")
    operation, ages = longop.LongOperation(talk, executor="process"), []
    job, cost = operation.start(seconds=2.0), time.process_time()
    while not job.done():
        time.sleep(0.01)
        status = job.status()
        if status.result and not job.done():
            ages.append((time.monotonic() - status.result) * 1e3)
    cost = (time.process_time() - cost) / 2
    print(f"10,000 reports a second from a process: the status is {median(ages):.2f} ms old "
          f"(median; worst {max(ages):.2f}; wanted: under 5), at {cost:.1%} of a core "
          f"(wanted: under 10 %); {job.status().step + 1} reports", flush=True)
    operation.close()


def bench_history():
    """A look-up in a history of 100,000 jobs, to one in a history of 10."""
    with TemporaryDirectory() as folder:
        histories = {}
        for count in 10, 100_000:
            history = histories[count] = FileHistory(Path(folder) / f"{count}.sqlite3")
            history._db.execute("PRAGMA synchronous = OFF")
            with history._db:
                history._db.executemany(
                    "INSERT INTO jobs (id, place, total, at, status, result) "
                    "VALUES (?, ?, ?, 0, ?, ?)",
                    ((f"{n:032x}", n + 1, n + 1, STATUS, '"done"') for n in range(count)))

        def look_up(count):
            ids = [f"{n * 7919 % count:032x}" for n in range(1000)]
            return lambda: timed(lambda: [histories[count].get(id) for id in ids]) * 1e3

        compare("a status in a file of 100,000 jobs, to one of 10 (µs)", look_up(100_000),
                look_up(10), "about 1")
        for history in histories.values():
            history.close()


STATUS = json.dumps({**vars(longop.Status("id", "module", "name")), "state": "completed"})


def bench_memory():
    """1,800 jobs with a result of 100 kB, one after the other."""
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    operation = longop.LongOperation(lambda callback: os.urandom(50_000).hex())
    sizes = []
    for number in range(1800):
        operation.start().result()
        if number % 300 == 299:
            sizes.append(f"{resident() / 2**20:.0f}")
    print(f"resident MiB after each 300 of 1,800 jobs of 100 kB: {' '.join(sizes)}; "
          f"threads {threading.active_count()}; jobs kept {len(operation.jobs())}", flush=True)


def bench_terminal():
    """What it costs to show a function on a terminal that reports as fast as it can."""
    seconds, (master, slave) = 3.0, os.openpty()  # which has room for all that is shown

    def function(callback):
        end, count = time.monotonic() + seconds, 0
        own, all_ = time.thread_time(), time.process_time()
        while time.monotonic() < end:
            for _ in range(1000):
                count += 1
                callback("text", count, 10_000_000)
        own, all_ = time.thread_time() - own, time.process_time() - all_
        return count, (all_ - own) / seconds

    with os.fdopen(slave, "w") as file:
        count, share = longop.progress(longop.LongOperation(function).start(), file=file).result
    os.close(master)
    print(f"{count / seconds:,.0f} reports a second on a terminal: all but the function takes "
          f"{share:.2%} of a core (wanted: under 1 %)", flush=True)

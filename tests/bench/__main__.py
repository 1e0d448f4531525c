"""Measure what the issue of speed asks for, as ratios in one run: ``python3 -m tests.bench``."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler
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

    compare("a report that nobody watches, to `with lock: pass` (ns)", report, lock, "at most 8")


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


class Stock(BaseHTTPRequestHandler):
    """The same answer from ``http.server``, with its defaults repaired."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write
    operation: longop.LongOperation

    def do_GET(self):
        body = json.dumps(vars(self.operation.status(self.path[9:]))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


SERVER = """
import sys, longop
from http.server import ThreadingHTTPServer
from tests.bench.__main__ import Stock

class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

def function(callback):
    callback("x" * 40, 3, 10)
    callback.wait(3600)

operation = longop.LongOperation(function)
job = operation.start()
Stock.operation = operation
server = Server(("127.0.0.1", 0), Stock if sys.argv[1] == "stock" else longop.handler(operation))
print(server.server_port, job.id, flush=True)
server.serve_forever()
"""

LOAD = """
import selectors, socket, sys, time
port, path, connections, seconds = sys.argv[1:]
request = (f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nAccept: */*\\r\\n"
           "User-Agent: bench\\r\\n\\r\\n").encode()
selector = selectors.DefaultSelector()
for _ in range(int(connections)):
    one = socket.create_connection(("127.0.0.1", int(port)))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(one, selectors.EVENT_READ)
    one.sendall(request)
answers, end = 0, time.perf_counter() + float(seconds)
while time.perf_counter() < end:
    for key, _ in selector.select():
        assert b"200 OK" in key.fileobj.recv(65536)
        answers += 1
        key.fileobj.sendall(request)
print(answers / float(seconds))
"""


def bench_polls():
    """Server on one core, load on the other, where there are two."""
    def server(kind):
        process = subprocess.Popen([*pinned(0), sys.executable, "-c", SERVER, kind],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   universal_newlines=True)
        return (process, *process.stdout.readline().split())

    servers = {kind: server(kind) for kind in ("longop", "stock")}

    def load(kind, connections):
        _, port, id = servers[kind]
        done = subprocess.run([*pinned(1), sys.executable, "-c", LOAD, port, f"/v1/jobs/{id}",
                               str(connections), "1"], stdout=subprocess.PIPE, check=True)
        return float(done.stdout)

    for connections in (1, 16, 64):
        compare(f"status polls a second, {connections} connections, to http.server",
                lambda n=connections: load("longop", n), lambda n=connections: load("stock", n),
                "at least 3")
    for process, *_ in servers.values():
        process.kill()


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

    start = [sys.executable, "-c", "import longop.worker, tests.bench.work"]
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
                history._db.executemany("INSERT INTO jobs VALUES (?, ?, ?, 0, ?, ?, NULL)", (
                    (f"{n:032x}", n + 1, n + 1, STATUS, '"done"') for n in range(count)))

        def look_up(count):
            ids = [f"{n * 7919 % count:032x}" for n in range(1000)]
            return lambda: timed(lambda: [histories[count].get(id) for id in ids]) * 1e3

        compare("a status in a file of 100,000 jobs, to one of 10 (µs)", look_up(100_000),
                look_up(10), "about 1")
        for history in histories.values():
            history.close()


STATUS = json.dumps({**vars(longop.Status("id", "module", "name")), "state": "completed"})


def pinned(core):
    return ["taskset", "-c", str(core)] if os.cpu_count() > 1 and sys.platform == "linux" else []


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


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, medians of {ROUNDS} interleaved rounds")
    for name in sys.argv[1:] or ["import", "report", "cancel", "process", "history", "polls",
                                 "memory"]:
        globals()[f"bench_{name}"]()

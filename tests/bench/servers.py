"""longop.serve beside what would be installed instead: polls, start, memory, event streams."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import venv
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from statistics import median

from . import load, peers

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
SECONDS = 0  # of each measurement; 0: its own

NAMES = {
    "longop": "**longop.serve**",
    "asgi": "raw ASGI, uvicorn[standard]",
    "aiohttp": "aiohttp",
    "fastapi": "FastAPI, uvicorn[standard]",
    "flask": "Flask, waitress",
    "stock": "`http.server`, repaired, threads",
    "constant": "a loop that answers constant bytes",
}
NEEDS = {  # what a peer is installed by, and what must be there then
    "asgi": ("uvicorn[standard]", "uvicorn, uvloop, httptools"),
    "aiohttp": ("aiohttp", "aiohttp"),
    "fastapi": ("fastapi", "fastapi, uvicorn, uvloop, httptools"),
    "flask": ("flask waitress", "flask, waitress"),
}
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@lru_cache(None)
def environment():
    """Return the Python of each kind of server that can be run here, after installing them."""
    return pythons(NAMES, NEEDS)


def pythons(names, needs, more=""):
    """Return the Python of each of some kinds, after installing what they need.

    :param more: added to the name of the folder in which they are installed.
    """
    folder = ROOT / ".venv-bench" / "{}.{}{}".format(*sys.version_info[:2], more)
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        print(f"making {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
    found = {}
    for kind in names:
        packages, modules = needs.get(kind, ("", ""))
        check = [python, "-c", f"import {modules}"]
        if not modules:
            found[kind] = sys.executable
            continue
        if subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            subprocess.run([python, "-m", "pip", "install", "-qq", "--retries=1",
                            *packages.split()])
        if subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            print(f"without {names[kind]}, which cannot be installed here", flush=True)
        else:
            found[kind] = python
    return found


@contextmanager
def on_core(number):
    """Run on the first or the last core, and whatever is started here with it, if there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[number]})
    try:
        yield
    finally:
        if len(CORES) > 1:
            os.sched_setaffinity(0, CORES)


class Server:
    """One that runs, on the first core. ``seconds``: from its start to its first answer."""

    names, others, served = NAMES, "tests.bench.peers", "tests.bench.served"
    first = f"/v1/jobs/{peers.ID}"  # what a peer is asked first

    def __init__(self, kind, python):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.kind, self.job = kind, peers.ID
        command, first = ["-m", self.others, kind, str(self.port)], self.first
        if kind == "longop":
            command = ["-m", "longop.serve", self.served, "--port", str(self.port), "--quiet"]
            first = "/v1/status/ping"
        settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # all start from compiled files
        start = time.perf_counter()
        with on_core(0):
            self.process = subprocess.Popen([python, *command], cwd=ROOT, env=settings,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait_for(first)
            self.seconds = time.perf_counter() - start
            if kind == "longop":
                self.begin()
        except BaseException:
            self.__exit__()
            raise
        self.path = f"/v1/jobs/{self.job}"

    def begin(self):
        """Start what is measured."""
        self.job = self.start("hold")

    def _wait_for(self, path):
        for _ in range(30_000):
            try:
                return load.ask(self.port, path)
            except ConnectionError:
                time.sleep(0.001)
            if self.process.poll() is not None:
                break
        raise OSError(f"{self.names[self.kind]} does not start")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    def start(self, function, **parameters):
        """Start a job; return its id."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        module = self.served.rpartition(".")[2]
        answer = load.ask(self.port, f"/v1/{module}/{function}?{query}", "POST")
        return json.loads(answer)["commandId"]

    def cpu(self):
        """Return the seconds of CPU that it has used: its clock, as clock_getcpuclockid(3) says."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def memory(self):
        """Return its RSS and PSS in MiB."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return [int(re.search(rf"\n{name}: *(\d+)", text)[1]) / 1024 for name in ("Rss", "Pss")]

    def wakes(self):
        """Return how often its threads have waited for something."""
        found = Path(f"/proc/{self.process.pid}/task").glob("*/status")
        return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", path.read_text())[1])
                   for path in found)


def table(*rows):
    """Print rows of a Markdown table, the first of them its head."""
    head, *rest = rows
    for row in [head, ["---", *["---:"] * (len(head) - 1)], *rest]:
        print("|", " | ".join(row), "|")
    print(flush=True)


def ratio(ours, its):
    """Return the median of the ratios of two measurements, round by round, as text."""
    return f"{median(mine / other for mine, other in zip(ours, its)):.2f}"


def bench_servers():
    """Status polls a second, and how long one takes."""
    sizes, found = (1, 16, 64, 256), environment()
    rates, times, busy, costs = {}, {}, {}, {}
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(*item)) for item in found.items()]
        stack.enter_context(on_core(-1))
        for number in range(-1, ROUNDS):
            for size in sizes:
                for server in servers:
                    cpu, start = server.cpu(), time.perf_counter()
                    rate, took = load.polls(server.port, server.path, size,
                                            SECONDS or 1.5 if number >= 0 else 0.2)
                    cpu = server.cpu() - cpu
                    if number >= 0:  # before that, they warm up
                        key = server.kind, size
                        rates.setdefault(key, []).append(rate)
                        times.setdefault(key, []).append(load.percentiles(took))
                        busy.setdefault(key, []).append(cpu / (time.perf_counter() - start))
                        costs.setdefault(key, []).append(cpu / len(took))

    def speed(kind, size):
        mark = "+" if size > 1 and median(busy[kind, size]) < 0.9 else ""
        more = ratio(rates["longop", size], rates[kind, size])
        return f"{median(rates[kind, size]):,.0f}{mark} ({more})"

    def cost(kind, size):
        more = ratio(costs[kind, size], costs["longop", size])
        return f"{median(costs[kind, size]) * 1e6:.1f} ({more})"

    def latency(kind, size):
        return " / ".join(f"{median(column) * 1e3:.2f}" for column in zip(*times[kind, size]))

    print("Status polls a second, one core for the server (longop's to it, by the median of "
          f"{ROUNDS} rounds).\n+: the server had time to spare, the load had not.\n")
    heads = [f"{size} connection{'s' * (size > 1)}" for size in sizes]
    table(["polls a second", *heads],
          *([NAMES[kind], *(speed(kind, size) for size in sizes)] for kind in found))
    print("The server's processor time for a poll, in µs (times longop's). It tells more than the "
          "rate where the machine does other things.\n")
    table(["µs", *heads],
          *([NAMES[kind], *(cost(kind, size) for size in sizes)] for kind in found))
    print("How long a poll takes, in ms: 50th / 99th percentile.\n")
    table(["ms", *heads],
          *([NAMES[kind], *(latency(kind, size) for size in sizes)] for kind in found))


def bench_start():
    """From the start of the process to its first answer."""
    found, times = environment(), {}
    for number in range(-1, ROUNDS):
        for kind, python in found.items():
            with on_core(-1), Server(kind, python) as server:
                if number >= 0:  # before that, their files are read and compiled
                    times.setdefault(kind, []).append(server.seconds * 1000)
    table(["from start to first answer", "ms", "longop's to it"],
          *([NAMES[kind], f"{median(taken):.0f}", ratio(times["longop"], taken)]
            for kind, taken in times.items()))


def bench_idle():
    """What a server has and does after one request, when nobody asks."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(*item)) for item in environment().items()]
        time.sleep(2)
        before = [(server.wakes(), server.cpu()) for server in servers]
        seconds = SECONDS or 5
        time.sleep(seconds)
        rows = []
        for server, (wakes, cpu) in zip(servers, before):
            woken, used = server.wakes() - wakes, server.cpu() - cpu
            rows.append([NAMES[server.kind], *(f"{size:.1f}" for size in server.memory()),
                         f"{woken}", f"{used / seconds:.3%}"])
    table(["idle", "RSS, MiB", "PSS, MiB", f"wake-ups in {seconds:g} s", "of a core"], *rows)


def allow_files():
    """Have as many sockets as the system lets this process have."""
    import resource  # Windows has none

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def streaming(measure):
    """Return a row for each kind that has event streams, measured with a new server of it."""
    rows, found = [], environment()
    allow_files()
    for kind in "longop", "aiohttp":
        if kind in found:
            with on_core(-1), Server(kind, found[kind]) as server:
                try:
                    rows.append([NAMES[kind], *measure(server)])
                except OSError as error:
                    print(f"{NAMES[kind]}: {error}\n", flush=True)
    return rows


def bench_watch():
    """Many event streams: of one job that reports ten times a second, and of one that is silent."""
    count, seconds = 1000, SECONDS or 15

    def measure(server):
        idle = load.Watchers(server.port, server.job, count)
        idle.run(1)  # until they have what there is
        cpu, start = server.cpu(), time.perf_counter()
        idle.run(min(10, seconds))
        idle_cpu = (server.cpu() - cpu) / (time.perf_counter() - start) / count
        idle.close()

        watchers = load.Watchers(server.port, server.start("tick", seconds=seconds), count)
        poll = subprocess.Popen([sys.executable, "-m", "tests.bench.load", str(server.port),
                                 server.path, str(seconds * 0.8)], cwd=ROOT,
                                stdout=subprocess.PIPE)
        cpu, start = server.cpu(), time.perf_counter()
        watchers.run(seconds * 0.8)
        cpu = (server.cpu() - cpu) / (time.perf_counter() - start)
        memory = server.memory()
        watchers.run(seconds + 30)
        half, most = map(float, poll.communicate()[0].split())
        watchers.close()
        return (f"{watchers.ended:,}", f"{watchers.events / count:.0f}", f"{cpu:.0%}",
                *(f"{size:.1f}" for size in memory), f"{half:.1f} / {most:.1f}",
                f"{idle_cpu * 1e6:.1f}")

    table([f"{count:,} watchers of a job, {seconds * 10:g} reports", "saw the end", "events each",
           "of a core", "RSS, MiB", "PSS, MiB", "a poll beside, ms, 50th / 99th percentile",
           "CPU per idle watcher, µs a second"], *streaming(measure))


def bench_delay():
    """From a report in the served function to the event in the client's hands."""
    def measure(server):
        took = {}

        def hear(event):
            now, found = time.monotonic(), re.search(rb'"result": ?([\d.]+)', event)
            if found:
                took.setdefault(found[1], (now - float(found[1])) * 1000)  # the last comes twice

        count = round((SECONDS or 10) * 20)
        watcher = load.Watchers(server.port, server.start("clock", count=count), 1)
        watcher.run(count / 20 + 10, hear)
        watcher.close()
        half, most = load.percentiles(took.values())
        return f"{half:.2f}", f"{most:.2f}", f"{len(took)} of {count}"

    table(["from a report to its event", "ms, 50th", "99th percentile", "events"],
          *streaming(measure))

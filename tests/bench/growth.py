"""A text that grows, as a watcher gets it: bytes, events, CPU, time, and the delay of each report.

In the text each piece says when it was made. "whole" reports the whole text each time.
"""

import json
import math
import os
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from . import grown, load, servers

ROUNDS = 2
SIZES = 20_000, 100_000, 500_000, 5_000_000
PIECE = 20  # characters of a report
FEWEST = 5_000  # characters of a report of 5 MB, if each is whole: see `count_of`
PEERS = {"longop": "**longop.serve**", "sse": "FastAPI, uvicorn[standard], sse-starlette",
         "gradio": "Gradio's queue"}
NEEDS = {"sse": ("fastapi uvicorn[standard] sse-starlette",
                 "fastapi, uvicorn, uvloop, httptools, sse_starlette"),
         "gradio": ("gradio", "gradio")}
WAYS = {"append": "what is new", "far_append": "what is new, in a process",
        "whole": "the whole text", "far_whole": "the whole text, in a process"}
TEXTS = {"as fast as it can": (100_000, 5_000, 0),  # characters, reports, reports a second
         "100 a second": (10_000, 500, 100)}
WATCHERS = 1_000
MOMENT = re.compile(rb"[0-9]+\.[0-9]{9}(?= )")


def count_of(size, way):
    """Return the number of reports of a text.

    A function that reports a text of 5 MB whole, 250,000 times, copies 625 GB by itself.
    """
    return size // (FEWEST if "whole" in way and size > 1_000_000 else PIECE)


# The clients


class Stream:
    """An answer that streams: ``parts`` are what came, each with the moment it came at."""

    def __init__(self, port, path):
        self._socket, _ = load.connect(port, path, "text/event-stream", request=(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n"
            "Connection: close\r\n\r\n").encode())
        self.parts = []

    def read_part(self):
        """Read what comes next; return whether that was not the end."""
        data = self._socket.recv(262_144)
        self.parts.append((time.monotonic(), data))
        return bool(data)

    def read(self):
        """Read to the end."""
        with self._socket:
            while self.read_part():
                pass

    def body(self):
        """Return what came after the head."""
        head, _, body = b"".join(data for _, data in self.parts).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(head.partition(b"\r\n")[0].decode())
        return body

    def delays(self):
        """Return how many seconds each report took to come here, but of those cut in two."""
        return [came - float(moment) for came, data in self.parts
                for moment in MOMENT.findall(data)]

    def seconds(self):
        """Return the seconds from the first report to the end."""
        return self.parts[-1][0] - float(MOMENT.search(self.body())[0])


class Run:
    """One text that one watcher has read: what it took."""

    def __init__(self, server, *asked):
        stream = server.watch(*asked)
        stream.read_part()  # then the watcher is there; the text has not begun
        cpu = server.cpu_of_all()
        stream.read()
        self.cpu = server.cpu_of_all() - cpu
        body = stream.body()
        self.bytes, self.events = len(body), body.count(b"\ndata: ") + body.startswith(b"data: ")
        self.seconds, self.delays = stream.seconds(), load.percentiles(stream.delays())
        server.check(body, *asked)


def best(runs):
    """Return the smallest of each figure: other load on the machine can only add to it."""
    found = Run.__new__(Run)
    for name in "cpu", "bytes", "events", "seconds", "delays":
        setattr(found, name, min(getattr(run, name) for run in runs))
    return found


# The servers


class Growing(servers.Server):
    """One that serves texts which grow."""

    names, others, served = PEERS, "tests.bench.grown", "tests.bench.grown"
    first = "/openapi.json"

    @property
    def ways(self):
        """The ways to make a text that are compared with peers."""
        return {"longop": ("append", "far_append"), "sse": ("thread", "loop"),
                "gradio": ("thread",)}[self.kind]

    def begin(self):
        """Have the processes there that it will use."""
        for way in "far_append", "far_whole":
            self.watch(way, 20, 1).read()

    def cpu_of_all(self):
        """Return the seconds of CPU that it and its processes have used."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = " ".join((task / "children").read_text() for task in tasks).split()
        return self.cpu() + sum(time.clock_gettime(~int(child) << 3 | 2) for child in children)

    def watch(self, way, size, count, pace=0):
        """Begin a text; return its stream."""
        if self.kind == "sse":
            return Stream(self.port, f"/v1/{way}?size={size}&count={count}&pace={pace}")
        if self.kind == "longop":
            job = self.start(way, size=size, count=count, pace=pace)
            return Stream(self.port, f"/v1/jobs/{job}/events?delta=1")
        session = os.urandom(8).hex()
        load.ask(self.port, "/gradio_api/queue/join", "POST", json.dumps({
            "data": [size, count, pace], "fn_index": 0, "session_hash": session}))
        return Stream(self.port, f"/gradio_api/queue/data?session_hash={session}")

    def check(self, body, way, size, count, pace=0):
        """Raise ``AssertionError`` if what came is not the whole text."""
        if self.kind != "longop":
            assert len(MOMENT.findall(body)) >= count, f"{self.kind}: {body[-500:]}"
            return
        text = ""
        for line in body.splitlines():
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                text = (event.get("result", text) or "") + event.get("append", "")
        assert len(text) == size // count * count, f"{len(text)} of {size}"


# Texts of 20 kB to 5 MB


def own_cost(size, count):
    """Return the seconds of CPU that a function takes which reports the whole text to nobody."""
    class Nobody:
        def __call__(self, text):
            self.text = text  # kept until the next one, as a callback does

        def wait(self, seconds):
            self.began = time.thread_time()

    nobody = Nobody()
    grown.whole(nobody, size, count)
    return time.thread_time() - nobody.began


def exponent(figures):
    """Return the slope of a line through the logarithms of sizes and figures.

    It is 1 if the figures grow as the sizes do, and 2 if as their squares.
    """
    points = [(math.log(size), math.log(max(figure, 1e-3))) for size, figure in figures.items()]
    x, y = (sum(column) / len(points) for column in zip(*points))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def measure_texts(server):
    """Return the best run of each way and size, and what the whole texts cost by themselves."""
    runs, own = {}, {}
    for _ in range(ROUNDS):
        for size in SIZES:
            for way in WAYS:
                count = count_of(size, way)
                runs.setdefault((way, size), []).append(Run(server, way, size, count))
            own.setdefault(size, []).append(own_cost(size, count))
    own = {(way, size): min(several) if "whole" in way else 0
           for size, several in own.items() for way in WAYS}
    return {key: best(several) for key, several in runs.items()}, own


def bench_growth():
    """Print what texts of 20 kB to 5 MB take, and whether the bounds are kept."""
    with servers.on_core(-1), Growing("longop", sys.executable) as server:
        runs, own = measure_texts(server)
    print(f"One watcher of a text that grows as fast as it can; best of {ROUNDS} rounds.\n")
    servers.table(
        ["a function that reports", "characters", "reports", "bytes to the watcher", "events",
         "CPU, ms", "of the function alone, ms", "from first report to end, ms",
         "from report to client, ms, 50th / 99th percentile"],
        *([WAYS[way], f"{size:,}", f"{count_of(size, way):,}", f"{runs[way, size].bytes:,}",
           f"{runs[way, size].events:,}", f"{runs[way, size].cpu * 1e3:.1f}",
           f"{own[way, size] * 1e3:.1f}", f"{runs[way, size].seconds * 1e3:.0f}",
           in_ms(runs[way, size].delays)] for way in WAYS for size in SIZES))
    servers.table(["bound", "wanted", "measured", "kept"],
                  *bounds_of(runs, own))
    bench_peers()


def bounds_of(runs, own):
    """Yield a row for each bound."""
    most = max(run.bytes / (1.3 * size + 300 * run.events) for (_, size), run in runs.items())
    yield row("bytes to 1.3 a character and 300 an event", 1, most)
    for way in WAYS:
        allowed = 1.3 if "whole" in way else 1.1
        figures = {"bytes": lambda key: runs[key].bytes,
                   "CPU": lambda key: (runs[key].cpu - own[key]) * 1e3,
                   "time": lambda key: (runs[key].seconds - own[key]) * 1e3}
        for name, figure in figures.items():
            grows = exponent({size: figure((way, size)) for size in SIZES})
            yield row(f"{WAYS[way]}: exponent of {name}", allowed, grows)
    for way in "append", "whole":
        for size in SIZES:
            here, far = runs[way, size], runs[f"far_{way}", size]
            yield row(f"{way}, {size:,} characters: CPU of a process to a thread's", 1.5,
                      far.cpu / here.cpu)
            yield row(f"{way}, {size:,} characters: its time", 1.5, far.seconds / here.seconds)


def row(what, allowed, measured):
    return what, f"{allowed}", f"{measured:.2f}", "yes" if measured <= allowed else "**no**"


def in_ms(delays):
    return " / ".join(f"{delay * 1e3:.1f}" for delay in delays)


# Beside peers


def bench_peers():
    """Print what the same text takes where longop is not used."""
    found = servers.pythons(PEERS, NEEDS, "-growth")
    runs = {}
    with ExitStack() as stack:
        running = [stack.enter_context(Growing(kind, found[kind])) for kind in found]
        stack.enter_context(servers.on_core(-1))
        for number in range(-1, ROUNDS):
            for text, asked in TEXTS.items():
                for server in running:
                    for way in server.ways:
                        run = Run(server, way, *asked)
                        if number >= 0:  # before that, they warm up
                            runs.setdefault((text, server.kind, way), []).append(run)
    for text, asked in TEXTS.items():
        print(f"{asked[0]:,} characters in {asked[1]:,} reports, {text}; best of {ROUNDS}.\n")
        rows = [(f"{PEERS[kind]}, {way}", best(several))
                for (of, kind, way), several in runs.items() if of == text]
        servers.table(["server", "bytes a character", "events", "CPU, ms", "longop's CPU to it",
                       "from report to client, ms, 50th / 99th percentile"],
                      *([name, f"{run.bytes / asked[0]:.2f}", f"{run.events:,}",
                         f"{run.cpu * 1e3:.0f}", f"{rows[0][1].cpu / run.cpu:.2f}",
                         in_ms(run.delays)] for name, run in rows))


# A thousand watchers


class Crowd(load.Watchers):
    """Watchers of one job, which count what comes; ``ended`` have read to the end."""

    query = "?delta=1"

    def __init__(self, port, job, count):
        self.bytes = self.reads = 0
        self._buffer = bytearray(262_144)
        super().__init__(port, job, count)

    def _receive(self, number, hear):
        size = self._sockets[number].recv_into(self._buffer)
        self.bytes += size
        self.reads += 1
        if not size:
            self.ended += 1
            self._leave(number)


def bench_crowd():
    """Print what 1,000 watchers take of a text that grows ten times a second."""
    servers.allow_files()
    seconds = servers.SECONDS or 20
    servers.table([f"{WATCHERS:,} watchers of a text", "read to the end", "bytes a character",
                   "parts that each has read", "of a core", "MiB more than idle"],
                  *(crowd_row(name, first, size, seconds) for name, first, size in (
                      ("that grows to 1 MB", 0, 1_000_000),
                      ("of 1 MB that grows by 40 kB", 1_000_000, 40_000))))


def crowd_row(name, first, size, seconds):
    with servers.on_core(-1), Growing("longop", sys.executable) as server:
        idle = most = server.memory()[0]
        job = server.start("crowd", first=first, size=size, count=int(seconds * 10))
        began, cpu = time.monotonic(), server.cpu()
        crowd = Crowd(server.port, job, WATCHERS)
        while crowd.ended < WATCHERS and time.monotonic() < began + 5 * seconds:
            crowd.run(0.25)
            most = max(most, server.memory()[0])
        share = (server.cpu() - cpu) / (time.monotonic() - began)
        crowd.close()
    return (name, f"{crowd.ended:,}", f"{crowd.bytes / WATCHERS / (first + size):.2f}",
            f"{crowd.reads / WATCHERS:.0f}", f"{share:.0%}", f"{most - idle:.0f}")

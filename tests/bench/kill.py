"""Kill a server again and again while clients watch: each sees each end, nothing runs twice.

``python3 -m tests.bench kill [--rounds 30]``
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .soak import ROOT

ROUNDS = 30
WATCHERS = 6  # jobs that are watched in each round
FINAL = ("completed", "failed", "cancelled", "interrupted")
MODULE = '''
def work(callback, log: str, name: str, steps: int = 20):
    with open(log, "a") as file:
        file.write(name + "\\n")
    for step in range(steps):
        callback(step, step, steps)
        callback.wait(0.01)
    return name
'''


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Watcher(threading.Thread):
    """An event source: it reconnects with the last id that it saw, until it has seen an end."""

    def __init__(self, port, id, until):
        super().__init__(daemon=True)
        self._port, self._id, self._until = port, id, until
        self.seen, self.versions, self.state, self.problem = -1, [], None, None

    def run(self):
        while self.state not in FINAL and not self.problem and time.monotonic() < self._until:
            with contextlib.suppress(OSError, ValueError, IndexError):
                self._follow()
            time.sleep(0.02)

    def _follow(self):
        with socket.create_connection(("127.0.0.1", self._port), 5) as client:
            client.sendall((f"GET /v1/jobs/{self._id}/events HTTP/1.1\r\nHost: localhost\r\n"
                            f"Last-Event-ID: {self.seen}\r\n\r\n").encode())
            file = client.makefile("rb")
            status = int(file.readline().split()[1])
            if status != 200:
                self.problem = f"{status} after version {self.seen}, {self.state}"
            for line in file:
                self._take(line)

    def _take(self, line):
        if line.startswith(b"id: "):
            self.seen = int(line[4:])
            self.versions.append(self.seen)
        elif line.startswith(b"data: "):
            self.state = json.loads(line[6:])["state"]


def ask(port, method, path, body=b"", **headers):
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
        client.sendall(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: "
                       f"{len(body)}\r\n{lines}\r\n".encode() + body)
        answer = client.makefile("rb").read()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def serve(folder, port, requeue):
    arguments = ["killed.py", "--port", str(port), "--history", "jobs.sqlite3", "--limit", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "longop.serve", *arguments, *(["--requeue"] if requeue else [])],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    process.stdout.readline()
    return process


def start(folder, port, name):
    body = {"log": str(Path(folder, "log")), "name": name, "steps": random.randrange(5, 60)}
    return ask(port, "POST", "/v1/killed/work", json.dumps(body).encode(),
               Prefer="respond-async", Content_Type="application/json")["id"]


def one_round(folder, number, port):
    """Start jobs, watch them, kill the server at a random moment, start it again."""
    requeue = number % 2 == 1
    process = serve(folder, port, requeue)
    until = time.monotonic() + 60
    watchers = []
    for job in range(WATCHERS):
        watchers.append(Watcher(port, start(folder, port, f"{number}.{job}"), until))
        watchers[-1].start()
    time.sleep(random.uniform(0, 0.8))
    process.kill()
    process.wait()
    process.stdout.close()
    process = serve(folder, port, requeue)
    for watcher in watchers:
        watcher.join(70)
    states = {watcher: ask(port, "GET", f"/v1/jobs/{watcher._id}").get("state")
              for watcher in watchers}
    process.send_signal(signal.SIGTERM)
    process.wait()
    process.stdout.close()
    return watchers, states


def bench_kill():
    """Print how many watchers saw the end of their job, and what was lost or run twice."""
    seen = backwards = wrong = 0
    ends = {}
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "killed.py").write_text(MODULE)
        for number in range(ROUNDS):
            watchers, states = one_round(folder, number, free_port())
            for watcher, state in states.items():
                ends[state] = ends.get(state, 0) + 1
                seen += watcher.state in FINAL
                wrong += watcher.state != state
                backwards += watcher.versions != sorted({*watcher.versions})
            problems += [watcher.problem for watcher in watchers if watcher.problem]
        log = Path(folder, "log").read_text().split()
    print(f"kill -9, {ROUNDS} rounds: {ROUNDS * WATCHERS} jobs, each watched by a stream that "
          f"reconnects\n  saw the end: {seen}; saw another end than is kept: {wrong}; "
          f"versions that repeat: {backwards}\n  refused: {problems}\n  ends: {ends}\n"
          f"  ran: {len({*log})}; ran twice: {len(log) - len({*log})}\n")

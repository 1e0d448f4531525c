"""Ten minutes of mixed load on one server: nothing is lost, and nothing grows.

``python3 -m tests.bench.soak [--minutes 10] [--seed 1]``
"""

import argparse
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FINAL = "completed", "failed", "cancelled"
MODULE = '''
def work(callback, steps: int = 20, size: int = 10, fails: bool = False, data: bytes = b""):
    for step in range(steps):
        callback("x" * size, step, steps)
        callback.wait(0.01)
    if fails:
        raise ValueError("as asked")
    return len(data)
'''


def request(method, path, body=b"", **headers):
    headers = {"Host": "localhost", "Content-Length": len(body), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Load:
    """What the clients of one thread do; ``started`` are the jobs, ``ended`` how they ended."""

    def __init__(self, port, seed):
        self._address, self._chance = ("127.0.0.1", port), random.Random(seed)
        self.started, self.ended, self.counts = [], {}, {}

    def run(self, until):
        kinds = [self.follow] * 3 + [self.poll, self.cancel, self.upload, self.leave, self.reset,
                                     self.garbage, self.dawdle]
        while time.monotonic() < until:
            kind = self._chance.choice(kinds)
            kind()
            self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    @contextlib.contextmanager
    def _connected(self):
        with socket.create_connection(self._address, 30) as client:
            yield client, client.makefile("rb")

    def _ask(self, client, file, data):
        client.sendall(data)
        status = int(file.readline().split()[1])
        length = 0
        for line in iter(file.readline, b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = file.read(length)
        return status, json.loads(body) if body else None

    def _start(self, client, file, **parameters):
        status, job = self._ask(client, file, request(
            "POST", "/v1/soaked/work", json.dumps(parameters).encode(), Prefer="respond-async",
            Content_Type="application/json"))
        if status == 429:  # so it is told
            time.sleep(0.1)
            return None
        assert status == 202, (status, job)
        self.started.append(job["id"])
        return job["id"]

    def follow(self):
        """Start a job and watch its events to the end."""
        with self._connected() as (client, file):
            id = self._start(client, file, fails=self._chance.random() < 0.2)
            client.sendall(request("GET", f"/v1/jobs/{id}/events"))
            for line in file:
                if line.startswith(b"data: "):
                    status = json.loads(line[6:])
                    if status["state"] in FINAL:
                        self.ended[id] = status["state"]
            assert id is None or id in self.ended

    def poll(self):
        """Start a job and poll it to the end, at once or as it changes."""
        with self._connected() as (client, file):
            id = self._start(client, file)
            version, state = 0, ""
            while id and state not in FINAL:
                query = self._chance.choice(["", f"?since={version}&wait=5"])
                _, status = self._ask(client, file, request("GET", f"/v1/jobs/{id}{query}"))
                state, version = status["state"], status["version"]
            if id:
                self.ended[id] = state

    def cancel(self):
        """Start a job, cancel it, and wait for its end."""
        with self._connected() as (client, file):
            id = self._start(client, file, steps=10_000)
            if id:
                self._ask(client, file, request("POST", f"/v1/jobs/{id}/cancel"))
                state, version = "", 0
                while state not in FINAL:
                    _, status = self._ask(client, file, request(
                        "GET", f"/v1/jobs/{id}?since={version}&wait=5"))
                    state, version = status["state"], status["version"]
                assert state == "cancelled", state
                self.ended[id] = state

    def upload(self):
        """Send a file in small pieces."""
        content = os.urandom(self._chance.randrange(200_000))
        body = (b'--B\r\nContent-Disposition: form-data; name="data"; filename="f"\r\n\r\n'
                + content + b"\r\n--B--\r\n")
        data = request("POST", "/v1/soaked/work?steps=1", body, Prefer="wait=20",
                       Content_Type="multipart/form-data; boundary=B")
        with self._connected() as (client, file):
            for begin in range(0, len(data) - 10_000, 10_000):
                client.sendall(data[begin:begin + 10_000])
            rest = max(0, (len(data) - 10_001) // 10_000 * 10_000) + 10_000
            status, job = self._ask(client, file, data[rest:] if len(data) > 10_000 else data)
            if status != 429:
                assert job["result"] == len(content), job
                self.started.append(job["id"])
                self.ended[job["id"]] = job["state"]

    def leave(self):
        """Watch a job, and go away."""
        with self._connected() as (client, file):
            id = self._start(client, file, size=5_000)
            client.sendall(request("GET", f"/v1/jobs/{id}/events"))
            file.readline()

    def reset(self):
        """Break off anywhere."""
        data = request("POST", "/v1/soaked/work", b"{}", Content_Type="application/json",
                       Host="nobody.example")
        with self._connected() as (client, _):
            client.sendall(data[:self._chance.randrange(len(data))])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def garbage(self):
        """Send what is no request."""
        with self._connected() as (client, file), contextlib.suppress(OSError):
            client.sendall(os.urandom(self._chance.randrange(1, 500)) + b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            file.read()

    def dawdle(self):
        """Ask for much, and take little of it."""
        with self._connected() as (client, file):
            id = self._start(client, file, size=2_000_000)
            client.sendall(request("GET", f"/v1/jobs/{id}/events"))
            client.recv(1000)
            time.sleep(0.2)


def measure(pid):
    """Say how much memory a process has, how many threads, and how many descriptors."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return (f"{int(found['VmRSS'].split()[0]) / 1024:.1f} MiB, {int(found['Threads'])} threads, "
            f"{len(os.listdir(f'/proc/{pid}/fd'))} descriptors")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = ROOT / ".soak"
    folder.mkdir(exist_ok=True)
    (folder / "soaked.py").write_text(MODULE)
    target = str(folder / "soaked.py")
    with subprocess.Popen([sys.executable, "-m", "longop.serve", target, "--port", "0", "--quiet",
                           "--limit", "20"], cwd=str(ROOT), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as server:
        port = int(server.stdout.readline().rpartition(":")[2][:-2])
        until = time.monotonic() + 60 * options.minutes
        loads = [Load(port, options.seed * 100 + number) for number in range(8)]
        threads = [threading.Thread(target=load.run, args=(until,)) for load in loads]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            time.sleep(max(1.0, 6 * options.minutes))
            print(measure(server.pid), flush=True)
        for thread in threads:
            thread.join()
        time.sleep(15)  # in which the jobs that nobody followed end
        print("at the end", measure(server.pid))
        counts = {name: sum(load.counts.get(name, 0) for load in loads) for name in loads[0].counts}
        started, ended = (sum(len(getattr(load, name)) for load in loads)
                          for name in ("started", "ended"))
        print(counts, f"{started} jobs started, {ended} followed to their ends")
        with loads[0]._connected() as (client, file):
            _, value = loads[0]._ask(client, file, request("GET", "/v1/jobs"))
            alive = [job["state"] for job in value["jobs"] if job["state"] not in FINAL]
            print(f"{len(value['jobs'])} jobs are remembered, {len(alive)} are alive")
            unknown = sum(loads[0]._ask(client, file, request("GET", f"/v1/jobs/{id}"))[0] == 404
                          for load in loads for id in load.started)
            print(f"{unknown} jobs are unknown")  # forgotten ones are 410
        server.terminate()
        print("exit code", server.wait(20))


if __name__ == "__main__":
    main()

"""A module of CodeProject.AI Server: an adapter on longop beside the same one on its real SDK."""

import json
import re
import subprocess
import sys
import time
import venv
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ..codeproject.queue_server import QueueServer, module
from ..waiting import wait_until
from . import servers
from .load import percentiles

POLLS = 1000  # in each round
SDK = "codeproject_ai_sdk"
ADAPTER = """
import threading

from codeproject_ai_sdk import ModuleRunner

class Adapter(ModuleRunner):
    def process(self, data):
        return self.hold

    def hold(self, data):
        threading.Event().wait()

    def command_status(self):
        return {"success": True, "result": "1 2 3 4 5 6 7 8 9"}

Adapter().start_loop()
"""


def environment():
    """Return the Python that has the SDK and nothing else, after installing it; or None."""
    folder = servers.ROOT / ".venv-bench" / "{}.{}-sdk".format(*sys.version_info)
    python = str(folder / "bin" / "python")
    check = [python, "-c", f"import {SDK}"]
    if not Path(python).exists():
        print(f"making {folder.relative_to(servers.ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--retries=1", "codeproject-ai-sdk"])
    if subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print(f"without {SDK}, which cannot be installed here\n", flush=True)
        return None
    return python


def measure(python, sdk):
    """Return the seconds to the first poll, the MiB of RSS, and two percentiles of a status.

    The module is on the first core, its server, a stand-in, and its client on the last.
    """
    with TemporaryDirectory() as name, servers.on_core(-1), QueueServer() as server:
        folder = Path(name)
        (folder / "adapter.py").write_text(ADAPTER.replace(SDK, sdk))
        start = time.monotonic()
        with ExitStack() as stack:
            with servers.on_core(0):
                process = stack.enter_context(module(
                    server, python, "adapter.py", folder=folder, PYTHONDONTWRITEBYTECODE=""))
            wait_until(lambda: server.polls, 60)
            server.request("get_command_status")
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            with servers.on_core(-1):
                took = poll(server)
        return (server.polls[0] - start, int(re.search(r"\nRss: *(\d+)", rollup)[1]) / 1024,
                *percentiles(took))


def poll(server):
    """Return the seconds that each of many statuses of one command takes."""
    id, took = server.request("run")["commandId"], []
    for _ in range(POLLS):
        start = time.perf_counter()
        status = server.request("get_command_status", [("commandId", [id])])
        took.append(time.perf_counter() - start)
        assert status["commandStatus"] == "running"
    return took


def bench_module():
    """Start, memory, and a status through the server's queue, and what has to be installed."""
    python = environment()
    if python is None:
        return
    measure(sys.executable, "longop.codeproject")  # so that files are read and compiled
    measure(python, SDK)
    rounds = [(measure(sys.executable, "longop.codeproject"), measure(python, SDK))
              for _ in range(servers.ROUNDS)]
    for number, (label, unit, scale, wanted) in enumerate((
            ("from its start to its first poll", "ms", 1000, "at most 0.1"),
            ("idle RSS", "MiB", 1, "at most 0.5"),
            ("a status through the queue, median", "ms", 1000, "at most 0.6"),
            ("a status through the queue, 99th percentile", "ms", 1000, "at most 1"))):
        mine, its = ([one[side][number] for one in rounds] for side in (0, 1))
        print(f"{'module: ' + label:58} {servers.ratio(mine, its):>6} x   "
              f"({median(mine) * scale:.4g} to {median(its) * scale:.4g} {unit}; "
              f"wanted: {wanted})", flush=True)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True,
                            stdout=subprocess.PIPE).stdout
    packages = {one["name"] for one in json.loads(listed)} - {"pip", "setuptools"}
    print(f"{'module: packages to install':58} 0 to {len(packages)}\n", flush=True)

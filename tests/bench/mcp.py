"""Tools for agents: longop's server beside FastMCP's, over stdio and over HTTP."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import venv
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from . import load, servers

SECONDS = 2  # of calls, in each round
OURS = '''
def nothing(callback):
    """Do nothing."""
    return "nothing"
'''
THEIRS = '''
import sys
from fastmcp import FastMCP

server = FastMCP("bench")

@server.tool
def nothing() -> str:
    """Do nothing."""
    return "nothing"

if len(sys.argv) > 1:
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False,
               log_level="ERROR")
else:
    server.run(show_banner=False, log_level="ERROR")
'''
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"}}}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
    "name": "nothing", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}}
BODY = json.dumps(CALL)
REQUEST = ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
           "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
           "Mcp-Method: tools/call\r\nMcp-Name: nothing\r\n"
           f"Content-Length: {len(BODY)}\r\n\r\n{BODY}").encode()


def environment():
    """Return the Python that has FastMCP, after installing it; or None."""
    given = os.environ.get("LONGOP_MCP_FASTMCP")
    if given:
        return given
    folder = servers.ROOT / ".venv-bench" / "{}.{}-fastmcp".format(*sys.version_info)
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        print(f"making {folder.relative_to(servers.ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--retries=1", "fastmcp"])
    if subprocess.run([python, "-c", "import fastmcp"], stderr=subprocess.DEVNULL).returncode:
        print("without FastMCP, which cannot be installed here\n", flush=True)
        return None
    return python


@contextmanager
def running(command, folder):
    """Run a server on the first core."""
    with servers.on_core(0):
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(servers.ROOT)})
    with process:
        yield process
        process.kill()


def start_and_memory(command, folder):
    """Return the seconds until the first answer over stdio, and the MiB of memory then."""
    began = time.perf_counter()
    with running(command, folder) as process:
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        assert b"result" in process.stdout.readline()
        seconds = time.perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        return seconds, int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def calls_a_second(command, folder, port):
    """Return how many calls of a function that does nothing are answered over HTTP.

    One is for one client, the other for sixteen at once.
    """
    with running(command, folder), servers.on_core(-1):
        wait_for(port)
        return [load.polls(port, "/mcp", clients, servers.SECONDS or SECONDS, REQUEST)[0]
                for clients in (1, 16)]


def wait_for(port):
    """Wait until a server listens."""
    until = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.01)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def bench_mcp():
    """Print start, memory and calls a second, as medians of interleaved rounds."""
    theirs = environment()
    if theirs is None:
        return
    ours = sys.executable
    found = {"longop": [], "FastMCP": []}
    with TemporaryDirectory() as folder:
        (Path(folder) / "ours.py").write_text(OURS)
        (Path(folder) / "theirs.py").write_text(THEIRS)
        for _ in range(servers.ROUNDS):
            port = str(free_port())
            for name, stdio, served in (
                    ("longop", [ours, "-m", "longop.mcp", "ours.py"],
                     [ours, "-m", "longop.serve", "ours.py", "--quiet", "--port", port]),
                    ("FastMCP", [theirs, "theirs.py"], [theirs, "theirs.py", port])):
                found[name].append((*start_and_memory(stdio, folder),
                                    *calls_a_second(served, folder, int(port))))
    print("| tools for agents | start over stdio | memory then | calls a second over HTTP, of one "
          "client | of 16 |")
    print("|---|---|---|---|---|")
    for name, rounds in found.items():
        seconds, memory, one, many = map(median, zip(*rounds))
        print(f"| {name} | {1000 * seconds:.0f} ms | {memory:.0f} MiB | {one:,.0f} | {many:,.0f} |")
    print()

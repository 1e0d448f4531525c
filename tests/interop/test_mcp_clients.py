"""Independent clients of the Model Context Protocol: two generations of its SDK, and FastMCP.

Each has its own Python, because they exclude each other: ``LONGOP_MCP_SDK1`` and so on name it.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CLIENT = str(Path(__file__).parent / "mcp_client.py")
TARGET = "tests.interop.mcp_work"
KINDS = ["sdk1", "sdk2", "fastmcp"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# The process of a client gets an environment from it that has no PYTHONPATH.
STDIO = ("import os, sys; sys.path.insert(0, {root!r}); os.environ['PYTHONPATH'] = {root!r}; "
         "from longop.mcp.__main__ import main; sys.exit(main({arguments!r}))")


def needs(variable):
    """Return what an environment variable names; skip the test, or fail, without it."""
    found = os.environ.get(variable)
    if not found:
        assert os.environ.get("LONGOP_INTEROP") != "1", f"set {variable}"
        pytest.skip(f"set {variable}")
    return found


@contextlib.contextmanager
def http(folder, *options, target=TARGET):
    """Yield the URL of a server."""
    server = subprocess.Popen(
        [sys.executable, "-m", "longop.serve", target, "--port", "0", "--quiet", *options],
        cwd=str(folder), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    with server:
        try:
            address = re.search("http://[^ ]+", server.stdout.readline())[0]
            yield address.strip() + "mcp"
        finally:
            server.terminate()


@contextlib.contextmanager
def stdio(folder, *options):
    """Yield the command of a server, as JSON."""
    yield json.dumps([sys.executable, "-c",
                      STDIO.format(root=str(ROOT), arguments=[TARGET, *options])])


def seen_by(kind, where, part, folder, *more):
    """Return what a client sees."""
    python = needs(f"LONGOP_MCP_{kind.upper()}")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, CLIENT, kind, where, part, *more], cwd=str(folder), timeout=90,
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(params=[stdio, http], ids=["stdio", "http"])
def door(request):
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_calls(kind, door, tmp_path):
    """Each client lists the tools, calls them, and sees progress, data and errors."""
    with door(tmp_path) as where:
        seen = seen_by(kind, where, "calls", tmp_path)
    assert seen["tools"] == ["quick", "steps", "fails", "ticks", "slow"]
    assert seen["quick"] == ['{"n":5}', {"n": 5}, False]
    assert seen["steps"][::2] == ["all steps", False]
    assert seen["progress"] == [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]]
    assert seen["fails"] == ["ValueError: no luck", None, True]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel(kind, door, tmp_path):
    """The side effect ceases when a client cancels, and the client may go on."""
    with door(tmp_path) as where:
        seen = seen_by(kind, where, "cancel", tmp_path)
    assert seen == {"ceased": True, "quick": ['{"n":6}', {"n": 6}, False]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_of_the_client(kind, door, tmp_path):
    """The side effect ceases when a client waits no longer; mcp 1 does not tell the server."""
    with door(tmp_path) as where:
        seen = seen_by(kind, where, "timeout", tmp_path)
    assert seen["error"] in ("McpError", "MCPError", "ToolError")
    assert seen["ceased"] == (kind != "sdk1")


@pytest.mark.slow
def test_a_timeout_of_the_server(tmp_path, door):
    """For a client that does not tell, `--timeout` ends the code."""
    with door(tmp_path, "--timeout", "1") as where:
        assert seen_by("sdk1", where, "timeout", tmp_path)["ceased"]


@pytest.mark.slow
def test_tasks(door, tmp_path):
    """A client with tasks gets a result and cancels; a result is there after a restart."""
    options = ["--history", str(tmp_path / "jobs.sqlite3")]
    with door(tmp_path, *options) as where:
        seen = seen_by("fastmcp", where, "tasks", tmp_path)
    assert seen["result"] == "after 1.2 seconds"
    assert (seen["cancelled"], seen["ceased"]) == ("cancelled", True)
    with door(tmp_path, *options) as where:
        again = seen_by("fastmcp", where, "got", tmp_path, seen["id"])
    assert again == {"status": "completed", "text": "after 1.1 seconds"}


# The official inspector's command line


def inspect(*arguments):
    """Run it; return its JSON."""
    command = [needs("LONGOP_NODE"), needs("LONGOP_MCP_INSPECTOR"), "--cli", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=90, env=ENVIRONMENT, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_inspector(door, tmp_path):
    """The inspector lists the tools and calls one."""
    with door(tmp_path) as where:
        server = json.loads(where) if door is stdio else [where, "--transport", "http"]
        listed = inspect(*server, "--method", "tools/list")
        called = inspect(*server, "--method", "tools/call", "--tool-name", "quick",
                         "--tool-arg", "n=5")
    assert listed["tools"][0]["name"] == "quick"
    assert called["structuredContent"] == {"n": 5}

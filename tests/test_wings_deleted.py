"""Each wing can be deleted, and the rest works on: tried in a copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What is deleted together: a command cannot do without what it is made of.
DELETED = {
    "workers": ["workers"],
    "serve": ["serve"],
    "cli": ["cli", "run", "serve", "codeproject", "mcp", "__main__.py"],
    "codeproject": ["codeproject"],
    "mcp": ["mcp"],
    "client": ["client.py"],
    "archive": ["archive"],
    "all": ["workers", "serve", "cli", "run", "codeproject", "mcp", "archive",
            "client.py", "__main__.py"],
}

# The user's card: the handler starts, shows and cancels.
CARD = """
import json, threading, urllib.request
from http.server import ThreadingHTTPServer
import longop

def count(callback):
    for number in range(1000):
        callback(str(number), number)
        callback.wait(0.01)

operation = longop.LongOperation(count)
server = ThreadingHTTPServer(("127.0.0.1", 0), longop.handler(operation))
threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
address = "http://127.0.0.1:%d" % server.server_port

def ask(path, data=None):
    with urllib.request.urlopen(address + path, data, timeout=20) as answer:
        return json.load(answer)

[described] = ask("/v1")["operations"]
started = ask(described["start"], b"")
job = "/v1/jobs/" + (started.get("commandId") or started["id"])
version = ask(job)["version"]
assert ask(job + "?since=%d&wait=10" % version)["state"] == "running"
assert ask(job + "/cancel", b"")["state"] == "cancelling"
with urllib.request.urlopen(address + job + "/events", timeout=20) as events:
    assert b'"state":"cancelled"' in events.read()
with urllib.request.urlopen(address + "/", timeout=20) as page:
    assert b"<title>longop</title>" in page.read()
assert job in {"/v1/jobs/" + one["id"] for one in ask("/v1/jobs")["jobs"]}
server.shutdown()
server.server_close()
print("really cancelled")
"""


@pytest.fixture(params=sorted(DELETED))
def copy(request, tmp_path):
    """A copy of longop without a wing."""
    shutil.copytree(str(ROOT / "longop"), str(tmp_path / "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in DELETED[request.param]:
        path = tmp_path / "longop" / name
        if path.is_dir():
            shutil.rmtree(str(path))
        else:
            path.unlink()
    return tmp_path


def run(copy, *arguments):
    """Run Python in a copy, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *arguments], cwd=str(copy), env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_card(copy):
    """Without a wing a handler starts, shows and cancels all the same."""
    assert run(copy, "-W", "error", "-c", CARD) == "really cancelled\n"


def test_what_is_left_can_be_imported(copy):
    """Each module that is left can be imported."""
    names = [".".join(path.relative_to(copy).with_suffix("").parts).replace(".__init__", "")
             for path in sorted((copy / "longop").rglob("*.py"))]
    run(copy, "-c", "import " + ", ".join(names))


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LONGOP_INTEROP"),
                    reason="runs the tests of core and web once for each wing: set LONGOP_INTEROP")
def test_the_tests_of_core_and_web(copy):
    """Without a wing the tests of the core and of `web` pass."""
    tests = copy / "tests"
    for folder in ("web", "values", "functions"):
        shutil.copytree(str(ROOT / "tests" / folder), str(tests / folder))
    shutil.copytree(str(ROOT / "docs"), str(copy / "docs"))  # whose tables are tests
    shutil.copy(str(ROOT / "README.md"), str(copy))
    for name in [*SHARED, *CORE_TESTS]:
        shutil.copy(str(ROOT / "tests" / name), str(tests / name))
    shutil.copy(str(ROOT / "setup.cfg"), str(copy))
    run(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests")


SHARED = [path.name for path in (ROOT / "tests").glob("*.py") if path.name[:5] != "test_"]
CORE_TESTS = [path.name for path in sorted((ROOT / "tests").glob("test_*.py"))
              if (ROOT / "longop" / path.name.replace("test_", "", 1)).exists()
              and path.stem not in ("test_client", "test_main")]

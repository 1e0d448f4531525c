"""`longop.progress` in a real notebook: what ``jupyter nbconvert --execute`` saves of it."""

import json
import os
import re
import subprocess
import sys

import pytest

from ..cli.screen import ROOT
from ..waiting import WAIT
from .peers import needs

pytest.importorskip("longop.cli")
pytestmark = needs("nbconvert", "ipykernel", python=(3, 10))

SETUP = """
import asyncio, os, signal, sys, threading, time, longop
from longop.functions import printed

def wait_until_shown():
    while not printed.is_captured():
        time.sleep(0.001)

def is_followed():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame and frame.f_code.co_name != "_show_until_end":
        frame = frame.f_back
    return frame is not None

def steps(callback, n: int = 3, error: str = ""):
    wait_until_shown()
    for step in range(1, n + 1):
        print("printed", step)
        callback(f"text {step}", step, n, f"step {step}")
    print("warned", file=sys.stderr)
    if error:
        raise ValueError(error)
    return "the end"

may_stop = threading.Event()

def waits(callback):
    callback("text", 1, 3)
    wait_until_shown()
    may_stop.set()
    callback.wait(60)

async def later(callback, n: int = 3):
    for step in range(1, n + 1):
        await asyncio.sleep(0)
        callback(step, step, n)
    return "the end"
"""
SHOWN = """
print("before")
status = longop.progress(longop.LongOperation(steps).start())
print("after")
"""
FAILED = """
longop.progress(longop.LongOperation(steps).start(error="no good " * 20)).state.value
"""
CANCELLED = """
job = longop.LongOperation(waits).start()

def cancel():
    may_stop.wait()
    job.cancel()

threading.Thread(target=cancel).start()
longop.progress(job).state.value
"""
INTERRUPTED = """
may_stop.clear()

def interrupt():
    may_stop.wait()
    while not is_followed():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
longop.progress(longop.LongOperation(waits).start()).state.value
"""
SEVERAL = """
operation = longop.LongOperation(steps, limit=2)
[status.result for status in longop.progress(operation.start(), operation.start(n=2))]
"""
AWAITED = """
job = longop.LongOperation(later).start()
states = {status.state.value async for status in job.updates()}
await asyncio.wrap_future(job), sorted(states - {"queued", "running"})
"""
MANY = """
longop.progress(longop.LongOperation(steps).start(n=2000)).state.value
"""
CELLS = [SETUP, SHOWN, FAILED, CANCELLED, INTERRUPTED, SEVERAL, AWAITED, MANY]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The saved outputs of each cell, executed once for all tests."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [{"cell_type": "code", "id": f"c{number}", "metadata": {}, "outputs": [],
              "execution_count": None, "source": source} for number, source in enumerate(CELLS)]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "given.ipynb").write_text(json.dumps(notebook))
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute",
         "--output", "executed.ipynb", "given.ipynb"],
        cwd=str(folder), timeout=6 * WAIT, stdin=subprocess.DEVNULL, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder),
             "JUPYTER_CONFIG_DIR": str(folder)})
    assert done.returncode == 0, done.stderr.decode()
    executed = json.loads((folder / "executed.ipynb").read_text())
    return {cell["source"]: cell["outputs"] for cell in map(joined, executed["cells"])}


def joined(cell):
    return {**cell, "source": "".join(cell["source"])}


def text_of(output):
    return "".join(output["text"] if "text" in output else output["data"]["text/plain"])


def kinds(outputs):
    return [output["output_type"] for output in outputs]


def test_one_piece_with_the_last_state(outputs):
    """What is saved is the last state, with the prints above it, between what the cell prints."""
    before, shown, after = outputs[SHOWN]
    assert kinds(outputs[SHOWN]) == ["stream", "display_data", "stream"]
    assert (text_of(before), text_of(after)) == ("before\n", "after\n")
    *prints, last = text_of(shown).splitlines()
    assert prints == ["printed 1", "printed 2", "printed 3", "warned"]
    assert re.fullmatch("completed 100% █{30} 3/3 0:0[0-9] step 3", last)


def test_a_failed_job(outputs):
    """A long error is wrapped below the last line, and nothing of the job runs on above it."""
    shown, state = outputs[FAILED]
    assert text_of(state) == "'failed'"
    lines = text_of(shown).splitlines()
    [place] = [place for place, line in enumerate(lines) if line.startswith("failed 100% ")]
    error = lines[place + 1:]
    assert " ".join(error).split() == ["ValueError:", *["no", "good"] * 20]
    assert max(map(len, error)) <= 80
    assert not any(line.startswith("running") for line in lines)


@pytest.mark.parametrize("cell", [CANCELLED, INTERRUPTED])
def test_a_cancelled_job(outputs, cell):
    """A job that is cancelled says so, also if the kernel is interrupted."""
    shown, state = outputs[cell]
    assert text_of(state) == "'cancelled'"
    assert re.fullmatch("cancelled  33% █+░+ 1/3 0:0[0-9]", text_of(shown))


def test_several_jobs(outputs):
    """Several jobs are one piece, too."""
    shown, results = outputs[SEVERAL]
    assert text_of(results) == "['the end', 'the end']"
    ends = [line[:18] for line in text_of(shown).splitlines() if line.startswith("steps")]
    assert sorted(ends) == ["steps #1 completed", "steps #2 completed"]


def test_await(outputs):
    """In the notebook's own loop a job can be awaited, and its updates."""
    [value] = outputs[AWAITED]
    assert text_of(value) == "('the end', ['completed'])"


def test_many_prints(outputs):
    """Many prints are a few pieces, all of them whole and in their order."""
    *shown, state = outputs[MANY]
    assert kinds(shown) == ["display_data"] * len(shown)
    assert len(shown) < 10
    lines = [line for one in shown for line in text_of(one).splitlines()]
    assert lines[:2000] == [f"printed {step}" for step in range(1, 2001)]
    assert lines[2000] == "warned"
    assert lines[2001].startswith("completed 100%")
    assert text_of(state) == "'completed'"

"""Adapters in the shapes of the public ones, with their import line changed and nothing else."""

import contextlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from longop.codeproject.settings import read

from ..pythons import counts_references
from ..waiting import WAIT, wait_until
from ..windows import HOME
from .shapes import SHAPES, write
from .talks import Queued, Served, ended, talk

# Its run ends when a generator that it drops is closed.
CHAT = pytest.param("chat", marks=counts_references)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", SHAPES)
def test_the_settings(name, tmp_path, monkeypatch):
    """Settings as the public modules have them are read, comments and all."""
    monkeypatch.setenv(HOME, str(tmp_path))
    write(name, tmp_path, "longop.codeproject")
    settings = read(str(tmp_path))
    assert settings.version == "1.2.0"
    assert settings.routes
    assert settings.environment["CPAI_MODULE_PARALLELISM"] == "1"


@pytest.mark.parametrize("name", [CHAT if name == "chat" else name for name in SHAPES])
def test_the_same_under_serve_and_from_the_queue(name, tmp_path, steps):
    """An adapter gets the same requests, and its clients the same answers, from both."""
    assert talk(Served, name, tmp_path, steps) == talk(Queued, name, tmp_path, steps)


@pytest.mark.parametrize("name", [CHAT, "training"])
@pytest.mark.parametrize("kind", [Served, Queued])
def test_a_cancel_really_stops_it(kind, name, tmp_path, steps):
    """What takes long ends when it is told to, and the next one may start."""
    command, values = {"chat": ("prompt", [("prompt", "a")]),
                       "training": ("train-model", [("model_name", "m")])}[name]
    with contextlib.ExitStack() as stack:
        side = kind(stack, name, tmp_path, steps)
        for _ in range(2):
            id = side.ask(command, values)["commandId"]
            run = steps.begun()
            run.step()
            assert side.about("cancel_command", id)["success"] is True
            if name == "chat":  # it looks at its own flag with each word
                run.step()
            wait_until(partial(ended, side, id))
            if kind is Served:
                assert side.job(id)["state"] == "cancelled"


@pytest.fixture
def serve(tmp_path, steps):
    """Return a function that serves a shape and starts what takes long, up to its first step."""
    with contextlib.ExitStack() as stack:
        def serve(name, command, *values):
            side = Served(stack, name, tmp_path, steps)
            return side, side.ask(command, values)["commandId"], steps.begun()

        yield serve


def test_a_chat_grows_at_every_door(serve):
    """The reply of a chat is a partial result that is text, so that it is shown as it grows."""
    side, id, run = serve("chat", "prompt", ("prompt", "a"))
    run.step()
    assert side.about("get_command_status", id)["reply"] == "a "
    wait_until(lambda: side.job(id)["result"] == "a ")
    run.step(b"!")
    wait_until(partial(ended, side, id))
    assert side.job(id)["result"]["reply"] == "a "


@counts_references
def test_a_chat_that_ends_itself(serve):
    """A chat that ends itself after a cancel is completed there, and cancelled here."""
    side, id, run = serve("chat", "prompt", ("prompt", "a"))
    run.step()
    side.about("cancel_command", id)
    run.step()
    end = wait_until(partial(ended, side, id))
    assert (end["success"], end["commandStatus"], end["stop_reason"], end["reply"]) == (
        True, "completed", "cancelled", "a ")
    job = side.job(id)
    assert (job["state"], job["stop_reason"]) == ("cancelled", "cancelled")


@counts_references
def test_steps_and_pictures_at_every_door(serve):
    """A diffusion's steps make the bar, and its previews are the result; a cancel stops it."""
    side, id, run = serve("pictures", "create", ("num_steps", "4"))
    run.step()
    run.step()
    wait_until(lambda: side.job(id)["step"] == 2)
    job = side.job(id)
    assert (job["total"], job["progress"], job["message"]) == (4, 0.5, "Step 2/4")
    assert len(job["result"]["images"]) == 1
    side.about("cancel_command", id)
    while not run.has_ended:
        run.step()
    end = wait_until(partial(ended, side, id))
    assert (end["success"], end["commandStatus"], end["stop_reason"]) == (
        False, "cancelled", "cancelled")
    assert end["images"] == job["result"]["images"]
    assert run.done == 3  # of 4: it was stopped at its next report


def test_a_status_file_at_every_door(serve):
    """What only a file says, which another process writes, makes the bar and the result."""
    side, id, run = serve("training", "train-model", ("model_name", "m"), ("num_epochs", "4"))
    run.step()
    wait_until(lambda: side.job(id)["step"] == 25)
    job = side.job(id)
    assert (job["total"], job["progress"], job["message"]) == (100, 0.25, "on cpu")
    assert job["result"]["epoch"] == 1
    run.step(b"!")
    wait_until(partial(ended, side, id))


@pytest.mark.parametrize("name", ["detector", "seeing"])
def test_a_test_of_itself(name, tmp_path):
    """``--selftest`` runs the adapter's own test in the module's folder."""
    write(name, tmp_path, "longop.codeproject")
    script = ("import runpy, sys; sys.argv = ['adapter.py', '--selftest'];"
              "sys.path.insert(0, '.'); runpy.run_path('adapter.py', run_name='__main__')")
    variables = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], cwd=str(tmp_path), env=variables,
                          stderr=subprocess.PIPE, text=True, timeout=3 * WAIT)
    assert (done.returncode, done.stderr) == (0, "")

"""Adapters in the shapes of the public ones: the same answers from the real SDK and from us."""

import contextlib
import json
from functools import partial

import pytest

from ..codeproject.conftest import steps  # noqa: F401
from ..codeproject.shapes import SHAPES
from ..codeproject.talks import VOLATILE, Queued, ended, talk
from ..waiting import wait_until
from .peers import needs

pytestmark = needs("codeproject_ai_sdk")


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_as_the_sdk(name, tmp_path, steps):  # noqa: F811
    """The queue gets the same answers from both, in the same words and the same order."""
    ours = talk(Queued, name, tmp_path, steps)
    theirs = talk(Queued, name, tmp_path, steps, "codeproject_ai_sdk")
    assert json.loads(ours) == json.loads(theirs)


@pytest.mark.parametrize(("name", "command", "value"), [
    ("chat", "prompt", ("prompt", "a")), ("training", "train-model", ("model_name", "m"))])
def test_the_same_end_after_a_cancel(name, command, value, tmp_path, steps):  # noqa: F811
    """What ends by itself after a cancel is answered by both in the same words."""
    answers = []
    for package in "longop.codeproject", "codeproject_ai_sdk":
        folder = tmp_path / package
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            side = Queued(stack, name, folder, steps, package)
            id = side.ask(command, [value])["commandId"]
            run = steps.begun()
            run.step()
            side.about("cancel_command", id)
            if name == "chat":  # it looks at its own flag with each word
                run.step()
            end = wait_until(partial(ended, side, id))
            answers.append({key: end[key] for key in end if key not in VOLATILE})
    ours, theirs = answers
    assert (ours["success"], ours["commandStatus"]) == (True, "completed")
    assert {**theirs, "stop_reason": "cancelled"} == ours  # which not every adapter says

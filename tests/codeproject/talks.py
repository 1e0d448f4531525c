"""What clients ask of the modules in `shapes`, under ``longop.serve`` or from the queue."""

import base64
import contextlib
import json
import os
import re
import sys
from unittest import mock

from longop.codeproject.helpers import post_form
from longop.codeproject.settings import read

from ..serve.test_main import get, served
from ..waiting import WAIT, wait_until
from ..windows import HOME
from .queue_server import QueueServer, module
from .shapes import write

#: What differs from one request to the next, or is about the way that it came.
VOLATILE = {"analysisRoundTripMs", "commandId", "processedBy", "requestId", "timestampUTC"}


class Served:
    """A module under ``longop.serve``."""

    def __init__(self, stack, name, folder, steps, package="longop.codeproject"):
        place = write(name, folder, package)
        self.settings = _read(folder)
        self.steps = steps
        _, line, self.url = stack.enter_context(served(
            str(folder / place), STEPS=str(steps.port), **{HOME: str(folder / "home")}))
        assert line

    def ask(self, command, values=(), files=(), segments=()):
        """Send a form, as a client of that server does; return the answer."""
        (path,) = [one.path for one in self.settings.routes if one.command == command]
        return post_form("/".join([f"{self.url}v1/{path}", *segments]), dict(values), {
            name: (f"{name}.jpg", content, "image/jpeg") for name, content in files})

    def about(self, command, id):
        return post_form(f"{self.url}v1/{self.settings.id}/{command}", {"commandId": id}, {})

    def job(self, id):
        """Return a job as the plain routes have it."""
        return get(f"{self.url}v1/jobs/{id}")


class Queued:
    """A module that gets its work from the queue: ours, or the SDK's."""

    def __init__(self, stack, name, folder, steps, package="longop.codeproject"):
        place = write(name, folder, package)
        self.settings = _read(folder)
        self.steps = steps
        queue = self.settings.environment.get("CPAI_MODULE_QUEUENAME")
        self.server = stack.enter_context(QueueServer(self.settings.id, queue=queue))
        # As that server does it: the variables of the settings, then what all modules have.
        variables = {**self.settings.environment, "CPAI_MODULE_ID": self.settings.id,
                     "CPAI_MODULE_NAME": self.settings.name, "CPAI_MODULE_PATH": str(folder),
                     "STEPS": str(steps.port), HOME: str(folder / "home")}
        script = (f"import os, runpy, sys; sys.path.insert(0, os.path.dirname({place!r}));"
                  f"runpy.run_path({place!r}, run_name='__main__')")
        self.process = stack.enter_context(module(
            self.server, sys.executable, "-c", script, folder=folder, **variables))
        wait_until(lambda: self.server.parked or self.process.poll() is not None, 3 * WAIT)
        assert self.server.parked, (folder / "output").read_text()

    def ask(self, command, values=(), files=(), segments=()):
        return self.server.request(
            command, [(key, [value]) for key, value in values],
            [{"name": name, "filename": f"{name}.jpg", "contentType": "image/jpeg",
              "data": base64.b64encode(content).decode()}
             for name, content in files], list(segments))

    def about(self, command, id):
        return self.server.request(command, [("commandId", [id])])


def _read(folder):
    """Return the settings of a module whose user has an empty home."""
    (folder / "home").mkdir()
    with mock.patch.dict(os.environ, {HOME: str(folder / "home")}):
        return read(str(folder))


# Conversations, each of which returns the answers


def run(side, steps, command, values=(), files=()):
    """Start something long, see each of its steps, and its end."""
    answers = [side.ask(command, values, files)]
    id = answers[0]["commandId"]
    run = side.steps.begun()
    for _ in range(steps):
        if not run.step():
            break
        answers.append(side.about("get_command_status", id))
    if not run.has_ended:
        run.step(b"!")
    answers.append(wait_until(lambda: ended(side, id)))
    return answers


def ended(side, id):
    """Return the last status of something long, once it has ended."""
    answer = side.about("get_command_status", id)
    return answer["commandStatus"] not in ("running", "cancelling") and answer


def chat(side):
    values = [("prompt", "h\u00e9"), ("temperature", "0.7")]
    return run(side, 3, "prompt", values) + run(side, 2, "prompt", [*values, ("max_tokens", "2")])


def pictures(side):
    values = [("num_steps", "3"), ("seed", "null"), ("width", "512.0")]
    refused = side.ask("create", [("num_steps", "0")])["commandId"]
    return [wait_until(lambda: ended(side, refused)), *run(side, 2, "create", values),
            *run(side, 2, "create", [("num_steps", "150")])]


def training(side):
    nothing = side.ask("train-model")["commandId"]
    return [wait_until(lambda: ended(side, nothing)), side.ask("list-classes"),
            *run(side, 2, "train-model", [("model_name", "m"), ("num_epochs", "4")])]


def seeing(side):
    return run(side, 2, "prompt", [("prompt", "what?")], [("image", b"\0\xff\r\n")])


def reading(side):
    return [side.ask("ocr", files=[("image", b"two words")]), side.ask("ocr"),
            side.ask("ocr", files=[("image", b"\xff")])]


def detector(side):
    picture = [("image", b"\0\1\2")]
    return [side.ask("detect", [("min_confidence", "0.9"), ("a", "x")], picture),
            side.ask("custom", [("b", "")], picture, ["birds"]),
            side.ask("custom", [("min_confidence", "150")], picture, ["cats", "more"]),
            side.ask("custom", [("a", "x")], picture, ["dogs"]), side.ask("custom"),
            side.ask("list-custom")]


def faces(side):
    return [side.ask("list"), side.ask("register", [("userid", "\u00e9va")]), side.ask("list")]


TALKS = {"chat": chat, "pictures": pictures, "training": training, "seeing": seeing,
         "reading": reading, "detector": detector, "faces": faces}


def talk(kind, name, folder, steps, package="longop.codeproject"):
    """Return what a module answers, without what differs from one time to the next."""
    folder = folder / f"{kind.__name__}-{package}"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        answers = TALKS[name](kind(stack, name, folder, steps, package))
    text = json.dumps([_stable(answer) for answer in answers])
    return re.sub("home/[^\"]*", "home", text.replace(str(folder), "FOLDER"))


def _stable(answer):
    return {key: value for key, value in answer.items() if key not in VOLATILE}

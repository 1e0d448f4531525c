"""Our module side beside the real SDK: the same adapter, the same commands, the same replies.

``LONGOP_SEED`` says which commands.
"""

import base64
import contextlib
import json
import os
import random
import sys
import uuid

from ..codeproject.modules import ARTICLE, AT_ONCE, LONG_PROCESS, Steps, end_of
from ..codeproject.queue_server import QueueServer, module
from ..codeproject.transcripts import (CANCELLED, CANCELLING, COMPLETED, FAILED, STATUS,
                                       STILL_STOPPING, text_of, whole)
from ..waiting import WAIT, wait_until
from .peers import needs

pytestmark = needs("codeproject_ai_sdk")
SEED = int(os.environ.get("LONGOP_SEED", "1"))
PAIRS, SEQUENCES = 4, 50  # pairs of modules that are started, and sequences of commands for each
# The article's adapter, with commands that are quick; any other starts what takes long.
ADAPTER = ARTICLE.replace('''
        # This is a long process''', '''
        if data.command == "quick":
            return {"success": True, "payload": data.payload, "segments": data.segments,
                    "a": [data.get_value("a"), data.get_int("a"), data.get_float("a"),
                          data.get_bool("a"), data.get_value("a", "default"), data.get_int("a", 5),
                          data.get_float("a", 0.5), data.get_bool("a", True)],
                    "files": [len(data.get_file_bytes(i) or "") for i in range(3)]}
        if data.command == "no":
            return {"success": False, "error": "no", "inferenceMs": 5}
        if data.command == "raise":
            raise RuntimeError("boom")
        answers = {"none": None, "nosuccess": {"x": 1}, "list": [1, 2], "raw": b"xyz",
                   "bytes": {"success": True, "x": b"xyz"},
                   "nan": {"success": True, "x": float("nan")}}
        if data.command in answers:
            return answers[data.command]
        # This is a long process''')

MUTE = "nosuccess", "list", "bytes", "nan"
TEXTS = ["", "x", "7", " 7 ", "7.5", "1e3", "true", "YES", "0", 'h\xe9 \u4e16 \U0001f600 "\\/']
WRONG = {"key": [("CommandId", ["x"])], "none": [("commandId", [])], "null": None,
         "empty": [("commandId", [""])], "no": [("moduleId", ["PythonLongProcess"])]}
S, C = "get_command_status", "cancel_command"
OTHER_ID = "The command ID provided does not match the current long running command"
COMPLETED_BEFORE = {"success": False, "commandId": None, "commandStatus": "completed",
                    "error": "The command has already completed"}
FAILED_BEFORE = {**COMPLETED_BEFORE, "error": "The command has already failed"}
FAILED_HERE = {**FAILED, "error": "told to fail", "result": None}
# What we answer differently before what stands in every reply, and the defect of the SDK that is
# the reason, by the command and what it is about: how a run is in truth, and whether the SDK knows
# it. What is None is as it is for that run.
DIFFERENCES = {
    ("start", "stopping", ""): (1, STILL_STOPPING),
    # The code still runs, and is stopped in the end.
    (C, "running", "known"): (1, CANCELLING),
    (C, "cancelling", "known"): (1, CANCELLING),
    (S, "cancelling", "known"): (1, {**CANCELLING, "result": None}),
    (S, "cancelled", "known"): (1, CANCELLED),
    # What is over stays as it has ended, and its id answers as long as the module runs.
    (S, "cancelled", "lost"): (16, CANCELLED),
    (S, "completed", "lost"): (16, COMPLETED),
    (S, "failed", "known"): (16, FAILED_HERE),
    (S, "failed", "lost"): (16, FAILED_HERE),
    (C, "completed", "known"): (16, COMPLETED_BEFORE),
    (C, "completed", "lost"): (16, COMPLETED_BEFORE),
    (C, "failed", "known"): (16, FAILED_BEFORE),
    (C, "failed", "lost"): (16, FAILED_BEFORE),
    (C, "cancelled", "lost"): (16, {**CANCELLING, "message": "The command has been cancelled"}),
    (S, "none", "lost"): (16, {"success": False, "commandStatus": "unknown", "error": OTHER_ID}),
    (C, "none", "lost"): (16, {"success": False, "error": OTHER_ID}),
    # These fail there, whatever the module says.
    ("status", "", ""): (7, STATUS),
    ("get_module_status", "", ""): (7, STATUS),
    ("selftest", "", ""): (7, {"success": True}),
    # These are not answered there, or as if they had raised.
    ("raw", "", ""): (5, {"success": True, "result": "eHl6"}),
    ("nosuccess", "", ""): (5, {"success": True, "x": 1}),
    ("list", "", ""): (5, {"success": True, "result": [1, 2]}),
    ("bytes", "", ""): (5, {"success": True, "x": "eHl6"}),
    ("nan", "", ""): (5, {"success": True, "x": None}),
    ("quit", "", ""): (8, {"success": True}),
}


class Side:
    """A module that runs, the SDK's or ours, and its newest run."""

    def __init__(self, stack, folder, source, before=""):
        folder.mkdir()
        (folder / "long_process.py").write_text(LONG_PROCESS)
        (folder / "adapter.py").write_text(source)
        script = before + "\nimport runpy; runpy.run_path('adapter.py', run_name='__main__')"
        self.steps = stack.enter_context(Steps())
        self.server = stack.enter_context(QueueServer())
        self.process = stack.enter_context(module(
            self.server, sys.executable, "-c", script, folder=folder, STEPS=str(self.steps.port),
            CPAI_MODULE_NAME="Python Long Process Demo"))
        wait_until(lambda: self.server.parked or self.process.poll() is not None, 3 * WAIT)
        assert self.server.parked, (folder / "output").read_text()
        self.ids, self.run = [], None

    def go_on(self, order=b"."):
        """Let the run do a step, or raise; return whether it has ended, and the module knows."""
        if not self.run.step(order):
            end_of(self.server, self.ids[-1])
        return self.run.has_ended

    def reply(self, request):
        """Return a reply as JSON, with names in the place of ids and nothing in that of times."""
        reply = request.reply()
        assert reply["requestId"] == request.id
        for key in {"processMs", "inferenceMs"}.intersection(reply):
            assert type(reply[key]) is int
            reply[key] = None
        text = json.dumps(reply)
        for number, id in enumerate(self.ids):
            text = text.replace(id, f"{{run {number}}}")
        if reply.get("message") == "Command is running in the background":
            self.ids.append(request.id)
            self.run = self.steps.begun()
        return text.replace(request.id, "{reqid}")


class Run:
    """What is true of a run."""

    def __init__(self, number):
        self.name, self.state, self.steps = f"{{run {number}}}", "running", 0

    def fill(self, head):
        """Return an answer of `DIFFERENCES` about this run."""
        facts = {"commandId": self.name, "commandStatus": self.state,
                 "result": " ".join(map(str, range(1, self.steps + 1)))}
        if self.state == "running":  # for it is about to be told to stop
            facts["commandStatus"] = "cancelling"
        return {key: facts.get(key, value) for key, value in head.items()}


class Pair:
    """Both modules, and what is true of their runs. ``known`` is the one that the SDK knows."""

    def __init__(self, sdk, ours, random, seen):
        self.sdk, self.ours, self.random, self.seen = sdk, ours, random, seen
        self.runs, self.known = [], None

    # What may happen

    def start(self):
        is_stopping = bool(self.runs) and self.runs[-1].state == "cancelling"
        self.ask(self.random.choice(["command", "Command", "unknown", "", "cancel"]),
                 ("stopping", "") if is_stopping else ("", ""))

    def step(self, order=b"."):
        if not self.is_live():
            return
        run = self.runs[-1]
        run.steps += order == b"."
        has_ended, _ = self.ours.go_on(order), self.sdk.go_on(order)
        if has_ended:
            run.state = {"cancelling": "cancelled"}.get(
                run.state, "completed" if order == b"." else "failed")
            while not self.sdk.run.has_ended:  # which a cancel has not stopped
                self.sdk.go_on()

    def fail(self):
        self.step(b"!")

    def finish(self):
        while self.is_live():
            self.step()

    def status(self):
        self.ask_about(self.random.choice([S, S, "Get_Command_Status"]))

    def cancel(self):
        self.ask_about(self.random.choice([C, C, "CANCEL_COMMAND"]))

    def quick(self):
        values = [(key, self.random.choices(TEXTS, k=self.random.randrange(1, 4)))
                  for key in self.random.choices("aAb", k=self.random.randrange(3))]
        files = [{"name": "file", "filename": "a b.bin", "contentType": "",
                  "data": base64.b64encode(bytes(range(size))).decode()}
                 for size in range(self.random.randrange(3))]
        self.ask(self.random.choice(["quick", "quick", "no", "raise", "none"]),
                 values=self.random.choice([values, values, None]),
                 files=self.random.choice([files, files, None]),
                 segments=self.random.choice([(), ("Seg1", "two words", "a%2Fb", "", "x")]))

    def others(self):
        self.ask(self.random.choice(["status", "get_module_status", "selftest", "raw", *MUTE]))

    # How it is asked and compared

    def is_live(self):
        return bool(self.runs) and self.runs[-1].state in ("running", "cancelling")

    def ask_about(self, command):
        """Ask about the newest run, any run, none, or in a wrong way."""
        kind = self.random.choice(["newest"] * 6 + ["any"] * 4 + list(WRONG))
        if kind in WRONG:
            return self.ask(command, values=WRONG[kind])
        if not self.runs or self.random.random() < 0.1:
            self.ask(command, ("none", "lost" if self.runs and not self.known else "known"),
                     values=[("commandId", [str(uuid.UUID(int=self.random.getrandbits(128)))])])
            return None
        run = self.runs[-1] if kind == "newest" else self.random.choice(self.runs)
        state = run.state
        self.ask(command, (state, "known" if run is self.known else "lost"), run)
        if command.lower() == C and run is self.known:
            if state == "running":
                run.state = "cancelling"
            elif not self.is_live():
                self.known = None
        return None

    def ask(self, command, about=("", ""), run=None, values=(), **more):
        """Send both the same, about a run if there is one; compare their replies."""
        texts, began = [], len(self.ours.ids)
        for side in self.sdk, self.ours:
            if run:
                id = side.ids[self.runs.index(run)]
                values = [("CommandId", ["x"]), ("commandId", [id, "x"]), ("commandId", ["x"])]
            request = side.server.send(command, values, **more)
            if command in MUTE and side is self.sdk:
                assert json.loads(side.reply(side.server.send("no")))["error"] == "no"
                assert not request.replied.is_set()  # though the one after it is
            texts.append(side.reply(request) if side is self.ours or command not in MUTE else "")
        theirs, ours = texts
        key = ("start" if about[0] == "stopping" else command.lower(), *about)
        if key in DIFFERENCES:
            self.seen.add(key)
            _, head = DIFFERENCES[key]
            wanted = whole(run.fill(head) if run else head, {"command": command}, False)
            assert theirs != json.dumps(wanted), f"{key} is no difference"
            assert text_of(json.loads(ours), wanted) == json.dumps(wanted), (key, theirs)
        else:
            assert ours == theirs, (key, self.known is run)
        assert len(self.sdk.ids) == len(self.ours.ids)
        if len(self.ours.ids) > began:
            self.known = Run(began)
            self.runs.append(self.known)


def test_same_replies(tmp_path):
    """Random commands get the same replies from the SDK and from us, but for its defects."""
    seen = set()
    for number in range(PAIRS):
        chance = random.Random(f"{SEED} {number}")
        with contextlib.ExitStack() as stack:
            (tmp_path / str(number)).mkdir()
            sdk = Side(stack, tmp_path / str(number) / "sdk", ADAPTER)
            ours = Side(stack, tmp_path / str(number) / "ours",
                        ADAPTER.replace("codeproject_ai_sdk", "longop.codeproject"), AT_ONCE)
            pair = Pair(sdk, ours, chance, seen)
            for _ in range(SEQUENCES):
                for happens in chance.choices(
                        [pair.start, pair.step, pair.fail, pair.finish, pair.status, pair.cancel,
                         pair.quick, pair.others], [5, 4, 1, 1, 6, 4, 2, 2],
                        k=chance.randrange(2, 20)):
                    happens()
                pair.finish()
            quits = [side.server.quit(side.server.modules[0]) for side in (sdk, ours)]
            assert [side.process.wait(3 * WAIT) for side in (sdk, ours)] == [0, 0]
            assert [request.replied.is_set() for request in quits] == [False, True]
            assert quits[1].reply()["success"] is True
            seen.add(("quit", "", ""))
    assert seen == {*DIFFERENCES}

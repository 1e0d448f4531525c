"""`longop.codeproject` as a module of CodeProject.AI Server: a process, on a stand-in of it.

The defects whose numbers stand here are those of that server's own SDK, codeproject-ai-sdk 0.0.21.
"""

import contextlib
import http.client
import itertools
import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from longop.codeproject import RequestData, SystemInfo
from longop.codeproject.queue import FIRST_PAUSE, LONGEST_PAUSE

from .queue_server import QueueServer, module
from ..waiting import WAIT, wait_until

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
# The article's function, except that it asks the test before each step.
LONG_PROCESS = '''
import os
import socket

cancelled = False

def a_long_process(callback):
    result = ""
    step = 0
    cancelled = False
    with socket.create_connection(("127.0.0.1", int(os.environ["STEPS"]))) as test:
        for i in range(1, 11):
            if cancelled: break
            test.sendall(b"?")
            if test.recv(1) != b".":
                raise ValueError("told to fail")
            step = 1 if not step else step + 1
            result = str(step) if not result else f"{result} {step}"
            callback(result, step)

def cancel_process():
    global cancelled
    cancelled = True
'''
ARTICLE = '''
import time

from codeproject_ai_sdk import RequestData, ModuleRunner, JSON

# Import the method of the module we're wrapping
from long_process import a_long_process, cancel_process

class PythonLongProcess_adapter(ModuleRunner):

    def initialise(self) -> None:
        # Results from the long process
        self.result      = None
        self.step        = 0
        # Process state
        self.cancelled   = False
        self.stop_reason = None

    def process(self, data: RequestData) -> JSON:
        # This is a long process module, so all we need to do here is return the
        # long process method that will be run
        return self.long_process

    def long_process(self, data: RequestData) -> JSON:
        """ This calls the actual long process code and returns the results """
        self.cancelled   = False
        self.stop_reason = None
        self.result      = None
        self.step        = 0

        start_time = time.perf_counter()
        a_long_process(self.long_process_callback)
        inferenceMs : int = int((time.perf_counter() - start_time) * 1000)

        if self.stop_reason is None:
            self.stop_reason = "completed"

        response = {
            "success":     True,
            "result":      self.result,
            "stop_reason": self.stop_reason,
            "processMs":   inferenceMs,
            "inferenceMs": inferenceMs
        }

        return response

    def command_status(self) -> JSON:
        """ This method will be called regularly during the long process to provide updates """
        return {
            "success": True,
            "result":  self.result or ""
        }

    def cancel_command_task(self):
        """ This process is called when the client requests the process to stop """
        cancel_process()
        self.stop_reason = "cancelled"
        self.force_shutdown = False  # Tell ModuleRunner we'll shut ourselves down

    def long_process_callback(self, result, step):
        """ We'll provide this method as the callback for the a_long_process()
            method in long_process.py """
        self.result = result
        self.step   = step

if __name__ == "__main__":
    PythonLongProcess_adapter().start_loop()
'''
# Answers in as many ways as there are; ``mode`` says which.
PROBE = '''
import asyncio, os, socket, threading

from codeproject_ai_sdk import ModuleRunner

def ask():
    """Wait for the test, and for nothing else."""
    with socket.create_connection(("127.0.0.1", int(os.environ["STEPS"]))) as test:
        test.sendall(b"?")
        return test.recv(1)

class Probe(ModuleRunner):
    def initialise(self):
        self.meeting = threading.Barrier(4, timeout=10)

    def process(self, data):
        mode = data.get_value("mode", "echo").replace("-", "_")
        method = getattr(self, "raise_" if mode == "raise" else mode)
        if not mode.startswith("long"):
            return method(data)
        return (lambda data: ask() and method(data)) if "GATED" in os.environ else method

    def cleanup(self):
        open("cleaned", "w").close()

    def echo(self, data):
        return {"success": True, "payload": data.payload, "segments": data.segments,
                "dataCommand": data.command}

    def fileinfo(self, data):
        return {"success": True, "n": len(data.files), "files": data.files}

    def no(self, data):
        return {"success": False, "error": "no"}

    def ask(self, data):
        return {"success": ask() == b"."}

    def meet(self, data):
        return {"success": True, "place": self.meeting.wait()}

    def measured(self, data):
        return {"success": True, "inferenceMs": 40}

    def value(self, data):
        return {"success": True, "values": [data.get_value("a"), data.get_int("a"),
                data.get_float("a"), data.get_bool("a"), data.get_value("none", "default")]}

    def raise_(self, data): raise RuntimeError("boom")
    def exit(self, data): raise SystemExit(3)
    def interrupt(self, data): raise KeyboardInterrupt
    def none(self, data): return None
    def nosuccess(self, data): return {"x": 1}
    def list(self, data): return [1, 2]
    def nan(self, data): return {"success": True, "x": float("nan")}
    def bytes(self, data): return {"success": True, "x": b"\\xff\\x00"}
    def raw(self, data): return b"\\xff\\x00"
    def text(self, data): return "text"
    def thing(self, data): return {"success": True, "thing": self.meeting.__class__}
    def ring(self, data):
        ring = {"success": True}
        ring["ring"] = ring
        return ring
    def unicode(self, data):
        return {"success": True, "message": "h\\xe9llo <b>'\\"&+` \\u4e16\\u754c \\U0001f600 1.50",
                "n": 1.5, "big": 12345678901234567890, "e": 1e300}
    def success_str(self, data): return {"success": "true"}
    def success_1(self, data): return {"success": 1}
    def queue_prop(self, data): return {"success": True, "queue": data.queue}

    def long_raise(self, data): raise RuntimeError("boom in long process")
    def long_none(self, data): return None
    def long_list(self, data): return [1, 2]
    def long_false(self, data):
        return {"success": False, "error": "module said no", "detail": 7}
    def long_override(self, data):
        return {"success": True, "message": "mine", "commandId": "hijacked",
                "commandStatus": "weird"}
    def long_nan(self, data): return {"success": True, "loss": float("nan")}
    def long_baseexc(self, data): raise SystemExit(3)
    def long_measured(self, data): return {"success": True, "inferenceMs": 20}
    def long_stubborn(self, data):
        return {"success": True, "result": ask().decode()}
    async def long_coroutine(self, data):
        with socket.create_connection(("127.0.0.1", int(os.environ["STEPS"]))) as test:
            test.sendall(b"?")
            await asyncio.sleep(3600)

if __name__ == "__main__":
    Probe().start_loop()
'''
# The grace of a command that says that it ends by itself is over at once.
AT_ONCE = '''
import threading
from longop.codeproject.checkpoints import GRACE

class Timer(threading.Timer):
    def start(self):
        self.function() if self.interval == GRACE else super().start()

threading.Timer = Timer
'''
# A pause between two polls is noted, and is over in a moment.
QUICKLY = '''
import threading, types
import longop.codeproject.queue

class Event(threading.Event):
    def wait(self, seconds=None):
        if seconds == 3600:
            return super().wait(seconds)
        with open("pauses", "a") as file:
            print(seconds, file=file)
        return super().wait(0.001)

longop.codeproject.queue.STATUS_INTERVAL = 3600
longop.codeproject.queue.threading = types.SimpleNamespace(**{**vars(threading), "Event": Event})
'''
# What is taken from the queue is answered only a moment after the module was told to quit.
LATE = '''
import time
from longop.codeproject.queue import Polling

def answer(self, server, text, at_once=Polling._answer):
    if "Quit" not in text:
        self._over.wait()
        time.sleep(0.3)
    return at_once(self, server, text)

Polling._answer = answer
'''


class Steps:
    """What functions ask before each step; the test lets them do it, or raise."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT)
        self.port, self._runs = self._listener.getsockname()[1], []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for one in [self._listener, *self._runs]:
            one.close()

    def begun(self):
        """Return the next run, once it has begun and waits for its first step."""
        run, _ = self._listener.accept()
        self._runs.append(run)
        return Run(run)


class Run:
    """A function that runs; it waits for the test."""

    def __init__(self, connection):
        self.done, self.has_ended, self._connection = 0, False, connection
        connection.settimeout(WAIT)
        self.wait()

    def step(self, order=b"."):
        """Let it do a step, or with another order raise; return whether it waits again."""
        self._connection.sendall(order)
        self.done += 1
        return self.wait()

    def wait(self):
        """Return once it waits for a step, or has ended."""
        self.has_ended = self._connection.recv(1) != b"?"
        return not self.has_ended


@pytest.fixture
def steps():
    with Steps() as steps:
        yield steps


@contextlib.contextmanager
def running(folder, source=PROBE, *modules, before="", server=None, steps=None, **environment):
    """Run an adapter of ours; yield the server and the process once it waits for work."""
    (folder / "long_process.py").write_text(LONG_PROCESS)
    (folder / "adapter.py").write_text(source.replace("codeproject_ai_sdk", "longop.codeproject"))
    script = before + "\nimport runpy; runpy.run_path('adapter.py', run_name='__main__')"
    with contextlib.ExitStack() as stack:
        server = server or stack.enter_context(QueueServer(*modules))
        process = stack.enter_context(module(
            server, sys.executable, "-c", script, folder=folder,
            STEPS=str(steps.port) if steps else "", **environment))
        wait_until(lambda: server.parked or process.poll() is not None)
        assert server.parked, (folder / "output").read_text()
        yield server, process


def ask(server, mode, **more):
    """Send the probe a command; return its reply."""
    return server.request("run", [("mode", [mode])], **more)


def start(server, mode):
    """Have the probe start something long; return its id."""
    return ask(server, mode)["commandId"]


def status(server, id):
    return server.request("get_command_status", [("commandId", [id])])


def cancel(server, id):
    return server.request("cancel_command", [("commandId", [id])])


def end_of(server, id):
    """Wait for the end of a command; return its status."""
    def end():
        seen = status(server, id)
        return seen["commandStatus"] not in ("running", "cancelling") and seen
    return wait_until(end)


def ends(server, process):
    """Tell a module to end; return its exit code and its reply."""
    request = server.quit(server.modules[0])
    return process.wait(WAIT), request.reply()


# Transcripts of the real SDK

COMPLETED = {"success": True, "message": "Command has completed", "commandId": "{job 1}",
             "commandStatus": "completed", "error": None, "result": "1 2 3 4 5 6 7 8 9 10",
             "stop_reason": "completed", "processMs": None, "inferenceMs": None}
CANCELLING = {"success": True, "message": "The command is being cancelled",
              "commandId": "{job 1}", "commandStatus": "cancelling"}
CANCELLED = {"success": False, "message": "The command has been cancelled",
             "commandId": "{job 1}", "commandStatus": "cancelled",
             "error": "The command has been cancelled", "result": "1 2 3 4"}
STATUS = {"success": True, "inferenceDevice": "CPU", "inferenceLibrary": "", "canUseGPU": "false",
          "successfulInferences": None, "failedInferences": None, "numInferences": None,
          "averageInferenceMs": None}
FAILED = {"success": False, "message": "The command has failed", "commandId": "{job 1}",
          "commandStatus": "failed", "error": "boom in long process"}
DONE = {"success": True, "message": "Command has completed", "commandId": "{job 1}",
        "commandStatus": "completed", "error": None}
# All that we answer differently, before what stands in every reply: the defect, and our answer.
DIFFERENCES = {
    # An old command's id still answers, as its result is not lost.
    ("01_lifecycle", 18): (16, COMPLETED),
    # The code still runs: it is being cancelled, and has not been.
    ("02_cancel", 3): (1, CANCELLING),
    ("02_cancel", 5): (1, CANCELLING),
    ("02_cancel", 6): (1, {**CANCELLING, "result": "1 2 3"}),
    # The code has ended at its next report. There it ran on to its end, and was `completed`.
    ("02_cancel", 7): (1, CANCELLED),
    ("02_cancel", 8): (1, CANCELLED),
    # A command that has completed is not cancelled by a cancel, and keeps its result.
    ("02_cancel", 10): (16, {"success": False, "commandId": "{job 2}",
                             "commandStatus": "completed",
                             "error": "The command has already completed"}),
    ("02_cancel", 11): (16, {**COMPLETED, "commandId": "{job 2}"}),
    # Every answer is sent.
    ("04_module_errors", 2): (5, {"success": True, "x": 1}),
    ("04_module_errors", 3): (5, {"success": True, "result": [1, 2]}),
    ("04_module_errors", 4): (5, {"success": True, "x": None}),
    ("04_module_errors", 5): (5, {"success": True, "x": "/wA="}),
    ("04_module_errors", 9): (18, {"success": True, "queue": None}),
    ("04_module_errors", 11): (7, STATUS),
    ("04_module_errors", 12): (7, STATUS),
    ("04_module_errors", 13): (7, {"success": True}),
    ("04_module_errors", 15): (16, FAILED),
    ("04_module_errors", 16): (16, FAILED),
    ("04_module_errors", 21): (15, {**DONE, "commandId": "{job 3}", "result": [1, 2]}),
    ("04_module_errors", 22): (15, {**DONE, "commandId": "{job 3}", "result": [1, 2]}),
    ("04_module_errors", 27): (16, {**DONE, "message": "mine", "commandId": "{job 5}"}),
    ("04_module_errors", 28): (16, {**DONE, "message": "mine", "commandId": "{job 5}"}),
    ("04_module_errors", 30): (5, {**DONE, "commandId": "{job 6}", "loss": None}),
    ("04_module_errors", 31): (5, {**DONE, "commandId": "{job 6}", "loss": None}),
    ("04_module_errors", 33): (14, {**FAILED, "commandId": "{job 7}", "error": "3"}),
}
# How many steps the function is to have done before a place in the transcript.
PLANS = {"01_lifecycle": {5: 1, 6: 2, 13: 3, 14: 9, 15: 10}, "02_cancel": {3: 3, 7: 4, 10: 10}}


def whole(head, payload, probe):
    """Return a reply with what stands in every one."""
    id, name = (("ProbeModule", "Probe Module") if probe else
                ("PythonLongProcess", "Python Long Process Demo"))
    return {**head, "moduleId": id, "moduleName": name,
            "code": 200 if head["success"] == True else 500,  # noqa: E712 as that SDK has it
            "command": payload["command"], "requestId": "{reqid}", "inferenceDevice": "CPU"}


def send(server, payload):
    """Send what is in an entry."""
    return server.send(payload["command"], payload["values"] and [
        (value["key"], value["value"]) for value in payload["values"]],
        payload["files"], payload["urlSegments"])


def text_of(reply, wanted):
    """Return a reply as JSON, and check what cannot be the same in any two of them."""
    reply = dict(reply)
    for key, value in wanted.items():
        if value is None and isinstance(reply.get(key), (int, float)):
            reply[key] = None
    return json.dumps(reply)


@pytest.mark.parametrize("name", GOLDEN)
def test_transcript(name, tmp_path, steps):
    """A server gets the replies of the SDK, in keys, order, texts and types, but for defects."""
    probe = "routes_content" in name or "errors" in name
    jobs, run, id = {}, None, ""

    def ours(text):
        for theirs, id in jobs.items():
            text = text.replace(theirs, id).replace(theirs.upper(), id.upper())
        return text

    with running(tmp_path, PROBE if probe else ARTICLE,
                 "ProbeModule" if probe else "PythonLongProcess", before=AT_ONCE, steps=steps,
                 CPAI_MODULE_NAME="Probe Module" if probe else "Python Long Process Demo",
                 GATED="what is long begins when its start is answered") as (server, _):
        for place, row in enumerate(GOLDEN[name]):
            for _ in range(PLANS.get(name, {}).get(place, 0) - (run.done if run else 0)):
                run.step()
            if run and run.has_ended:
                end_of(server, id)
            payload = json.loads(ours(row["entry"]))["payload"]
            request = send(server, payload)
            reply, wanted = request.reply(), row["reply"]
            if (name, place) in DIFFERENCES:
                wanted = whole(DIFFERENCES[name, place][1], payload, probe)
            assert text_of(reply, wanted) == ours(json.dumps(wanted)).replace(
                "{reqid}", request.id), (place, row)
            if reply.get("commandStatus") == "running" and reply["commandId"] == request.id:
                id = jobs[f"{{job {len(jobs) + 1}}}"] = request.id
                run = steps.begun()
                if probe:
                    run.step()


def test_differences():
    """Each of the differences is one."""
    for (name, place), (defect, head) in DIFFERENCES.items():
        row = GOLDEN[name][place]
        payload = json.loads(row["entry"])["payload"]
        assert whole(head, payload, "errors" in name) != row["reply"], (defect, name, place)


def test_stand_in():
    """The stand-in hands out the entries that the real SDK was handed, byte for byte."""
    with QueueServer("any") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
        for row in itertools.chain(*GOLDEN.values()):
            request = send(server, json.loads(row["entry"])["payload"])
            connection.request("GET", "/v1/queue/ANY_queue?moduleId=any")
            entry = connection.getresponse().read().decode()
            assert entry.replace(request.id, "{reqid}") == row["entry"]
        connection.close()


# What is no entry, and a server that is not as it should be

ENTRY = '{"payload":{"command":"%s","values":%s,"files":[],"urlSegments":[]},"reqid":"7"}'
BAD = ["", "not JSON", '{"payload":{"command":"comm', "null", "[]", "5", '"text"', "{}", "\ufeff",
       "[" * 100_000, '{"reqid":"7"}', '{"payload":null,"reqid":"7","reqtype":""}',
       '{"payload":[],"reqid":"7"}', '{"payload":5,"reqid":"7"}', '{"payload":"text","reqid":"7"}',
       *(ENTRY % ("Quit", values) for values in (
           "null", "[]", '[{"key":"moduleId","value":[null]}]', '[{"key":"moduleId","value":[""]}]',
           '[{"key":"ModuleId","value":["PythonLongProcess"]}]',
           '[{"key":"moduleId","value":["another"]}]'))]
ODD = ['{"payload":{"command":5},"reqid":"7"}', '{"payload":{"command":{"a":1}},"reqid":"7"}',
       '{"payload":{"command":null},"reqid":"7"}', '{"payload":{},"reqid":"7"}',
       *(ENTRY % ("get_command_status", values) for values in (
           "null", "5", "[null]", "{}", '[{"key":"commandId"}]', '[{"value":["x"]}]',
           '[{"key":"commandId","value":null}]', '[{"key":"commandId","value":[]}]',
           '[{"key":"commandId","value":[null]}]', '[{"key":"commandId","value":[{"a":1}]}]',
           '[{"key":"commandId","value":"x"}]', '[{"key":"commandId","value":5}]'))]


def test_what_is_no_entry(tmp_path):
    """What is no entry, or a Quit that is not for this module, starts nothing and ends nothing."""
    with running(tmp_path, ARTICLE) as (server, process):
        for text in [*BAD, "\udcff\udcfe"]:
            server.send_raw(text.encode(errors="surrogateescape"))
            assert status(server, "x")["commandStatus"] == "not started", repr(text[:100])
        for text in ('{"payload":{"command":"get_command_status"},"reqid":7}',
                     '{"payload":{"command":"get_command_status"},"reqid":null}',
                     '{"payload":{"command":"get_command_status"}}'):
            server.send_raw(text.encode())
            assert status(server, "x")["commandStatus"] == "not started", text
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("text", ODD)
def test_odd_entries(text, tmp_path):
    """What is odd in an entry is answered, as all is whose id is known."""
    with running(tmp_path) as (server, process):
        server.send_raw(text.encode())
        assert ask(server, "echo")["success"] is True
        (id, body), _ = server.replies
        assert (id, type(json.loads(body)["success"])) == ("7", bool)
        assert ends(server, process)[0] == 0


def assert_that_pauses_grow(polls):
    """Check the first pauses between polls that fail; they may be longer, but not shorter."""
    for number, (poll, after) in enumerate(zip(polls, polls[1:5])):
        assert after - poll > 0.9 * FIRST_PAUSE * 2 ** number


@pytest.mark.parametrize("fault", [204, 400, 404, 500, 503, "half"])
def test_polls_that_fail(fault, tmp_path):
    """A server that has only errors, or nothing and at once, is asked again after longer pauses."""
    with running(tmp_path) as (server, _):
        seen = len(server.polls) - 1
        server.faults["poll"] = fault
        wait_until(lambda: len(server.polls) > seen + 5)
        assert_that_pauses_grow(server.polls[seen:])
        del server.faults["poll"]
        assert ask(server, "echo")["success"] is True


def test_server_that_vanishes(tmp_path):
    """While a server is away it is asked in vain for it; what comes after a minute is answered."""
    with running(tmp_path, before=QUICKLY) as (server, process):
        def pauses():
            file = tmp_path / "pauses"
            return [float(line) for line in file.read_text().split()] if file.exists() else []

        server.close()
        wait_until(lambda: sum(pauses()) > 60)
        seen = pauses()
        assert seen[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
        assert seen == sorted(seen)
        assert seen[-1] == LONGEST_PAUSE
        server.open()
        assert ask(server, "echo")["success"] is True
        wait_until(lambda: server.parked)
        paused = len(pauses())
        assert [ask(server, "echo")["success"] for _ in range(3)] == [True] * 3
        assert len(pauses()) == paused  # it has recovered
        assert ends(server, process)[0] == 0
    assert len((tmp_path / "output").read_text().splitlines()) == 1  # it says so once


@pytest.mark.parametrize("fault", [400, 500, "half", "hang"])
def test_replies_that_are_not_taken(fault, tmp_path):
    """A reply that the server does not take is lost, and nothing else is."""
    with running(tmp_path, before="import longop.codeproject.queue; longop.codeproject.queue.REPLY_TIMEOUT = 0.2",
                 ) as (server, process):
        server.faults["reply"] = fault
        lost = server.send("run")
        wait_until(lambda: len(server.polls) > 1)  # it has given up, or been refused
        del server.faults["reply"]
        assert ask(server, "echo")["success"] is True
        assert lost.id not in dict(server.replies)
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("fault", [500, "half", "hang"])
@pytest.mark.parametrize("kind", ["status", "log"])
def test_statuses_and_logs_that_are_not_taken(kind, fault, tmp_path):
    """A status or a log entry that the server does not take holds up no command, nor the end."""
    with QueueServer("ProbeModule") as server:
        server.faults[kind] = fault
        with running(tmp_path, before="import longop.codeproject.queue; longop.codeproject.queue.REPLY_TIMEOUT = 0.2",
                     server=server) as (_, process):
            assert [ask(server, "echo")["success"] for _ in range(3)] == [True] * 3
            assert ends(server, process)[0] == 0


# Commands

@pytest.mark.parametrize(("mode", "answer"), [
    ("raise", None), ("exit", None), ("interrupt", None), ("none", None),
    ("list", {"success": True, "result": [1, 2]}), ("text", {"success": True, "result": "text"}),
    ("nan", {"success": True, "x": None}), ("raw", {"success": True, "result": "/wA="}),
    ("nosuccess", {"success": True, "x": 1}), ("no", {"success": False, "error": "no"}),
    ("thing", {"success": True, "thing": "<class 'threading.Barrier'>"}),
    ("missing", None)])
def test_answers(mode, answer, tmp_path):
    """Whatever process() raises or returns is answered."""
    with running(tmp_path, PROBE, "ProbeModule") as (server, _):
        request = server.send("run", [("mode", [mode])])
        answer = answer or {
            "success": False, "error": f"unable to process the request (#reqid {request.id})"}
        assert json.dumps(request.reply()) == json.dumps({
            **answer, "moduleId": "ProbeModule", "moduleName": "ProbeModule",
            "code": 200 if answer["success"] else 500, "command": "run", "requestId": request.id,
            "inferenceDevice": "CPU"})


def test_answer_that_is_a_ring(tmp_path):
    """An answer that contains itself is cut."""
    with running(tmp_path) as (server, _):
        assert ask(server, "ring")["ring"]


def test_values(tmp_path):
    """An adapter finds the values of a request, as text or as what it asks for."""
    with running(tmp_path) as (server, _):
        def values(*a):
            return server.request("run", [("mode", ["value"]), ("a", [*a])])["values"]

        assert values("7", "8") == ["7", 7, 7.0, False, "default"]
        assert values("yes") == ["yes", None, None, True, "default"]
        assert values() == [None, None, None, None, "default"]


@pytest.mark.parametrize(("parallelism", "requests"), [("1", 1), ("4", 4)])
def test_parallelism(parallelism, requests, tmp_path, steps):
    """So many requests are processed at a time, and no more are taken from the queue."""
    with running(tmp_path, steps=steps, CPAI_MODULE_PARALLELISM=parallelism) as (server, _):
        wait_until(lambda: server.parked == requests)
        sent = [server.send("run", [("mode", ["ask"])]) for _ in range(requests + 1)]
        runs = [steps.begun() for _ in range(requests)]
        assert server.parked == 0
        runs[0].step()
        runs.append(steps.begun())
        for run in runs[1:]:
            run.step()
        assert [request.reply()["success"] for request in sent] == [True] * (requests + 1)


def test_requests_meet(tmp_path):
    """With a parallelism of 4 four requests are processed at once."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, _):
        sent = [server.send("run", [("mode", ["meet"])]) for _ in range(4)]
        assert sorted(request.reply()["place"] for request in sent) == [0, 1, 2, 3]


def test_two_modules_on_one_queue(tmp_path, steps):
    """Two modules share the work of a queue; each request is answered once."""
    (tmp_path / "b").mkdir()
    with QueueServer("A", "B") as server, \
            running(tmp_path, server=server, steps=steps) as (_, first), \
            running(tmp_path / "b", server=server, steps=steps, CPAI_MODULE_ID="B"):
        wait_until(lambda: server.parked == 2)
        sent = [server.send("run", [("mode", ["ask"])]) for _ in range(20)]
        for _ in range(10):
            runs = steps.begun(), steps.begun()  # which are one of each
            for run in runs:
                run.step()
        replies = [request.reply()["moduleId"] for request in sent]
        assert (replies.count("A"), replies.count("B")) == (10, 10)
        ids = [id for id, _ in server.replies]
        assert sorted(ids) == sorted({request.id for request in sent})
        while first.poll() is None:  # the other one may take what is for it
            server.quit("A").reply()
            wait_until(lambda: server.parked == 2 or first.poll() is not None)
        wait_until(lambda: server.parked == 1)
        assert ask(server, "echo")["moduleId"] == "B"


def test_statuses(tmp_path):
    """A module says how it is before it has work, in that server's keys, order and types."""
    with running(tmp_path) as (server, _):
        wait_until(lambda: server.statuses)
        assert json.dumps(server.statuses[0]) == json.dumps({
            "inferenceDevice": "CPU", "inferenceLibrary": "", "canUseGPU": "false",
            "successfulInferences": 0, "failedInferences": 0, "numInferences": 0,
            "averageInferenceMs": 0})


def test_logs(tmp_path):
    """The server's log gets each command, but for those that come all the time, and each error."""
    with running(tmp_path) as (server, process):
        status(server, "x")
        ask(server, "raise")
        ends(server, process)
        assert [log["log_level"] for log in server.logs if "_queue command" in log["entry"]] == [
            "debug", "debug"]
        assert {log["category"] for log in server.logs} == {server.modules[0]}
        [error] = [log["entry"] for log in server.logs if log["log_level"] == "error"]
        assert "RuntimeError: boom" in error


# The end

@pytest.mark.parametrize("parallelism", ["1", "4"])
@pytest.mark.parametrize("mode", ["idle", "article", "long-stubborn", "long-coroutine"])
def test_quit(mode, parallelism, tmp_path, steps):
    """Quit is answered and obeyed, whatever runs."""
    article = mode == "article"
    with running(tmp_path, ARTICLE if article else PROBE, before=AT_ONCE, steps=steps,
                 CPAI_MODULE_PARALLELISM=parallelism) as (server, process):
        if mode != "idle":
            start(server, mode)
            steps.begun()
        code, reply = ends(server, process)
        assert (code, reply["success"], reply["code"], reply["command"]) == (0, True, 200, "Quit")
        assert article or (tmp_path / "cleaned").exists()


def test_quit_in_any_case(tmp_path):
    """The id of a module that is to quit is compared without regard to case."""
    with running(tmp_path) as (server, process):
        assert server.quit(server.modules[0].upper()).reply()["success"] is True
        assert process.wait(WAIT) == 0


# TARGETs, and the self-test

FUNCTIONS = '''
import longop

def count(callback, to: int = 3):
    for number in range(1, to + 1):
        callback(str(number), number, to)
    return "counted"

def fail(callback):
    raise ValueError("no")
'''
OPERATION = '''
import longop
from functions import count

operation = longop.LongOperation(count, name="counting")
'''


@pytest.mark.parametrize(("target", "command"), [
    ("functions.py", "count"), ("functions", "count"), ("functions:count", "whatever"),
    ("operation.py", "counting"), ("operation:operation", "x")])
def test_target(target, command, tmp_path):
    """A function that reports through a callback, or an operation, is a module as it is."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "operation.py").write_text(OPERATION)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path) as process:
        reply = server.request(command, [("to", ["5"])])
        assert (reply["success"], reply["commandId"]) == (True, reply["requestId"])
        end = end_of(server, reply["commandId"])
        assert (end["commandStatus"], end["result"]) == ("completed", "counted")
        assert list(end)[:9] == list(COMPLETED)
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("target", ["adapter.py", "adapter", "adapter:PythonLongProcess_adapter"])
def test_target_that_is_an_adapter(target, tmp_path, steps):
    """An adapter is named as a TARGET, too."""
    (tmp_path / "long_process.py").write_text(LONG_PROCESS)
    (tmp_path / "adapter.py").write_text(
        ARTICLE.replace("codeproject_ai_sdk", "longop.codeproject"))
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path, STEPS=str(steps.port)) as process:
        id = server.request("command")["commandId"]
        run = steps.begun()
        while run.step():
            pass
        assert end_of(server, id)["result"] == "1 2 3 4 5 6 7 8 9 10"
        assert ends(server, process)[0] == 0


def test_functions_are_known_by_name(tmp_path):
    """Of several functions a command starts the one of its name; another one is an error."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject",
                                         "functions.py", folder=tmp_path):
        end = end_of(server, server.request("fail")["commandId"])
        assert (end["commandStatus"], end["error"]) == ("failed", "no")
        reply = server.request("other")
        assert reply["success"] is False
        assert "count, fail" in reply["error"]


@pytest.mark.parametrize(("answer", "code"), [
    ('{"success": True}', 0), ('{"success": False}', 1), ("{}", 1), ("None", 1), ("1 / 0", 1)])
@pytest.mark.parametrize("command", [("adapter.py", "--selftest"), (
    "-m", "longop.codeproject", "adapter.py", "--selftest")])
def test_selftest(command, answer, code, tmp_path):
    """``--selftest`` exits with 0 if the adapter says that it works, else with 1."""
    (tmp_path / "adapter.py").write_text(PROBE.replace("codeproject_ai_sdk", "longop.codeproject")
                                         .replace("    def cleanup", "    def selftest(self):\n"
                                                  f"        return {answer}\n\n    def cleanup"))
    with QueueServer() as server:
        with module(server, sys.executable, *command, folder=tmp_path) as process:
            assert process.wait(WAIT) == code
        assert server.polls == []


@pytest.mark.parametrize("target", ["nowhere.py", "nowhere", "functions:nothing"])
def test_no_target(target, tmp_path):
    """A TARGET that is not there is said to be so, and the exit code is 2."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path) as process:
        assert process.wait(WAIT) == 2
    assert "longop.codeproject: " in (tmp_path / "output").read_text()


# The defects of the SDK, one by one

def test_defect_1_a_cancel_stops_the_article(tmp_path, steps):
    """The article's function, which its own cancel does not stop, stops at its next report."""
    with running(tmp_path, ARTICLE, before=AT_ONCE, steps=steps) as (server, _):
        id = server.request("command")["commandId"]
        run = steps.begun()
        for _ in range(3):
            run.step()
        assert cancel(server, id)["commandStatus"] == "cancelling"
        assert run.step() is False
        end = end_of(server, id)
        assert (end["success"], end["commandStatus"], end["result"]) == (
            False, "cancelled", "1 2 3 4")
        id = server.request("command")["commandId"]  # and the next one runs to its end
        run = steps.begun()
        while run.step():
            pass
        assert end_of(server, id)["result"] == "1 2 3 4 5 6 7 8 9 10"


def test_defect_2_what_runs_is_not_cancelled(tmp_path, steps):
    """Of code that runs on nothing says that it is cancelled, and no other starts beside it."""
    with running(tmp_path, steps=steps) as (server, _):
        id = start(server, "long-stubborn")
        run = steps.begun()
        for _ in range(3):
            assert cancel(server, id)["commandStatus"] == "cancelling"
            assert status(server, id)["commandStatus"] == "cancelling"
            refused = ask(server, "long-stubborn")
            assert (refused["success"], refused["commandId"], refused["error"]) == (
                False, id, "A long running command is already in progress")
        run.step()
        end_of(server, id)
        start(server, "long-stubborn")
        assert steps.begun()


def test_defect_3_stubborn_commands_hold_up_nothing(tmp_path, steps):
    """However often a command is started and cancelled, the module answers."""
    with running(tmp_path, steps=steps) as (server, _):
        id = start(server, "long-stubborn")
        steps.begun()
        for _ in range(30):
            ask(server, "long-stubborn")
            assert cancel(server, id)["success"] is True
            assert ask(server, "echo")["success"] is True
            assert status(server, id)["success"] is True


def test_defect_4_a_coroutine_is_cancelled(tmp_path, steps):
    """A coroutine is stopped where it waits, and its status is answered then."""
    with running(tmp_path, steps=steps) as (server, _):
        id = start(server, "long-coroutine")
        run = steps.begun()
        assert cancel(server, id)["success"] is True
        assert run.wait() is False
        assert end_of(server, id)["commandStatus"] == "cancelled"
        assert status(server, id)["commandStatus"] == "cancelled"


def test_defect_5_every_answer_is_sent(tmp_path):
    """An answer without ``success``, one that is no object, and NaN are answers."""
    with running(tmp_path) as (server, _):
        assert [ask(server, mode)["success"] for mode in (
            "nosuccess", "list", "bytes", "nan")] == [True] * 4
        assert end_of(server, start(server, "long-nan"))["loss"] is None


def test_defect_6_a_reply_is_of_its_request(tmp_path):
    """Replies about one result, to many requests at once, are each its own request's."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, _):
        id = start(server, "long-measured")
        end_of(server, id)
        sent = [server.send("get_command_status", [("commandId", [id])]) for _ in range(400)]
        assert [request.reply()["requestId"] for request in sent] == [one.id for one in sent]


@pytest.mark.parametrize("command", [
    "status", "get_module_status", "selftest", "Get_Module_Status"])
def test_defect_7_module_commands_succeed(command, tmp_path):
    """The commands about the module itself are answered."""
    with running(tmp_path) as (server, _):
        reply = server.request(command, [("mode", ["x"])])
        assert (reply["success"], reply["code"]) == (True, 200)
        assert command == "selftest" or reply["numInferences"] == 0


def test_defect_8_quit_is_answered_and_logged(tmp_path):
    """The server learns that a module quits: as a reply, and in its log."""
    with running(tmp_path) as (server, process):
        assert ends(server, process)[1]["success"] is True
        assert "Shutting down" in [log["entry"] for log in server.logs]


def test_defect_9_nothing_is_taken_after_quit(tmp_path):
    """What comes after Quit stays on the queue, for a module that is started next."""
    with running(tmp_path) as (server, process):
        quit = server.quit(server.modules[0])
        sent = server.send("run")
        assert process.wait(WAIT) == 0
        assert [id for id, _ in server.replies] == [quit.id]
        with running(tmp_path, server=server):
            assert sent.reply()["success"] is True


def test_defect_9_what_was_taken_is_answered(tmp_path):
    """A request that was taken from the queue before Quit is answered before the end."""
    with running(tmp_path, before=LATE, CPAI_MODULE_PARALLELISM="2") as (server, process):
        wait_until(lambda: server.parked == 2)
        sent = server.send("run")
        wait_until(lambda: server.parked == 1)
        assert server.quit(server.modules[0]).reply()["success"] is True
        assert isinstance(sent.reply()["success"], bool)
        assert process.wait(WAIT) == 0


def test_defect_9_with_more_than_one_poll(tmp_path):
    """What comes while a module with more polls quits is answered, or stays on the queue."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, process):
        wait_until(lambda: server.parked == 4)
        sent = [server.quit(server.modules[0]), *(server.send("run") for _ in range(20))]
        assert process.wait(WAIT) == 0
        with running(tmp_path, server=server):
            for request in sent:
                request.reply()


def test_defect_10_a_bad_entry_ends_nothing(tmp_path):
    """After a Quit that names no module, and after no entry at all, the module lives on."""
    with running(tmp_path) as (server, process):
        for text in (ENTRY % ("Quit", "[]"), "not JSON", '{"reqid":"7"}'):
            server.send_raw(text.encode())
            assert ask(server, "echo")["success"] is True
        assert ends(server, process)[0] == 0


def test_defect_11_an_outage_leaves_nothing_behind(tmp_path):
    """After an outage a module is not deaf: it does not pause between polls any more."""
    with running(tmp_path, before=QUICKLY) as (server, _):
        server.faults["poll"] = 500
        wait_until(lambda: len(server.polls) > 20)
        del server.faults["poll"]
        wait_until(lambda: server.parked)
        before = (tmp_path / "pauses").read_text()
        for _ in range(3):
            assert ask(server, "echo")["success"] is True
            wait_until(lambda: server.parked)
        assert (tmp_path / "pauses").read_text() == before


def test_defect_12_an_unknown_queue_is_no_busy_loop(tmp_path):
    """A server that does not know the queue, and says so at once, is asked less and less often."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject",
                                         "functions:count", folder=tmp_path,
                                         CPAI_MODULE_QUEUENAME="unknown"):
        wait_until(lambda: len(server.polls) > 4)
        assert_that_pauses_grow(server.polls)


@pytest.mark.parametrize("cpus", ["1", "2", "7", "None"])
def test_defect_13_parallelism_0(cpus, tmp_path):
    """A parallelism of 0 is half the processors, and at least one request at a time."""
    with running(tmp_path, before=f"import os; os.cpu_count = lambda: {cpus}",
                 CPAI_MODULE_PARALLELISM="0") as (server, _):
        wanted = {"7": 3}.get(cpus, 1)
        wait_until(lambda: server.parked == wanted)
        assert ask(server, "echo")["success"] is True


def test_defect_14_a_command_that_exits(tmp_path):
    """A command that wants to exit has failed, and the module lives on."""
    with running(tmp_path) as (server, process):
        id = start(server, "long-baseexc")
        assert end_of(server, id)["commandStatus"] == "failed"
        assert status(server, id)["success"] is False
        assert ends(server, process)[0] == 0


def test_defect_15_any_result(tmp_path):
    """What a command returns need be no object, and is its result each time one asks."""
    with running(tmp_path) as (server, _):
        id = start(server, "long-list")
        assert end_of(server, id)["result"] == [1, 2]
        assert status(server, id)["result"] == [1, 2]


def test_defect_16_what_is_done_is_done(tmp_path):
    """A cancel takes no result away; what has failed says so; an id and a status are true."""
    with running(tmp_path) as (server, _):
        old = start(server, "long-measured")
        assert end_of(server, old)["inferenceMs"] == 20
        reply = cancel(server, old)
        assert (reply["success"], reply["commandStatus"], reply["error"]) == (
            False, "completed", "The command has already completed")
        id = start(server, "long-raise")
        end = end_of(server, id)
        assert (end["commandStatus"], end["message"], end["error"]) == (
            "failed", "The command has failed", "boom in long process")
        assert cancel(server, id)["error"] == "The command has already failed"
        id = start(server, "long-override")
        end = end_of(server, id)
        assert (end["message"], end["commandId"], end["commandStatus"]) == ("mine", id, "completed")
        assert status(server, old)["inferenceMs"] == 20


def test_defect_17_statistics(tmp_path, steps):
    """A start counts once it has ended, as it ended; what raised counts as failed."""
    with running(tmp_path, steps=steps) as (server, _):
        def counts():
            reply = server.request("get_module_status")
            return (reply["successfulInferences"], reply["failedInferences"],
                    reply["numInferences"], reply["averageInferenceMs"])

        id = start(server, "long-stubborn")
        run = steps.begun()
        assert counts() == (0, 0, 0, 0)
        run.step()
        end_of(server, id)
        assert counts() == (1, 0, 1, 0)
        ask(server, "measured")
        assert counts() == (2, 0, 2, 20)
        end_of(server, start(server, "long-measured"))
        assert counts() == (3, 0, 3, 20)
        ask(server, "raise")
        ask(server, "no")
        end_of(server, start(server, "long-raise"))
        end_of(server, start(server, "long-false"))
        assert counts() == (3, 4, 7, 20)


def test_defect_18_request_data(monkeypatch):
    """A request has a queue, and its image is one of OpenCV if that is asked for."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(
        imdecode=lambda array, flag: (array, flag), IMREAD_COLOR="color"))
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(
        frombuffer=lambda data, kind: [*data], uint8="uint8"))
    data = RequestData(json.dumps({"payload": {
        "command": "x", "queue": "q", "files": [{"name": "image", "data": "AQI="}]}}))
    assert data.queue == "q"
    data.queue = "other"
    assert (data.queue, data.payload["queue"]) == ("other", "other")
    assert data.get_image(0, "opencv") == ([1, 2], "color")
    assert data.get_image(1, "opencv") is None


def test_defect_19_an_import_changes_nothing(tmp_path):
    """The import prints nothing, leaves the path alone, and needs no package."""
    script = ("import sys; path = [*sys.path]; import longop.codeproject.queue;"
              "assert sys.path == path; print('PIL' in sys.modules)")
    with QueueServer() as server, module(server, sys.executable, "-W", "error", "-c", script,
                                         folder=tmp_path) as process:
        assert process.wait(WAIT) == 0
    assert (tmp_path / "output").read_text() == "False\n"


def test_defect_20_what_the_machine_is():
    """What is known of the machine is known without a look that takes a second."""
    before = {*sys.modules}
    info = SystemInfo()
    assert info.cpu_arch
    assert info.os in ("Linux", "macOS", "Windows")
    assert not {"cpuinfo", "multiprocessing"} & ({*sys.modules} - before)


@pytest.mark.parametrize("settings", [
    {"CPAI_LOG_VERBOSITY": "lound"}, {"CPAI_MODULE_PARALLELISM": "many"},
    {"CPAI_MODULE_PARALLELISM": "-1"}, {"CPAI_MODULE_REQUIRED_MB": "x"},
    {"CPAI_HALF_PRECISION": "Enable"}, {"CPAI_MODULE_ENABLE_GPU": ""},
    {"CPAI_LOG_VERBOSITY": "LOUD"}, {"CPAI_APPROOTPATH": ""}], ids=str)
def test_defect_21_settings_that_are_wrong(settings, tmp_path):
    """A setting that is wrong is as if it were not there."""
    with running(tmp_path, **settings) as (server, process):
        assert ask(server, "echo")["success"] is True
        assert ends(server, process)[0] == 0


def test_defect_21_a_port_that_is_none(tmp_path):
    """A port that is none is the usual one, for all that is sent."""
    (tmp_path / "adapter.py").write_text(
        "from longop.codeproject import ModuleRunner\n"
        "runner = ModuleRunner()\nprint(runner.port, runner.base_api_url)")
    with QueueServer() as server, module(server, sys.executable, "adapter.py", folder=tmp_path,
                                         CPAI_PORT="many") as process:
        assert process.wait(WAIT) == 0
    assert (tmp_path / "output").read_text() == "32168 http://localhost:32168/v1/\n"


def test_defect_22_no_gpu_is_no_gpu(monkeypatch):
    """Where nothing is found there is no GPU."""
    monkeypatch.setitem(sys.modules, "torch", None)
    info = SystemInfo()
    assert (info.hasNvidiaGPU, info.hasTorchCuda, info.hasTorchMPS) == (False, False, False)


@pytest.mark.parametrize("text", [
    '{"Modules": {"Demo": {"Name": "A demo",}}}',
    '/* a */ {"Modules": /* b */ {"Demo": {"Name": "A demo"}}} // c',
    '\ufeff{"Modules": {"Demo": {"Name": "A demo"}}}',
    '\ufeff{"Modules": {"Demo": {"name": "A demo", "Description": "// /* \u4e16"}}}'])
def test_defect_23_settings_as_the_server_reads_them(text, tmp_path):
    """Where that server does not say its id and name, a module reads them as it does."""
    (tmp_path / "modulesettings.json").write_text(text, encoding="utf-8")
    with running(tmp_path, PROBE, "Demo", CPAI_MODULE_ID="", CPAI_MODULE_NAME="",
                 CPAI_MODULE_QUEUENAME="") as (server, _):
        reply = ask(server, "echo")
        assert (reply["moduleId"], reply["moduleName"]) == ("Demo", "A demo")


def test_defect_24_loud(tmp_path, steps):
    """At the loudest, a command without a name is answered, and a cancel is."""
    with running(tmp_path, steps=steps, CPAI_LOG_VERBOSITY="Loud") as (server, _):
        assert server.request("")["dataCommand"] == ""
        assert server.request(None)["command"] == ""
        id = start(server, "long-coroutine")
        steps.begun()
        assert cancel(server, id)["success"] is True
        assert end_of(server, id)["commandStatus"] == "cancelled"


def test_a_module_status_that_raises(tmp_path):
    """A module_status that raises once is not the last one."""
    source = PROBE.replace("    def cleanup", '''    calls = 0

    def module_status(self):
        Probe.calls += 1
        if Probe.calls == 1:
            raise ValueError("not loaded yet")
        return {"loaded": True}

    def cleanup''')
    quick = "import longop.codeproject.queue; longop.codeproject.queue.STATUS_INTERVAL = 0.05"
    with running(tmp_path, source, "ProbeModule", before=quick) as (server, _):
        wait_until(lambda: server.statuses)
        assert server.statuses[0]["loaded"] is True

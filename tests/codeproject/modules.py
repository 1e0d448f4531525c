"""Modules of CodeProject.AI Server, run as processes beside a stand-in for it."""

import contextlib
import socket
import sys

from longop.codeproject.queue import FIRST_PAUSE

from ..waiting import WAIT, wait_until
from .queue_server import QueueServer, module

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
# The grace of a command that says that it ends by itself is over at once, as is that of what
# does not stop.
AT_ONCE = '''
import threading
from longop.codeproject.checkpoints import GRACE

class Timer(threading.Timer):
    def start(self):
        self.function() if self.interval == GRACE else super().start()

threading.Timer = Timer
import longop
import longop.codeproject.module
longop.codeproject.module.STOPPING = 0
longop.LongOperation.__init__.__kwdefaults__["grace"] = 0
'''
# A pause between two polls is noted, and is over in a moment.
QUICKLY = '''
import threading, types
import longop.codeproject.queue

class Event(threading.Event):
    def wait(self, seconds=None):
        is_main = threading.current_thread() is threading.main_thread()  # waits for the end
        if is_main or seconds in (None, 3600):
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


def pauses(folder):
    """Return the pauses between polls that a module has noted, which runs `QUICKLY`."""
    file = folder / "pauses"
    # Without what is half a line yet.
    whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
    return [float(line) for line in whole.split()]


def assert_that_pauses_grow(polls):
    """Check the first pauses between polls that fail; they may be longer, but not shorter."""
    for number, (poll, after) in enumerate(zip(polls, polls[1:5])):
        assert after - poll > 0.9 * FIRST_PAUSE * 2 ** number


ENTRY = '{"payload":{"command":"%s","values":%s,"files":[],"urlSegments":[]},"reqid":"7"}'

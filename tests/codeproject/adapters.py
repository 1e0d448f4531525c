"""Adapters of CodeProject.AI Server as files, and a door to serve them without it."""

import json

import pytest

from longop import TargetError
from longop.cli.target import load
from longop.web.api import Api
from longop.web.held import wait

from ..waiting import wait_until

RUNNING = "A long running command is already in progress"
LONG_PROCESS = '''
import time
cancelled = False
def a_long_process(callback):
    result = ""
    step = 0
    cancelled = False
    for i in range(1, 11):
        if cancelled: break
        time.sleep(1)
        step = 1 if not step else step + 1
        result = str(step) if not result else f"{result} {step}"
        callback(result, step)

def cancel_process():
    global cancelled
    cancelled = True
'''
# As it stands in the article, but for the line that imports it.
ARTICLE = '''
import time

from longop.codeproject import JSON, ModuleRunner, RequestData

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
SETTINGS = {"Modules": {"PythonLongProcess": {"Name": "Python Long Process Demo", "RouteMaps": [
    {"Name": "Long Process", "Route": "pythonlongprocess/long-process", "Command": "command"}]}}}
TWO = {"Modules": {"Mod": {"RouteMaps": [
    {"Name": "One", "Route": "mod/one", "Command": "first", "Description": "Do one thing."},
    {"Name": "Two", "Route": "mod/deep/two", "Command": "second"}]}}}
HEAD = '''
import asyncio
import threading
from longop.codeproject import JSON, ModuleRunner, RequestData

MAY = threading.Semaphore(0)
SEEN = []
'''
# Goes on, step by step as the test lets it, and can be told to stop in more than one way.
STEPS = HEAD + '''
class Steps(ModuleRunner):
    steps, result = 0, None

    def process(self, data):
        self.most, self.fails = data.get_int("most", 1_000_000), False
        return self.long

    def long(self, data):
        self.result, self.steps = "", 0
        SEEN.append("begun")
        try:
            while self.steps < self.most:
                MAY.acquire(timeout=10)
                if self.fails:
                    raise ValueError("told to fail")
                self.steps += 1
                self.result += f"{self.steps} "
        finally:
            SEEN.append(("finally", self.steps))
            self.tidy = True
        return {"result": self.result, "inferenceMs": 40}

    def command_status(self):
        return {"result": self.result, "step": self.steps, "total": 10, "message": "on we go"}

    def cancel_command_task(self):
        SEEN.append("told")
'''
ANSWERS = HEAD + '''
class Answers(ModuleRunner):
    def process(self, data):
        how = data.get_value("how")
        if how == "raise":
            raise ValueError("no such thing")
        if how == "exit":
            raise SystemExit("it is over")
        return {"dict": {"x": 1}, "said": {"success": True, "x": 1},
                "bad": {"success": False, "error": "no face"}, "list": [1, 2], "text": "\\u00e9",
                "number": 0, "nan": {"x": float("nan")}, "bytes": b"\\0\\xff",
                "deep": {"success": True, "x": {1: {2, 2}}}, "empty": {}}.get(how)
'''
ASYNC = HEAD + '''
class Async(ModuleRunner):
    force = True

    async def process(self, data):
        await asyncio.sleep(0)
        return {"x": 1} if data.get_value("quick") else self.long

    async def long(self, data):
        try:
            SEEN.append("waits")
            await asyncio.sleep(1000)
        finally:
            SEEN.append("ended")

    def cancel_command_task(self):
        self.force_shutdown = self.force
'''


class Door:
    """The HTTP API of some operations, without a server. Its methods make requests."""

    def __init__(self, operations):
        self.operations, self.api = operations, Api(operations)
        self.module = operations[0].owner
        if self.module:
            self.runner = self.module.runner
            self.path = f"/v1/{self.module.paths(operations[0])[0]}"

    @property
    def live(self):
        return [job for operation in self.operations for job in list(operation.live.values())]

    def ask(self, method, path, body=b"", kind=None, **headers):
        """Return the status, the body of an answer, and its headers."""
        if not isinstance(body, bytes):
            body, kind = json.dumps(body).encode(), kind or "application/json"
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        lines += [f"Content-Type: {kind}"] if kind else []
        request = self.api.read_head("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        response, *events = wait(self.api.answer(request.with_body(body)))
        text = b"".join([response.body or b"", *events])
        return response.status, (json.loads(text) if "json" in response.content_type else text)

    def post(self, path="", body=b"", **headers):
        return self.ask("POST", path or self.path, body, **headers)[1]

    def start(self, body=b"", path="", **headers):
        """Start a long command; return its job."""
        answer = self.post(path, body, **headers)
        assert answer["success"] is True, answer
        assert answer["message"] == "Command is running in the background"
        return next(job for job in self.live if job.id == answer["commandId"])

    def status(self, id):
        return self.post(f"/v1/{self.module.id}/get_command_status", {"commandId": id})

    def cancel(self, id):
        return self.post(f"/v1/{self.module.id}/cancel_command", {"commandId": id})


def until_seen(module, what):
    wait_until(lambda: what in module.SEEN)


def error(place):
    """Return the error of a target, which must be one line."""
    with pytest.raises(TargetError) as caught:
        load(place)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)

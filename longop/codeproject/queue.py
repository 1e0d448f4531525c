"""A module of CodeProject.AI Server: an adapter, or any function, that gets its work there.

    server's queue ── GET, which waits ──▶ module ── POST, the answer ──▶ server

An adapter runs with its import line changed and nothing else: ``from longop.codeproject import
JSON, ModuleRunner, RequestData``. It needs no server: ``python -m longop.serve adapter.py``. As a
module of one, which ``python -m longop.codeproject TARGET`` is too, it dials out only, to
``http://localhost:$CPAI_PORT/v1/``, with a thread for each of ``$CPAI_MODULE_PARALLELISM`` requests
at a time, and one that says every two seconds how it is.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import Any, Callable
from urllib.parse import quote, urlencode

from .adapter import Functions
from .commands import unable
from ..errors import LongOperationError
from ..job import logger
from ..jsontext import dumps, to_text
from ..operation import close_all
from .sdk import ModuleRunner, RequestData

PERIOD = 2.0  # seconds between two statuses
TIMEOUT = 10.0  # seconds for the server to take something
PATIENCE = 2.0  # seconds for the last answers, of the three that the server waits for the end
PAUSE, LONGEST = 0.05, 2.0  # seconds after a poll that failed, and after many of them
_UNLOGGED = "get_command_status", "get_module_status", "status", "get_status", "list-custom"
_LEVELS = {"INFO": "information"}


class Polling:
    """Does for a module what the server says, until that, or a signal, is to quit."""

    def __init__(self, module: Functions) -> None:
        self._module, self._runner = module, module.runner
        self._over = threading.Event()
        self._parked: set[_Server] = set()  # whose poll waits
        self._unsaid: deque[dict[str, str]] = deque(maxlen=1000)  # log entries
        self._passing = threading.Lock()  # they are passed on in one thread at a time
        self._troubled = False

    def run(self) -> None:
        """Go on until the end."""
        handler = logging.Handler()
        handler.emit = self._log  # type: ignore[method-assign]
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        with contextlib.suppress(ValueError):  # it is not the main thread
            for number in signal.SIGINT, signal.SIGTERM:
                # In a thread, for this one may hold the lock that ``set`` needs.
                signal.signal(number, lambda *ignored: threading.Thread(
                    target=self._over.set).start())
        teller, *polls = (threading.Thread(target=target, daemon=True) for target in [
            self._tell, *[self._poll] * self._runner.parallelism])
        for thread in (teller, *polls):
            thread.start()
        while not self._over.wait(3600.0):
            pass
        logger.info("Shutting down")
        for server in [*self._parked]:
            server.hang_up()
        end = time.monotonic() + PATIENCE
        for thread in polls:  # what was taken from the queue is answered
            thread.join(max(0.0, end - time.monotonic()))
        close_all(self._module.operations)
        self._module.close()
        self._pass_on(_Server(self._runner.port))
        logger.removeHandler(handler)

    # In threads of their own

    def _poll(self) -> None:
        server, pause = _Server(self._runner.port), PAUSE
        path = f"queue/{quote(self._runner.queue_name.lower())}?moduleId={quote(self._module.id)}"
        while not self._over.is_set():
            self._parked.add(server)
            try:
                # Without a time limit: an entry that comes just when it is over would be lost.
                status, text = server.ask("GET", path)
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, repr(error)
            self._parked.discard(server)
            if status == 200 and self._answer(server, text):
                pause, self._troubled = PAUSE, False
                continue
            if not (self._over.is_set() or self._troubled):  # once, till there is an entry again
                print(f"no work from the server: {status or text}", file=sys.stderr, flush=True)
            self._troubled = True
            self._over.wait(pause)
            pause = min(2 * pause, LONGEST)

    def _answer(self, server: _Server, text: str) -> bool:
        """Answer an entry of the queue; return whether it was one."""
        try:
            data = RequestData(text)
            command, path = str(data.command or ""), f"queue/{quote(data.request_id, safe='')}"
        except Exception:
            logger.exception("not an entry of a queue: %.200s", text)
            return False
        if command.lower() not in _UNLOGGED:
            logger.debug("Retrieved %s command '%s'", self._runner.queue_name, command)
        answer = self._module.wrap(self._do(data, command.lower()), command, data.request_id)
        try:
            status, said = server.ask("POST", f"{path}?moduleId={quote(self._module.id)}",
                                      dumps(answer), "application/json")
            if status != 200:
                logger.warning("the answer to %s was not taken: %s", data.request_id, said)
        except (OSError, http.client.HTTPException):
            logger.exception("the answer to %s is lost", data.request_id)
        if command.lower() == "quit" and answer["success"]:
            self._over.set()
        return True

    def _do(self, data: RequestData, command: str) -> dict[str, Any]:
        """Return the answer to a command."""
        module = self._module
        known: dict[str, Callable[[], dict[str, Any]]] = {
            "get_command_status": lambda: module.status(to_text(data.get_value("commandId", ""))),
            "cancel_command": lambda: module.cancel(to_text(data.get_value("commandId", ""))),
            "get_module_status": self._status, "status": self._status, "quit": lambda: _quit(
                module.id, to_text(data.get_value("moduleId", ""))),
            "selftest": lambda: {**self._runner.selftest()}}
        try:
            if data.command is None:
                raise ValueError("there is no command in it")
            if self._over.is_set():
                raise LongOperationError("the module is shutting down")
            return known[command]() if command in known else module.process(data)
        except LongOperationError as error:
            return {"success": False, "error": str(error)}
        except BaseException:  # SystemExit too
            logger.exception("%s", command)
            return unable(data.request_id)

    def _status(self) -> dict[str, Any]:
        return {"success": True, **statistics(self._runner)}

    def _tell(self) -> None:
        server = _Server(self._runner.port)
        while not self._over.is_set():
            with contextlib.suppress(Exception):  # whatever the adapter's module_status raises
                server.ask("POST", f"queue/updatemodulestatus/{quote(self._module.id)}",
                           urlencode({"statusData": dumps(statistics(self._runner))}))
                self._pass_on(server)
            self._over.wait(PERIOD)

    def _log(self, record: logging.LogRecord) -> None:
        name = record.levelname
        self._unsaid.append({"entry": logging.Formatter().format(record), "label": "",
                             "category": self._module.name,
                             "log_level": _LEVELS.get(name, name.lower())})

    def _pass_on(self, server: _Server) -> None:
        """Pass on what was logged."""
        with self._passing, contextlib.suppress(OSError, http.client.HTTPException):
            while self._unsaid:
                server.ask("POST", "log/", urlencode(self._unsaid[0]))
                self._unsaid.popleft()


def _quit(id: str, given: str) -> dict[str, Any]:
    if given.lower() != id.lower():
        raise LongOperationError(f"it is {given or 'no module'} that is to quit, and not {id}")
    return {"success": True}


class _Server(http.client.HTTPConnection):
    """A connection to the server, made anew when it is broken."""

    def __init__(self, port: int) -> None:
        super().__init__("localhost", port)

    def ask(self, method: str, path: str, body: str | None = None,
            kind: str = "application/x-www-form-urlencoded") -> tuple[int, str]:
        """Return the status and the text of an answer.

        What is posted is sent once more if a connection that was kept is broken.
        """
        kept = self.sock is not None
        try:
            self.timeout = TIMEOUT if body else None
            if kept:
                self.sock.settimeout(self.timeout)
            self.request(method, f"/v1/{path}", body and body.encode(),
                         {"Content-Type": kind} if body else {})
            answer = self.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            self.close()
            if kept and body:
                return self.ask(method, path, body, kind)
            raise

    def hang_up(self) -> None:
        """Ask for nothing more; what is on its way may still come."""
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_WR)


def statistics(runner: ModuleRunner) -> dict[str, Any]:
    """Return what a module says of itself, and how its commands went."""
    good, bad = runner._successful_inferences, runner._failed_inferences
    return {**(runner.module_status() or {}), "inferenceDevice": runner.inference_device,
            "inferenceLibrary": runner.inference_library,
            "canUseGPU": str(runner.can_use_GPU).lower(), "successfulInferences": good,
            "failedInferences": bad, "numInferences": good + bad,
            "averageInferenceMs": good and runner._total_inference_time_ms / good}

"""A module of CodeProject.AI Server: it gets its work from the server's queue.

    queue ── GET, held until there is work ──▶ module ── POST, the answer ──▶ server

The module only dials out, to ``http://localhost:$CPAI_PORT/v1/``. Its threads are:

- the main thread, in `Polling.run`: starts the others, waits for the end, and cleans up;
- ``$CPAI_MODULE_PARALLELISM`` poll threads: each gets a request, answers it, and polls again;
- one that sends the module's status, and what was logged;
- one for each job: that is the operation's.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections import deque
from typing import Any, Callable, Mapping
from urllib.parse import quote, urlencode

from ..cli.signals import ENDING, end_with_window
from ..errors import LongOperationError
from ..job import logger
from ..values.jsontext import dumps, to_text
from ..values.waits import wait_for
from ..operation import close_all
from .connection import Connection
from .hosted import HostedModule
from .module import say_error, say_unable
from .request import RequestData

STATUS_INTERVAL = 2.0  # seconds between two statuses
#: Seconds for the last answers. The server waits 3 seconds for the end of a module.
LAST_ANSWERS = 2.0
FIRST_PAUSE = 0.05  # seconds after a poll that failed; doubled after each further one ...
LONGEST_PAUSE = 2.0  # ... up to this
_LOG_ENTRIES = 1000  # kept while the server takes none
#: Commands that come all the time.
_UNLOGGED = ("get_command_status", "get_module_status", "status", "get_status", "list-custom")
#: Log levels that .NET calls otherwise.
_LEVELS = {"INFO": "information"}

Answer = Mapping[str, Any]


class Polling:
    """Does what the server asks of a module, until the server, or a signal, says to quit."""

    def __init__(self, module: HostedModule) -> None:
        self._module = module
        self._runner = module.runner
        # Set once: by a poll thread that was told to quit, or because of a signal. From then
        # on no poll begins, and a request that is still taken from the queue is answered with
        # an error. `run` waits for the event, and then ends the polls, the jobs and the module.
        self._over = threading.Event()
        # The connections whose polls are waiting. Each poll thread adds and removes its own;
        # `run` reads a copy. A set does each of these atomically.
        self._parked: set[Connection] = set()
        # Log entries: appended by any thread, removed by the one that holds the lock.
        self._unsent_log: deque[dict[str, str]] = deque(maxlen=_LOG_ENTRIES)
        self._sending_log = threading.Lock()
        # Whether it was printed that polls fail. The poll threads share it without a lock: at
        # worst it is printed twice.
        self._is_troubled = False
        # The commands that every module knows. All others are for its operations.
        self._commands: Mapping[str, Callable[[RequestData], Answer]] = {
            "get_command_status": self._say_status,
            "cancel_command": self._cancel,
            "get_module_status": self._say_module_status,
            "status": self._say_module_status,
            "selftest": self._test,
            "quit": self._quit,
        }

    def run(self) -> None:
        """Run until the end. Called in the main thread, so that signals can end it."""
        handler = logging.Handler()
        handler.emit = self._log  # type: ignore[method-assign]
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        self._end_on_signals()
        polls = [threading.Thread(target=self._poll, daemon=True)
                 for _ in range(self._runner.parallelism)]
        telling = threading.Thread(target=self._tell, daemon=True)
        for thread in (telling, *polls):
            thread.start()
        wait_for(self._over)
        logger.info("Shutting down")
        self._finish(polls)
        logger.removeHandler(handler)

    def _end_on_signals(self) -> None:
        def end(*ignored: object) -> None:
            # In another thread: the main thread, which is interrupted here, waits for the
            # event, and may hold the lock that `set` needs.
            threading.Thread(target=self._over.set).start()

        with contextlib.suppress(ValueError):  # this is not the main thread
            for number in ENDING:
                signal.signal(number, end)
            end_with_window()

    def _finish(self, polls: list[threading.Thread]) -> None:
        """End the polls, then the jobs, then the module; send what was logged."""
        for server in list(self._parked):
            server.hang_up()
        end = time.monotonic() + LAST_ANSWERS
        for thread in polls:  # what was taken from the queue is answered
            thread.join(max(0.0, end - time.monotonic()))
        close_all(self._module.operations)  # and so their owner, the module
        with contextlib.closing(Connection(self._runner.port)) as server:
            self._send_log(server)

    # In the poll threads

    def _poll(self) -> None:
        """Get a request and answer it, until the end."""
        server = Connection(self._runner.port)
        queue = quote(self._runner.queue_name.lower())
        path = f"queue/{queue}?moduleId={quote(self._module.id)}"
        pause = FIRST_PAUSE
        while not self._over.is_set():
            status, text = self._get_entry(server, path)
            if status == 200 and self._answer(server, text):
                pause = FIRST_PAUSE
                self._is_troubled = False
                continue
            self._say_trouble(status, text)
            self._over.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _get_entry(self, server: Connection, path: str) -> tuple[int, str]:
        """Return the status and the text of a poll, or 0 and the error if it failed."""
        # `run` may miss a poll that begins just as it hangs up. That does no harm: what this
        # poll gets is answered with an error, and `run` does not wait for it for long.
        self._parked.add(server)
        try:
            # Without a time limit: an entry that came just as the time is up would be lost.
            return server.ask("GET", path)
        except OSError as error:
            return 0, repr(error)
        finally:
            self._parked.discard(server)

    def _say_trouble(self, status: int, text: str) -> None:
        """Print why there is no work, once for each time that there is none."""
        if not (self._is_troubled or self._over.is_set()):
            print(f"no work from the server: {status or text}", file=sys.stderr, flush=True)
        self._is_troubled = True

    def _answer(self, server: Connection, text: str) -> bool:
        """Answer an entry of the queue; return whether it was one."""
        try:
            data = RequestData(text)
            command = str(data.command or "")
            path = f"queue/{quote(data.request_id, safe='')}?moduleId={quote(self._module.id)}"
        except Exception:  # an entry may be anything
            logger.exception("not an entry of a queue: %.200s", text)
            return False
        if command.lower() not in _UNLOGGED:
            logger.debug("Retrieved %s command '%s'", self._runner.queue_name, command)
        answer = self._module.wrap(self._do(data, command.lower()), command, data.request_id)
        self._send(server, path, data.request_id, answer)
        # After the answer, so that the server gets it before the process ends.
        if command.lower() == "quit" and answer["success"]:
            self._over.set()
        return True

    def _send(self, server: Connection, path: str, request_id: str, answer: Answer) -> None:
        """Send an answer. If the server does not take it, it is lost."""
        try:
            status, said = server.ask("POST", path, dumps(answer), "application/json")
            if status != 200:
                logger.warning("the answer to %s was not taken: %s", request_id, said)
        except OSError:
            logger.exception("the answer to %s is lost", request_id)

    def _do(self, data: RequestData, command: str) -> Answer:
        """Return the answer to a command, which is in lower case."""
        try:
            if data.command is None:
                raise ValueError("there is no command in it")
            if self._over.is_set():
                raise LongOperationError("the module is shutting down")
            known = self._commands.get(command)
            if known is not None:
                return known(data)
            return self._module.say_begun(self._module.process(data))
        except LongOperationError as error:
            return say_error(error)
        except BaseException:  # SystemExit too: a request does not end the module
            logger.exception("%s", command)
            return say_unable(data.request_id)

    def _say_status(self, data: RequestData) -> Answer:
        return self._module.status(to_text(data.get_value("commandId", "")))

    def _cancel(self, data: RequestData) -> Answer:
        return self._module.cancel(to_text(data.get_value("commandId", "")))

    def _say_module_status(self, data: RequestData) -> Answer:
        return {"success": True, **self._module.statistics()}

    def _test(self, data: RequestData) -> Answer:
        return {**self._runner.selftest()}

    def _quit(self, data: RequestData) -> Answer:
        """Agree to quit, if this module is meant."""
        given = to_text(data.get_value("moduleId", ""))
        if given.lower() != self._module.id.lower():
            raise LongOperationError(
                f"it is {given or 'no module'} that is to quit, and not {self._module.id}")
        return {"success": True}

    # In the thread that reports

    def _tell(self) -> None:
        """Send the module's status and its log, until the end."""
        server = Connection(self._runner.port)
        path = f"queue/updatemodulestatus/{quote(self._module.id)}"
        while not self._over.is_set():
            with contextlib.suppress(Exception):  # a module_status() may raise anything
                status = dumps(self._module.statistics())
                server.ask("POST", path, urlencode({"statusData": status}))
                self._send_log(server)
            self._over.wait(STATUS_INTERVAL)

    def _send_log(self, server: Connection) -> None:
        """Send what was logged. Called by the thread that reports, and by `run` at the end."""
        with self._sending_log, contextlib.suppress(OSError):
            while self._unsent_log:
                server.ask("POST", "log/", urlencode(self._unsent_log[0]))
                self._unsent_log.popleft()  # afterwards, so that none is lost

    # In any thread

    def _log(self, record: logging.LogRecord) -> None:
        self._unsent_log.append({
            "entry": logging.Formatter().format(record),
            "label": "",
            "category": self._module.name,
            "log_level": _LEVELS.get(record.levelname, record.levelname.lower()),
        })

"""Operations that another Python serves: start, watch and cancel them from here.

    server = longop.client.connect("http://pi.local:32168/?token=...")
    job = server.a_long_process.start()
    for status in job.updates(): ...

``python -m longop.client URL [operation name=value ...]`` does the same in a terminal.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
import time
from concurrent import futures
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, TypeVar
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from . import wings
from .errors import (BadParameters, Busy, DeadlineExceeded, ForgottenJob, HistoryError,
                     KeyReused, LongOperationError, RequestError, TargetError, UnknownJob,
                     WorkerLost)
from .job import Job
from .values.jsontext import dumps, loads
from .status import State, Status

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPResponse

SILENCE = 35.0  # seconds, more than two heartbeats, after which a connection counts as dead
LONGEST_POLL = 20.0  # seconds that the server holds an answer back
FIRST_PAUSE = 0.1  # seconds before a request is repeated; it doubles with each repetition
LONGEST_PAUSE = 2.0
AWAY = (502, 503, 504)  # what a proxy answers while the server behind it restarts

T = TypeVar("T")


def connect(url: str, token: str = "", patience: float = 30.0,
            context: ssl.SSLContext | None = None) -> RemoteServer:
    """Return the server at a URL, with its operations.

    :param url: the address that the server has printed; the token may be in it.
    :param token: the server's token, if it has one.
    :param patience: for how many seconds a request is repeated while the server is away. That
        starts nothing twice: a start has a key, and other requests may be repeated.
    :param context: for a server whose certificate is not signed by a known authority.

    Raises ``OSError`` if there is no server, and `LongOperationError` if it refuses.
    """
    return RemoteServer(url, token, patience, context)


class RemoteServer:
    """A server. Each of its operations is an attribute, and all are in ``operations``."""

    def __init__(self, url: str, token: str, patience: float,
                 context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._token = token or parse_qs(parts.query).get("token", [""])[0]
        self._context = context
        self._patience = 0.0  # the first request is not repeated: the address may be wrong
        described = self.ask("/v1")["operations"]
        self.operations = [RemoteOperation(self, one) for one in described]
        self._patience = patience

    def __getattr__(self, name: str) -> RemoteOperation:
        if name == "operations":  # not there yet: without this, it would be looked up for ever
            raise AttributeError(name)
        for operation in self.operations:
            if name in (operation.name, f"{operation.module}/{operation.name}"):
                return operation
        known = ", ".join(operation.name for operation in self.operations)
        raise AttributeError(f"{self._root} has no operation {name!r}; it has {known}")

    def job(self, id: str) -> RemoteJob:
        """Return the job of this id. Whether there is one shows when it is used."""
        return RemoteJob(self, id)

    def ask(self, path: str, parameters: Mapping[str, Any] | None = None,
            **headers: str) -> Any:
        """Return the JSON at a path, or the answer to parameters that are posted there.

        :param headers: further headers, with ``_`` for ``-``.
        """
        return self.open(path, _read_json, parameters, **headers)

    def open(self, path: str, read: Callable[[HTTPResponse], T],
             parameters: Mapping[str, Any] | None = None, **headers: str) -> T:
        """Request a path and read the answer. Repeat both while the server is away.

        :param read: reads the answer; if that raises ``OSError``, the request is repeated too.
        """
        request = self._request(path, parameters, headers)
        end = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return read(urlopen(request, timeout=SILENCE, context=self._context))
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, HTTPError) and error.code not in AWAY:
                    raise _read_error(error) from None
                if time.monotonic() > end:
                    raise OSError(f"no answer from {self._root}: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _request(self, path: str, parameters: Mapping[str, Any] | None,
                 headers: Mapping[str, str]) -> Request:
        """Return a GET, or a POST if there are parameters."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if parameters is None:
            return Request(self._root + path, headers=sent)
        sent["Content-Type"] = "application/json"
        return Request(self._root + path, dumps(parameters).encode(), sent)


class RemoteOperation:
    """An operation of a server; ``parameters`` is the JSON Schema of what it takes."""

    def __init__(self, server: RemoteServer, described: Mapping[str, Any]) -> None:
        self._server = server
        self._path: str = described["start"]
        self.module: str = described["module"]
        self.name: str = described["name"]
        self.description: str = described["description"]
        self.parameters: dict[str, Any] = described["parameters"]

    def __call__(self, **parameters: Any) -> Any:
        """Run it, and return its result."""
        return self.start(**parameters).result()

    def start(self, /, **parameters: Any) -> RemoteJob:
        """Start a job; raise `BadParameters` and `Busy` as `LongOperation.start` does."""
        key = os.urandom(16).hex()  # so that a start whose answer is lost can be repeated
        status = self._server.ask(self._path, parameters, Prefer="respond-async",
                                  Idempotency_Key=key)
        return RemoteJob(self._server, status["id"])


class RemoteJob:
    """A job of a server. It has what a `Job` has, except for the other methods of a Future."""

    def __init__(self, server: RemoteServer, id: str) -> None:
        self.id = id
        self._server = server
        self._path = f"/v1/jobs/{id}"

    def status(self) -> Status:
        """Return a snapshot; raise `UnknownJob` or `ForgottenJob`."""
        return _read_status(self._server.ask(self._path))

    def updates(self) -> Iterator[Status]:
        """Yield the status now, then at each change, then at the end, which is the last.

        If the connection breaks, it goes on over a new one.
        """
        seen = ""
        while True:
            with self._open_events(seen) as events:
                # A broken connection ends the stream, as a server does that is shut down.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    for status in _read_events(events):
                        seen = str(status.version)
                        yield status
                        if status.state.is_terminal:
                            return
                if events.status == 204:
                    # To this server the version that was seen is the last one, but we have not
                    # seen the end: the job was begun again by another server.
                    seen = ""
            time.sleep(FIRST_PAUSE)  # the server may cut every stream at once

    def cancel(self) -> bool:
        """Ask the job to stop; return True if it was still alive."""
        if self.status().state.is_terminal:
            return False  # the answer to a cancel would not tell whether it is the reason
        status = _read_status(self._server.ask(f"{self._path}/cancel", {}))
        return not status.state.is_terminal or status.state is State.CANCELLED

    def result(self, timeout: float | None = None) -> Any:
        """Return the function's value; raise its error, or ``CancelledError``.

        The function's error is raised as a `LongOperationError` that says what it was. Raises
        ``concurrent.futures.TimeoutError`` if the job has not ended in time.

        :param timeout: how many seconds to wait at most.
        """
        end = float("inf") if timeout is None else time.monotonic() + timeout
        status = self.status()
        while not status.state.is_terminal:
            left = end - time.monotonic()
            if left <= 0:
                raise futures.TimeoutError
            status = self._wait(status.version, min(left, LONGEST_POLL))
        return Job.of(status).result()

    def _wait(self, version: int, seconds: float) -> Status:
        """Return the status once it is newer than a version, or after some seconds."""
        query = f"?since={version}&wait={seconds:.3f}"
        return _read_status(self._server.ask(self._path + query))

    def _open_events(self, seen: str) -> HTTPResponse:
        return self._server.open(f"{self._path}/events", lambda answer: answer,
                                 Last_Event_ID=seen)


# What the server answers


def _read_json(answer: HTTPResponse) -> Any:
    with answer:
        return loads(answer.read().decode())


def _read_events(events: HTTPResponse) -> Iterator[Status]:
    """Yield the statuses of an event stream. A line that was cut off is left out."""
    for line in events:
        if line.startswith(b"data: ") and line.endswith(b"\n"):
            yield _read_status(loads(line[len(b"data: "):].decode()))


_STATUS_FIELDS = {field.name for field in fields(Status)}


def _read_status(record: Mapping[str, Any]) -> Status:
    """Return a status; what a newer server knows beyond that is left out."""
    known = {name: value for name, value in record.items() if name in _STATUS_FIELDS}
    known["state"] = State(known["state"])
    return Status(**known)


#: Errors that are made of a message alone, by the last part of a problem's type. `_read_error`
#: makes the others.
_PLAIN_ERRORS = {kind.__name__: kind for kind in (
    LongOperationError, DeadlineExceeded, ForgottenJob, HistoryError, KeyReused, TargetError,
    UnknownJob, WorkerLost)}


def _read_error(error: HTTPError) -> LongOperationError:
    """Return the exception that a problem (RFC 9457) was made of."""
    problem = _read_problem(error)
    kind = str(problem.get("type", "")).rpartition("/")[2]
    detail = str(problem.get("detail") or error)
    retry_after = error.headers.get("Retry-After", "")
    raised: LongOperationError
    if kind == BadParameters.__name__ and isinstance(problem.get("errors"), dict):
        raised = BadParameters(problem["errors"])
    elif kind == Busy.__name__:
        seconds = int(retry_after) if retry_after.isdigit() else None
        raised = Busy(detail, problem.get("job_id") or "", seconds)
    elif kind == RequestError.__name__:
        raised = RequestError(error.code, detail)
    else:
        raised = _PLAIN_ERRORS.get(kind, LongOperationError)(detail)
    raised.status = error.code
    return raised


def _read_problem(error: HTTPError) -> dict[str, Any]:
    """Return the members of a problem, or none if a server in between has answered."""
    with contextlib.suppress(ValueError, OSError, http.client.HTTPException):
        problem = _read_json(error)  # type: ignore[arg-type]  # it is an answer, too
        if isinstance(problem, dict):
            return problem
    return {}


def main(arguments: list[str] | None = None, prog: str = "python -m longop.client") -> int:
    """List the operations of a server, or run one; return the exit code.

    :param prog: how the command was called, for its usage message.
    """
    try:
        command: Any = wings.require("cli.client", prog)
    except LongOperationError as error:
        print(f"longop.client: {error}", file=sys.stderr)
        return 2
    code: int = command.main(connect, arguments, prog)
    return code


if __name__ == "__main__":
    sys.exit(main())

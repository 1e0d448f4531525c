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
from base64 import b64decode, b64encode
from concurrent import futures
from dataclasses import fields
from typing import IO, TYPE_CHECKING, Any, Callable, Iterator, Mapping, TypeVar
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import BaseHandler, HTTPRedirectHandler, Request, build_opener

from . import wings
from .errors import (BadParameters, Busy, DeadlineExceeded, ForgottenJob, HistoryError,
                     KeyReused, LongOperationError, RequestError, TargetError, UnknownJob,
                     WorkerLost)
from .job import Job
from .values.jsontext import dumps, loads
from .status import State, Status

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPMessage, HTTPResponse

SILENCE = 35.0  # seconds, more than two heartbeats, after which a connection counts as dead
LONGEST_POLL = 20.0  # seconds that the server holds an answer back
FIRST_PAUSE = 0.1  # seconds before a request is repeated; it doubles with each repetition
LONGEST_PAUSE = 2.0
AWAY = (502, 503, 504)  # what a proxy answers while the server behind it restarts
MAX_ANSWER = 256_000_000  # bytes of a body, or of a line of a stream
_PIECE = 65_536  # bytes that are read at once

T = TypeVar("T")


def connect(url: str, token: str = "", patience: float = 30.0,
            context: ssl.SSLContext | None = None) -> RemoteServer:
    """Return the server at a URL, with its operations.

    :param url: the address that the server has printed; the token may be in it. Behind a proxy
        it has the path below which the proxy serves it.
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
        if parts.scheme == "https" and not hasattr(http.client, "HTTPSConnection"):
            raise LongOperationError(
                "https needs the module ssl, which this Python does not have")
        self._root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._token = token or parse_qs(parts.query).get("token", [""])[0]
        self._opener = build_opener(_Redirects(), *_https(context))
        self._patience = 0.0  # the first request is not repeated: the address may be wrong
        described = self.ask("/v1")
        with _understood(f"the answer of {self._root}/v1"):
            self.operations = [RemoteOperation(self, one) for one in described["operations"]]
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
                return read(self._opener.open(request, timeout=SILENCE))
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, HTTPError):
                    if error.code not in AWAY:
                        raise _read_error(error) from None
                    error.close()  # it is an answer, with a connection of its own
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


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect of a reading request, and takes the token to no other origin."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str,
                         headers: HTTPMessage, newurl: str) -> Request | None:
        """Return the request to make instead, or None for an error."""
        if req.data is not None:
            return None  # urllib would make a GET of a start
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(newurl) != _origin(req.full_url):
            request.remove_header("Authorization")
        return request


def _origin(url: str) -> tuple[str, str]:
    """Return the scheme and the authority of a URL (RFC 6454 section 4)."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _https(context: ssl.SSLContext | None) -> list[BaseHandler]:
    if context is None:
        return []  # urllib has one, where this Python has ssl
    from urllib.request import HTTPSHandler

    return [HTTPSHandler(context=context)]


class RemoteOperation:
    """An operation of a server; ``parameters`` is the JSON Schema of what it takes."""

    def __init__(self, server: RemoteServer, described: Mapping[str, Any]) -> None:
        self._server = server
        self._path: str = described["start"]
        self.module: str = described["module"]
        self.name: str = described["name"]
        self.description: str = described["description"]
        # An older server tells the first paragraph of the docstring only.
        self.documentation: str = described.get("documentation", self.description)
        self.parameters: dict[str, Any] = described["parameters"]

    def __call__(self, /, **parameters: Any) -> Any:
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

    def log(self) -> str:
        """Return the last lines that the function printed, as `Job.log` does."""
        return self._server.open(f"{self._path}/log", _read_text)

    def series(self) -> dict[str, Any]:
        """Return the numbers that were reported, as `Job.series` does."""
        series: dict[str, Any] = self._server.ask(f"{self._path}/series")
        return series

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
        known = _Known()
        status = self._ask_for_more(known, 0)
        while not status.state.is_terminal:
            left = end - time.monotonic()
            if left <= 0:
                raise futures.TimeoutError
            status = self._ask_for_more(known, min(left, LONGEST_POLL))
        return Job.of(status).result()

    def _ask_for_more(self, known: _Known, seconds: float) -> Status:
        """Return the status once it is newer than the known one, or after some seconds."""
        query = f"?since={known.version}&have={known.length}&wait={seconds:.3f}"
        return known.take(self._server.ask(self._path + query))

    def _open_events(self, seen: str) -> HTTPResponse:
        return self._server.open(f"{self._path}/events?delta=1", lambda answer: answer,
                                 Last_Event_ID=seen)


class _Known:
    """What is known of a status: each answer brings what has changed, or all of it.

    The format is that of ``docs/http.md``, under "Deltas".
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] = {}
        self._is_bytes = False

    @property
    def version(self) -> int:
        """The version that is known, or -1."""
        return int(self._record.get("version", -1))

    @property
    def length(self) -> int:
        """How much of the result is known: characters, bytes, or items of a list."""
        result: Any = self._record.get("result")
        if self._is_bytes:
            return len(b64decode(result))
        return len(result) if isinstance(result, (str, list)) else 0

    def take(self, delta: Mapping[str, Any]) -> Status:
        """Take an answer; return the status that is known with it."""
        with _understood("a status of the server"):
            changed = dict(delta)
            more = changed.pop("append", None)
            if "result" in changed or more is not None:
                self._is_bytes = changed.pop("encoding", "") == "base64"
            self._record.update(changed)
            if more is not None:
                self._record["result"] = self._joined(self._record["result"], more)
        return _read_status(self._record)

    def _joined(self, result: Any, more: Any) -> Any:
        if self._is_bytes:
            return b64encode(b64decode(result) + b64decode(more)).decode()
        return result + more


# What the server answers


def _read_json(answer: HTTPResponse) -> Any:
    with answer, _understood(f"the answer of {answer.url}"):
        return loads(_read_all(answer).decode())


def _read_text(answer: HTTPResponse) -> str:
    with answer:
        return _read_all(answer).decode("utf-8", "replace")


def _read_all(answer: HTTPResponse) -> bytearray:
    """Return the body of an answer; raise an error if it is too large or cut off."""
    body = bytearray()
    while True:
        piece = answer.read(_PIECE)  # all at once would reserve memory for the largest body
        if not piece:
            break
        body += piece
        _check_size(body)
    if answer.length:  # how much is missing
        raise http.client.IncompleteRead(bytes(body), answer.length)
    return body


def _check_size(data: bytes | bytearray) -> None:
    if len(data) > MAX_ANSWER:
        raise LongOperationError(f"the server's answer is larger than {MAX_ANSWER:,} bytes")


def _read_events(events: HTTPResponse) -> Iterator[Status]:
    """Yield the statuses of an event stream. A line that was cut off is left out."""
    known = _Known()
    is_status = True
    while True:
        line = events.readline(MAX_ANSWER + 1)
        if not line:
            return
        _check_size(line)
        if line.startswith(b"event: "):
            is_status = line == b"event: status\n"
        elif not line.strip():
            is_status = True  # until the next event says otherwise
        elif is_status and line.startswith(b"data: ") and line.endswith(b"\n"):
            with _understood("an event of the server"):
                delta = loads(line[len(b"data: "):].decode())
            yield known.take(delta)


_STATUS_FIELDS = {field.name for field in fields(Status)}
#: Without these there is nothing to follow; the others may be missing in an older server.
_NEEDED_FIELDS = ("id", "module", "operation", "state", "version")


def _read_status(record: Mapping[str, Any]) -> Status:
    """Return a status; what a newer server knows beyond that is left out."""
    with _understood("a status of the server"):
        needed = {name: record[name] for name in _NEEDED_FIELDS}
        known = {name: value for name, value in record.items() if name in _STATUS_FIELDS}
        known["state"] = State(needed["state"])
        known["version"] = int(needed["version"])
        return Status(**known)


@contextlib.contextmanager
def _understood(what: str) -> Iterator[None]:
    """Raise an error that names the answer, if this version of longop cannot use it."""
    try:
        yield
    except LongOperationError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise LongOperationError(
            f"{what} is not what longop {wings.__version__} expects: {reason}") from error


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
    if 300 <= error.code < 400:
        detail = f"{error.url} redirects to {error.headers['Location']}: use that address"
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
    with contextlib.suppress(LongOperationError, OSError, http.client.HTTPException):
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

"""Operations that another Python serves: start, watch and cancel them from here.

    server = longop.client.connect("http://pi.local:32168/?token=...")
    job = server.a_long_process.start()
    for status in job.updates(): ...

``python -m longop.client URL [operation name=value ...]`` does the same in a terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import sys
import time
from concurrent import futures
from typing import Any, Callable, Iterator
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from .cli import terminal
from .errors import LongOperationError
from .job import Job
from .jsontext import dumps, loads
from .status import State, Status

SILENCE = 35.0  # seconds, more than two heartbeats, after which a connection is taken for dead


def connect(url: str, token: str = "", patience: float = 30.0, context: Any = None) -> Connection:
    """Return the operations that are served at a URL.

    :param url: as the server has printed it; the token may be in it.
    :param token: what the server wants to be shown.
    :param patience: for how many seconds to try again when the server is away. Nothing is done
        twice by that: a start has a key, and what else is asked may be asked again.
    :param context: an ``ssl.SSLContext``, if the server's certificate is one of its own.

    Raises ``OSError`` if there is no server, and `LongOperationError` for what it refuses.
    """
    return Connection(url, token, patience, context)


class Connection:
    """The operations of a server: each is an attribute, and all are in ``operations``."""

    def __init__(self, url: str, token: str, patience: float, context: Any) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._token = token or parse_qs(parts.query).get("token", [""])[0]
        self._context, self._patience = context, 0.0  # for a wrong address is wrong at once
        self.operations = [Operation(self, one) for one in self.ask("/v1")["operations"]]
        self._patience = patience

    def __getattr__(self, name: str) -> Operation:
        for operation in self.operations:
            if name in (operation.name, f"{operation.module}/{operation.name}"):
                return operation
        known = ", ".join(operation.name for operation in self.operations)
        raise AttributeError(f"{self._root} has no operation {name!r}; it has {known}")

    def job(self, id: str) -> RemoteJob:
        """Return the job of this id."""
        return RemoteJob(self, id)

    def ask(self, path: str, parameters: Any = None, **headers: str) -> Any:
        """Return the JSON at a path, or the answer to what is posted there."""
        return self.open(path, parameters, _read_json, **headers)

    def open(self, path: str, parameters: Any = None,
             read: Callable[[Any], Any] = lambda answer: answer, **headers: str) -> Any:
        """Open a path and read what is there, again and again while the server is away."""
        data = None if parameters is None else dumps(parameters).encode()  # which makes it a POST
        headers["Content_Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(self._root + path, data, {
            name.replace("_", "-"): value for name, value in headers.items()})
        end, pause = time.monotonic() + self._patience, 0.1
        while True:
            try:
                return read(urlopen(request, timeout=SILENCE, context=self._context))
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, HTTPError) and error.code not in (502, 503, 504):
                    raise _read_error(error) from None
                if time.monotonic() > end:
                    raise OSError(f"no answer from {self._root}: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, 2.0)


class Operation:
    """An operation that is served; ``parameters`` is the JSON Schema of what it takes."""

    def __init__(self, connection: Connection, fields: Any) -> None:
        self._connection, self._path = connection, fields["start"]
        self.module, self.name, self.description, self.parameters = (
            fields[key] for key in ("module", "name", "description", "parameters"))

    def __call__(self, **parameters: Any) -> Any:
        """Run it, and return its result."""
        return self.start(**parameters).result()

    def start(self, /, **parameters: Any) -> RemoteJob:
        """Start a job; raise `BadParameters` and `Busy` as `LongOperation.start` does."""
        status = self._connection.ask(self._path, parameters, Prefer="respond-async",
                                      Idempotency_Key=os.urandom(16).hex())
        return RemoteJob(self._connection, status["id"])


class RemoteJob:
    """A job of a server; what it lacks of a `Job` are Future's other methods."""

    def __init__(self, connection: Connection, id: str) -> None:
        self._connection, self._path, self.id = connection, f"/v1/jobs/{id}", id

    def status(self, query: str = "") -> Status:
        """Return a snapshot; raise `UnknownJob` or `ForgottenJob`."""
        return _read_status(self._connection.ask(self._path + query))

    def updates(self) -> Iterator[Status]:
        """Yield the status now, then at each change, then at the end, which is the last.

        If the connection breaks, it goes on with another one.
        """
        seen = ""
        while True:
            with self._connection.open(f"{self._path}/events", Last_Event_ID=seen) as events:
                try:
                    for line in events:
                        if line.startswith(b"data: ") and line.endswith(b"\n"):  # all of it
                            status = _read_status(loads(line[6:].decode()))
                            seen = str(status.version)
                            yield status
                            if status.state.is_terminal:
                                return
                except (OSError, http.client.HTTPException):
                    pass
                if events.status == 204:  # to that server this version is the last one
                    seen = ""
            time.sleep(0.1)  # for it may cut all of them at once

    def cancel(self) -> bool:
        """Ask the job to stop; return True if it was still alive."""
        status = _read_status(self._connection.ask(f"{self._path}/cancel", {}))
        return not status.state.is_terminal or status.state is State.CANCELLED

    def result(self, timeout: float | None = None) -> Any:
        """Return the function's value; raise its error, ``CancelledError`` or ``TimeoutError``.

        The error is a `LongOperationError` that says what the function's own was.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        status = self.status()
        while not status.state.is_terminal:
            left = end - time.monotonic()
            if left <= 0:
                raise futures.TimeoutError
            status = self.status(f"?since={status.version}&wait={min(left, 20.0):.3f}")
        return Job.of(status).result()


def _read_json(answer: Any) -> Any:
    with answer:
        return loads(answer.read().decode())


def _read_status(fields: Any) -> Status:
    return Status(**{**fields, "state": State(fields["state"])})


def _read_error(error: HTTPError) -> LongOperationError:
    """Return the exception that a problem was made of."""
    fields: dict[str, Any] = {"type": "", "status": error.code, "detail": str(error)}
    with contextlib.suppress(ValueError, TypeError):  # it is of another server, which is between
        fields = {**fields, **_read_json(error)}
    kinds = {kind.__name__: kind for kind in LongOperationError.__subclasses__()}
    kind = kinds.get(fields["type"].rpartition("/")[2], LongOperationError)
    raised = kind.__new__(kind, fields["detail"])
    vars(raised).update(fields)
    return raised


def main(arguments: list[str] | None = None) -> int:
    """List the operations, or run one; return 0, 1 if it failed, 2 if it is not known, or 130."""
    parser = argparse.ArgumentParser(
        prog="python -m longop.client", description="Run an operation of a server. Ctrl-C cancels "
        "it, a second one leaves it.", epilog=terminal.CODES)
    parser.add_argument("url", help="of the server, as it has printed it")
    parser.add_argument("operation", nargs="?", help="its name; without one all are listed")
    terminal.arguments(parser)
    parser.add_argument("--token", default=os.environ.get("LONGOP_TOKEN", ""))
    options = parser.parse_intermixed_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cancels, too
    try:
        connection = connect(options.url, options.token)
        if options.operation is None:
            for one in connection.operations:
                words = one.name, *one.parameters["properties"], "-", *one.description.split()
                print(terminal.clean(" ".join(words)))
            return 0
        operation = getattr(connection, options.operation)
        given = terminal.parse(options.parameters, operation.parameters)
        values = {name: value[0] if len(value) == 1 else value for name, value in given.items()}
        return terminal.run(terminal.output(), lambda: operation.start(**values), lambda: None,
                            options.json)
    except KeyboardInterrupt:
        return 130
    except (LongOperationError, AttributeError, OSError, ValueError) as error:
        print("longop.client:", terminal.clean(" ".join(str(error).split())), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

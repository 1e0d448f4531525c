"""Operations of the tests of `longop.web`, and how the tests talk to an `Api` without a socket."""

import enum
import json
import threading
import typing

from longop.errors import RequestError
from longop.web.held import wait
from longop.web.problem import problem

WAIT = 10
ID = 32 * "0"
PROBLEMS = "/openapi.json#/components/responses/"
ASYNC = {"Prefer": "respond-async"}


class Colour(enum.Enum):
    RED = "red"


def paint(callback, n: int, colour: Colour = Colour.RED, note: str = "none", photo: bytes = b"",
          size: "typing.Optional[float]" = None):
    """Paint.

    At length.
    """
    callback(f"{n} {colour.name} {note} {len(photo)} {size}", n, 10)


def fail(callback):
    callback("half")
    raise ValueError("wrong")


class Gate:
    """A function that reports, and then waits to be let through."""

    __name__ = "gate"

    def __init__(self):
        self.reported, self.open = threading.Event(), threading.Event()

    def __call__(self, callback):
        callback("partial", 1, 4)
        self.reported.set()
        assert self.open.wait(WAIT)
        callback("more", 2)
        return "all"


def send(api, line, body=b"", content_type=None, **headers):
    """Send a request and return the response's status, its JSON and its headers."""
    if content_type:
        headers["Content-Type"] = content_type
    headers = {"Host": "localhost", "Content-Length": len(body), **headers}
    head = f"{line} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    try:
        request = api.read_head(head.encode()).with_body(body)
        response = next(wait(api.answer(request)))
    except RequestError as error:  # which is raised while the body is still to come
        response = problem(error)
    value = json.loads(response.body) if "json" in response.content_type and response.body else None
    return response.status, value, response.headers


def finish(api, id):
    """Wait for a job's end and return its status as the API shows it."""
    for operation in api._operations:
        job = operation.live.get(id)
        if job:
            list(job.updates())
    return send(api, f"GET /v1/jobs/{id}")[1]


def start(api, name, query="", **headers):
    """Start a job, and return its id."""
    line = f"POST /v1/api_operations/{name}{query}"
    return send(api, line, Prefer="respond-async", **headers)[1]["id"]


def watched(api, line, **headers):
    """Return what answers a request, one that waits included."""
    lines = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "localhost", **headers}.items())
    return api.answer(api.read_head(f"{line} HTTP/1.1\r\n{lines}\r\n".encode()))

"""The worst bodies of a request that we can build, and what one takes in a process of its own.

``python3 -m tests.bench.bodies FILE``: serve the request in a file, as the server does.
"""

import io
import sys
import threading
import time
from pathlib import Path

from longop import LongOperation
from longop.errors import RequestError
from longop.web.api import Api
from longop.web.held import wait
from longop.web.problem import problem
from longop.web.wire import Reader

CHUNK = 65_536  # bytes that the server reads at a time
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=B"
VALUES = 999_000  # just below the limit of values


def take(callback, **more):
    """Take any parameter."""


def typed(callback, a: list = (), text: str = ""):
    """Take a list, or a text."""


def _fill(text, size):
    return text * (size // len(text.encode()))


def _list_of(item, weight):
    """Return JSON with as many of an item as the limit lets through."""
    return lambda size: '{"a": [' + f"{item}," * (VALUES // weight) + "1]}"


def _names(size):
    return "{" + ",".join(f'"{number:027}":1' for number in range(size // 32)) + "}"


def _keys(size):
    return '{"a": {' + ",".join(f'"{number:x}":1' for number in range(VALUES // 4)) + "}}"


def _part(head, content=""):
    return f"--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"


#: By name: the function, the type, and what makes a body of at most so many bytes.
WORST = {
    "JSON, unknown names": ("typed", JSON, _names),
    "JSON, one long unknown name": ("typed", JSON, lambda size: f'{{"{_fill("x", size)}": 1}}'),
    "JSON, far too many lists": ("take", JSON, lambda size: f'{{"a": [{_fill("[],", size)}1]}}'),
    "JSON, lists": ("take", JSON, _list_of("[]", 4)),
    "JSON, lists in lists": ("take", JSON, _list_of(90 * "[" + 90 * "]", 271)),
    "JSON, objects": ("take", JSON, _list_of('{"a":1}', 11)),
    "JSON, floats": ("take", JSON, _list_of("1.5", 1)),
    "JSON, texts": ("take", JSON, _list_of('"\U0001f600"', 3)),
    "JSON, names in an object": ("take", JSON, _keys),
    "JSON, a text with one wide character": (
        "typed", JSON, lambda size: f'{{"text": "{_fill("x", size)}\U0001f600"}}'),
    "JSON, a text of escapes": (
        "typed", JSON, lambda size: '{"text": "' + _fill("\\u6c49", size) + '"}'),
    "JSON, a text of line ends": (
        "typed", JSON, lambda size: '{"text": "' + _fill("\\n", size) + '"}'),
    "form, names": ("take", FORM, lambda size: _fill("a&", size)),
    "form, encoded": ("take", FORM, lambda size: "a=" + _fill("%41", size)),
    "form, one wide character": (
        "take", FORM, lambda size: "a=" + _fill("x", size) + "\U0001f600"),
    "form, a list as JSON": (
        "typed", FORM, lambda size: "a=[" + "[]," * (VALUES // 4) + "1]"),
    "form, far too many lists as JSON": (
        "typed", FORM, lambda size: f"a=[{_fill('[],', size)}1]"),
    "form, a wrong number": ("typed", FORM, lambda size: "a=1&a=2&b=" + _fill("9", size)),
    "multipart, parts": (
        "take", MULTIPART, lambda size: _fill(_part("name=a"), size) + "--B--"),
    "multipart, a file": (
        "take", MULTIPART,
        lambda size: _part('name=a; filename="b"', _fill("x", size)) + "--B--"),
    "multipart, a long name": (
        "take", MULTIPART, lambda size: _part(f'name="{_fill(";", size)}"') + "--B--"),
    "multipart, almost boundaries": (
        "take", MULTIPART, lambda size: _part("name=a", _fill("\r\n--", size)) + "--B--"),
}


def request_of(name, size):
    """Return a request with a body of at most about so many bytes."""
    function, kind, make = WORST[name]
    body = make(size).encode()
    return (f"POST /v1/bodies/{function} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"Prefer: wait=60\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def serve(api, file):
    """Read a request as the server does, and answer it; return the response."""
    reader = Reader(api.read_head, api.limits)
    request = None
    while request is None:
        reader.buffer += file.read(CHUNK)
        request = reader.next()
    try:
        for response in wait(api.answer(request)):
            return response
    except RequestError as error:
        return problem(error)


def peak():
    """Return the most memory that this process has had, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("VmHWM is not in /proc/self/status")


class Pulse:
    """A thread that wants to run each millisecond; ``longest`` is how long it could not."""

    def __init__(self):
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *ignored):
        self._over.set()
        self._thread.join()

    def _beat(self):
        before = time.monotonic()
        while not self._over.wait(0.001):
            now = time.monotonic()
            self.longest = max(self.longest, now - before)
            before = now


def main():
    api = Api([LongOperation(take), LongOperation(typed)])
    serve(api, io.BytesIO(request_of("form, encoded", 100)))  # what is loaded only then
    before = peak()
    began = time.monotonic()
    with open(sys.argv[1], "rb") as file, Pulse() as pulse:
        response = serve(api, file)
    seconds = time.monotonic() - began
    print(peak() - before, response.status, len(response.body), seconds, pulse.longest)


if __name__ == "__main__":
    main()

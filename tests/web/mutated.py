"""Requests that were changed at random, against an API: none is answered with a 5xx."""

import contextlib
import dataclasses
import enum
import json
import logging
import random
import typing
from concurrent.futures import wait
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode
from uuid import UUID

from longop import LongOperation
from longop.errors import RequestError
from longop.values.log import logger
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.limits import Limits
from longop.web.problem import problem
from longop.web.wire import Reader, Response

TOKEN = "s;cret"
LIMITS = Limits(max_parameters=50, max_parts=50, max_values=5_000, max_depth=20,
                max_body=200_000)
MOST_ALIVE = 20  # jobs; with more, those that are alive are waited for


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    tags: typing.List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Tree:
    value: int
    children: typing.List["Tree"] = dataclasses.field(default_factory=list)


def take(callback, n: int = 0, x: float = 0.0, yes: bool = False, text: str = "",
         data: bytes = b"", array: typing.Optional[bytearray] = None,
         items: typing.List[int] = (), table: dict = MappingProxyType({}),
         day: typing.Optional[date] = None, when: typing.Optional[datetime] = None,
         clock: typing.Optional[time] = None, span: timedelta = timedelta(0),
         exact: Decimal = Decimal(0), part: Fraction = Fraction(0),
         id: typing.Optional[UUID] = None, colour: Colour = Colour.RED,
         pair: typing.Tuple[int, str] = (0, ""), point: typing.Optional[Point] = None,
         tree: typing.Optional[Tree] = None, path: Path = Path(), number: complex = 0j,
         names: typing.Set[str] = frozenset(),
         either: typing.Union[int, typing.List[float], None] = None,
         word: typing.Literal["a", 1] = "a", values: list = (), files: list = ()):
    """Take values of all kinds; anything that fails here is a fault."""
    callback(text, n, 10, text)
    return dict(locals(), callback=None)


def more(callback, **more):
    """Take any names."""
    callback(list(more), len(more))
    return more


def odd(self, key, callback=None, **parameters):
    """Have names that our own methods have."""
    return [self, key, parameters]


NAMES = [*take.__annotations__, "self", "key", "callback", "token", "commandId", "", "\u6c49",
         "a b", "args", "values", "files"]
TEXTS = ["", "1", "-1", "1e3", "1e999", "-1e9999", "9" * 5000, "nan", "inf", "true", "on", "a",
         "1/3", "1e99999999", "1+2j", "2026-11-28", "2026-11-28T14:30:15.5Z", "14:30", "PT1H",
         "P99999999999D", "0001-01-01", "\u6c49\U0001f600", "\0\x1b[2J\r\n", "../..", "AAAA",
         "123e4567-e89b-12d3-a456-426614174000", "[1, 2]", '{"x": 1}', "[" * 300, "[" * 30 +
         "]" * 30, '["\\ud800"]', "[1e999]", '{"value": 1, "children": [{"value": 2}]}', "red",
         "x" * 3000, '{"a":' * 500, "%00", "%", "&", "=", "+"]
BYTES = [b"\0", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"=", b"&", b"%", b"%00",
         b"%FF", b"%ED%A0%80", b"+", b"/", b"//", b"?", b"#", b'"', b"\\", b"\\ud800", b"1e999",
         b"[", b"]", b"{", b"}", b"[[[[[[[[[[", b"null", b"--B", b"--B--", b"\r\n--B\r\n", b"\xff",
         b"\xc3", b"\xf0\x9f\x98\x80", b"*", b"*=utf-8''%FF", b"name=", b"filename=", b"..", b"%2F",
         b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: a\r\n", b"X:\r\n",
         b"self", b"token=", b"HTTP/1.0", b"\x80", b"-1", b"99999999999999999999", b"Infinity"]


class Mutator:
    """Makes requests out of a seed: some as they should be, most of them changed somewhere."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.ids = ["0" * 32]

    def request(self):
        """Return the bytes of a request."""
        body, kind = self._body()
        line = self._line(bool(body))
        hosts = ["localhost"] * 8 + ["127.0.0.1:1", "[::1]", "evil.example"]
        headers = [f"Host: {self.chance.choice(hosts)}"]
        if kind:
            headers.append(f"Content-Type: {kind}")
        headers += self._headers()
        if self.chance.random() < 0.5:
            body = self._changed(body)
        if body or self.chance.random() < 0.1:
            headers.append(f"Content-Length: {len(body)}")
        self.chance.shuffle(headers)
        lines = [f"{line} HTTP/1.1", *headers, "", ""]
        head = "\r\n".join(lines).encode("latin-1", "replace")
        if self.chance.random() < 0.2:
            head = self._changed(head)
        return head + body

    def _line(self, has_body):
        choose = self.chance.choice
        id = choose(self.ids)
        query = choose(["", "", "?" + self._form(), f"?since={choose(TEXTS)}&wait=0",
                        "?wait=0.01", f"?token={quote(TOKEN)}"]).replace(" ", "+")
        query = query.encode("ascii", "replace").decode()
        start = f"POST /v1/mutated/{choose(['take', 'take', 'more', 'odd', 'More/', 'take/a/b'])}"
        if has_body or self.chance.random() < 0.3:
            return choose([start, start, start, "POST /v1/mutated/cancel_command",
                           "POST /v1/mutated/get_command_status"]) + query
        return choose([f"GET /v1/jobs/{id}", f"GET /v1/jobs/{id}/events", "GET /v1/jobs",
                       f"POST /v1/jobs/{id}/cancel", f"DELETE /v1/jobs/{id}", "GET /v1", "GET /",
                       "GET /openapi.json", f"HEAD /v1/jobs/{id}", "OPTIONS /v1/jobs",
                       f"HEAD /v1/jobs/{id}/events", "GET /explore.html", "GET /v1/status/ping",
                       "GET /v1/mutated/get_command_status", "PUT /v1", "GET /" + "/a" * 100,
                       "GET http://localhost/v1"]) + query

    def _headers(self):
        choose = self.chance.choice
        text = choose(TEXTS).replace("\0", "").replace("\r\n", "")
        possible = [f"Prefer: {choose(['respond-async', 'wait=5', 'wait=x, wait=1', text])}",
                    f"Idempotency-Key: {choose(['a', 'b', text])}",
                    f"Last-Event-ID: {choose(['1', '-1', text])}",
                    f"Cookie: {choose(['longop=', 'longop1=', ';;'])}{quote(TOKEN)}; a={text}",
                    f"Origin: {choose(['http://localhost', 'https://localhost', 'null', text])}",
                    f"Expect: 100-continue{text[:1]}", f"Connection: {choose(['close', text])}",
                    f"X-Forwarded-Proto: {text}", f"X-{text[:5]}: {text}"]
        headers = [header for header in possible if self.chance.random() < 0.15]
        if self.chance.random() < 0.8:
            headers.append(f"Authorization: Bearer {TOKEN}")
        return headers

    def _body(self):
        kind = self.chance.choice(["json", "json", "form", "multipart", "payload", "none", "none"])
        if kind == "json":
            text = json.dumps(self._object(), ensure_ascii=self.chance.random() < 0.5)
            return self._encoded(text), "application/json"
        if kind == "payload":
            return self._encoded(json.dumps(self._payload())), "application/json"
        if kind == "form":
            return self._form().encode(), "application/x-www-form-urlencoded"
        if kind == "multipart":
            return self._multipart(), "multipart/form-data; boundary=B"
        return b"", ""

    def _encoded(self, text):
        return text.encode("utf-8", "surrogatepass")

    def _object(self):
        names = self.chance.sample(NAMES, self.chance.randrange(4))
        return {name: self._value(3) for name in names}

    def _payload(self):
        entry = {"key": self._value(1), "value": [self._value(1)], "name": self._value(0),
                 "data": self._value(0)}
        return {"values": self.chance.choice([[], [entry], [{"key": "n", "value": ["1"]}, entry],
                                              self._value(2)]),
                "files": self.chance.choice([[], [entry], self._value(2)])}

    def _value(self, depth):
        kind = self.chance.randrange(8 if depth else 6)
        if kind == 6:
            return [self._value(depth - 1) for _ in range(self.chance.randrange(4))]
        if kind == 7:
            names = self.chance.sample([*NAMES, "x", "y", "value", "children", "tags"], 2)
            return {name: self._value(depth - 1) for name in names}
        numbers = [0, 1, -1, 2 ** 70, 0.5, 1e308, None, True, False, "\ud800", "a"]
        return self.chance.choice(numbers if kind < 3 else TEXTS)

    def _form(self):
        pairs = [(self.chance.choice(NAMES), self.chance.choice(TEXTS))
                 for _ in range(self.chance.randrange(4))]
        return urlencode(pairs)

    def _multipart(self):
        parts = []
        for _ in range(self.chance.randrange(4)):
            name = self.chance.choice(NAMES)
            head = self.chance.choice([
                f'name="{name}"', f'name="{name}"; filename="{self.chance.choice(TEXTS)[:99]}"',
                f"name*=utf-8''{quote(name)}", f'name="{name}"; filename=""', f"name={name}",
                f"name=\"{name}\"; filename*=utf-8''{quote(name)}"])
            text = self.chance.choice(TEXTS)
            parts.append(f"--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
        return ("".join(parts) + "--B--\r\n").encode()

    def _changed(self, data):
        """Return bytes that were changed once to four times."""
        for _ in range(self.chance.choice([1, 1, 2, 4])):
            place = self.chance.randrange(len(data) + 1)
            end = min(len(data), place + self.chance.choice([0, 1, 1, 5, 50]))
            new = self.chance.choice([b"", self.chance.choice(BYTES), data[place:end] * 2,
                                      bytes([self.chance.randrange(256)])])
            data = data[:place] + new + data[end:]
        return data


class Fault(AssertionError):
    """A request was answered with a 5xx, or raised something."""


def apis():
    """Return an API that anybody may use, and one with a token; they have the same operations."""
    operations = [LongOperation(function, limit=8, max_queued=1_000)
                  for function in (take, more, odd)]
    for operation in operations:
        operation.module = "mutated"
    return [Api(operations, gate=gate, limits=LIMITS)
            for gate in (Gate(), Gate(TOKEN, allow_origins=["https://localhost"]))]


def run(count, seed):
    """Send requests; return how often each status was answered. Raises `Fault`."""
    mutator = Mutator(seed)
    served = apis()
    statuses = {}
    with _logged_errors() as errors:
        for number in range(count):
            data = mutator.request()
            try:
                for status in _serve(mutator.chance.choice(served), data, mutator):
                    statuses[status] = statuses.get(status, 0) + 1
                _wait_if_busy(served[0], 0 if number == count - 1 else MOST_ALIVE)
                assert not errors, errors
            except Exception as error:
                raise Fault(f"request {number} of seed {seed}: {data!r}") from error
    return statuses


@contextlib.contextmanager
def _logged_errors():
    """Yield a list of the errors that are logged meanwhile: a 500, or a job that failed."""
    errors = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(handler.format(record))
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)


def _serve(api, data, mutator):
    """Yield the status of each answer to some bytes."""
    reader = Reader(api.read_head, api.limits)
    reader.buffer += data
    try:
        request = reader.next()
        while request is not None:
            yield _answer(api, request, mutator)
            request = reader.next()
    except RequestError as error:
        yield _check(problem(error), None)


def _answer(api, request, mutator):
    answer = api.answer_live(request) or api.answer(request)
    if not isinstance(answer, Response):
        # What waits for a job is not waited for: the first thing that it does is enough.
        answer = next((item for item in answer.items), None)
        if not isinstance(answer, Response):
            return 0
    location = answer.headers.get("Location", "")
    if location.startswith("/v1/jobs/"):
        mutator.ids = [*mutator.ids[-20:], location.rpartition("/")[2]]
    return _check(answer, request)


def _check(response, request):
    # 501 is right for a Transfer-Encoding that nobody knows.
    assert response.status < 500 or response.status == 501, response.body
    response.render(request, keep_alive=True)
    if response.body and "json" in response.content_type:
        json.loads(response.body)
    return response.status


def _wait_if_busy(api, most):
    """Wait for the jobs if there are many."""
    jobs = [job for operation in api._operations for job in list(operation.live.values())]
    if len(jobs) > most:
        assert not wait(jobs, 60).not_done

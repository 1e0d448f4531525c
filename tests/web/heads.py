"""The worst heads of a request that we can build, and what the event loop does with each."""

from longop import LongOperation
from longop.errors import RequestError
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.limits import Limits
from longop.web.problem import problem
from longop.web.wire import Reader, Response


def work(callback, **more):
    """Do nothing."""


def _head(line, *headers, host="localhost:1"):
    lines = [line, f"Host: {host}", *headers]
    return "".join(f"{text}\r\n" for text in [*lines, ""]).encode("latin-1")


def _filled(text, size):
    return text * (size // len(text))


def _many_headers(size):
    return _head("GET / HTTP/1.1", *["a:"] * (size // 4))


def _repeated_headers(size):
    value = "x" * (size // 99)
    return _head("GET / HTTP/1.1", *[f"a: {value}"] * 98)


def _cookies(cookie, size):
    port = _filled("1", size // 4)
    return _head("GET / HTTP/1.1", "Cookie: " + _filled(cookie, 3 * size // 4),
                 host=f"localhost:{port}")


def _line(begin, text, end=""):
    return lambda size: _head(f"{begin}{_filled(text, size)}{end} HTTP/1.1")


def _header(name, text, line="POST /v1/heads/work HTTP/1.1"):
    return lambda size: _head(line, f"{name}: {_filled(text, size)}")


#: Each makes a head of about so many bytes, which is slow for one part of what reads it.
WORST = {
    "empty cookies": lambda size: _cookies(";", size),
    "cookies of our name": lambda size: _cookies("longop=;", size),
    "cookies of our name and port": lambda size: _head(
        "GET / HTTP/1.1", "Cookie: " + _filled("longop1=;", size)),
    "a deep path": _line("GET ", "/a"),
    "a deep path below an open route": _line("POST /v1/heads/work", "/a"),
    "a path that is encoded": _line("GET /", "%41"),
    "an id that is encoded": _line("GET /v1/jobs/", "%41", "/events"),
    "many parameters": _line("GET /?", "a=%41&", "token=x"),
    "a token that is encoded": _line("GET /?token=", "%41"),
    "many tokens": _line("GET /?", "token=%41&"),
    "many headers": _many_headers,
    "one header in many lines": _repeated_headers,
    "many options of a connection": _header("Connection", ","),
    "spaces in a connection": _header("Connection", " , "),
    "empty lines": lambda size: _filled("\r\n", size).encode() + _head("GET / HTTP/1.1"),
    "a long bearer": _header("Authorization", "x "),
    "a long origin": _header("Origin", "\xff"),
    "a long host": lambda size: _head("GET / HTTP/1.1", host=_filled(".localhost", size)),
    "a long port": lambda size: _head("GET / HTTP/1.1", host="a" + _filled(":1", size)),
    "a long method": lambda size: _head(_filled("A", size)),
    "a long length": _header("Content-Length", "1"),
    "a value that ends wrongly": _header("X", " \t\0"),
    "a header without a colon": lambda size: _head("GET / HTTP/1.1", _filled("a", size)),
    "an absolute address": _line("GET http://", "a.", "/"),
    "line feeds without an end": lambda size: b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (size // 4),
}


def limits_of(size):
    """Return limits that let a whole head of this size through to what comes after them."""
    return Limits(max_head=2 * size, max_url=2 * size)


def api_of(limits):
    """Return an API with each check that a server can have."""
    gate = Gate("secret", allow_hosts=["a.example"], allow_origins=["https://site.example"])
    return Api([LongOperation(work)], gate=gate, limits=limits)


def take(api, head):
    """Do what the loop does with a head; return the answer it sends, or None."""
    reader = Reader(api.read_head, api.limits)
    reader.buffer += head
    try:
        request = reader.next()
        if request is None:
            return None
        answer = api.answer_live(request) or api.answer(request)
    except RequestError as error:
        answer, request = problem(error), None
    assert isinstance(answer, Response)
    return answer.render(request)

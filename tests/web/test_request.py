"""`longop.web.request`: the head of a request."""

import contextlib
import subprocess
import sys

import pytest

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.request import Request
from longop.web.wire import Reader

from .requests import LIMITS, read_head, request, status_of


@pytest.mark.parametrize(("line", "expected"), [
    ("GET / HTTP/1.1", ("GET", "/", "")),
    ("POST /v1/a/b?x=1&y=2 HTTP/1.1", ("POST", "/v1/a/b", "x=1&y=2")),
    ("GET /a?b?c HTTP/1.0", ("GET", "/a", "b?c")), ("GET /? HTTP/1.1", ("GET", "/", "")),
    ("GET /%41%2F HTTP/1.1", ("GET", "/%41%2F", "")),
    ("GET //a HTTP/1.1", ("GET", "//a", "")),
    ("GET http://example.com/a?b=c HTTP/1.1", ("GET", "/a", "b=c")),
    ("GET HTTPS://example.com:8080/a HTTP/1.1", ("GET", "/a", "")),
    ("GET http://example.com HTTP/1.1", ("GET", "/", "")),
    ("OPTIONS * HTTP/1.1", ("OPTIONS", "*", "")),
    ("DELETE /http://a/b HTTP/1.1", ("DELETE", "/http://a/b", "")),
    ("GET http://example.com?b=c HTTP/1.1", ("GET", "/", "b=c")),
])
def test_request_line(line, expected):
    """The request line is a method, a path and a query, in absolute form too."""
    found = request(line=line)
    assert (found.method, found.path, found.query) == expected


@pytest.mark.parametrize("line", [
    "", "GET", "GET /", "GET / HTTP/1.1 x", "GET / HTTP/2.0", "GET / http/1.1",
    "GET / FTP/1.1",
    "GET /a b HTTP/1.1", "HTTP/1.1 200 OK", "\x16\x03\x01\x02", "GET / HTTP/0.9",
    "GET / HTTP/1.1x", "GET / HTTP/1.", "G(T / HTTP/1.1",
])
def test_request_line_that_is_not_http(line):
    """A line that is not METHOD target HTTP/1.x is a bad request."""
    assert status_of(request, line=line) == 400


@pytest.mark.parametrize(("lines", "expected"), [
    (["X-Empty:", "X-Colons:b:c", "x-Space: \t d e \t ", "!#$%&'*+.^_`|~: 1"],
     {"x-empty": "", "x-colons": "b:c", "x-space": "d e", "!#$%&'*+.^_`|~": "1"}),
    (["X: \xe9\xff"], {"x": "\xe9\xff"}),  # latin-1, so that no byte is lost
    (["Accept: a", "X: b", "ACCEPT: c, d", "accept:"], {"accept": "a, c, d, ", "x": "b"}),
])
def test_headers(lines, expected):
    """Headers have lower-case names, and the values of a repeated one are joined."""
    assert request(*lines).headers == {"host": "a", **expected}


@pytest.mark.parametrize("place", range(4))
def test_bare_line_feed(place):
    """A line that ends without a CR is a bad request: other programs may see no end there."""
    ends = ["\r\n"] * 4
    ends[place] = "\n"
    head = "".join(f"{line}{end}" for line, end in
                   zip(["GET /a HTTP/1.1", "Host: a", "X: b", ""], ends))
    assert status_of(read_head, head.encode()) == 400
    reader = Reader(read_head, LIMITS)
    reader.buffer += head.encode()
    assert status_of(reader.next) == 400


@pytest.mark.parametrize(("line", "headers", "host"), [
    ("GET / HTTP/1.1", ["Host: a.b:80"], "a.b:80"), ("GET / HTTP/1.1", ["Host:"], ""),
    ("GET / HTTP/1.0", [], None), ("GET http://c:1/ HTTP/1.1", ["Host: a"], "c:1"),
    ("GET / HTTP/1.1", ["Host: [::1]:80"], "[::1]:80"),
])
def test_host(line, headers, host):
    """A request has a Host; that of an absolute URL replaces it (RFC 9112 section 3.2)."""
    assert request(*headers, line=line, host=None).headers.get("host") == host


@pytest.mark.parametrize("headers", [
    [], ["Host: a", "Host: a"], ["Host: a, b"], ["Host: a/b"], ["Host: u@a"], ["Host: a b"],
    ["Host: a?b"], ["Host: a#b"]])
def test_host_that_is_not_one(headers):
    """HTTP/1.1 without a Host, with two, or with more than a name and a port is refused."""
    assert status_of(request, *headers, host=None) == 400


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
def test_no_other_character_ends_a_header(character):
    """Characters at which only ``str.splitlines`` splits cannot smuggle a header in."""
    value = f"a{character}Content-Length: 5"
    with contextlib.suppress(RequestError):  # it may as well be refused
        assert request(f"X: {value}").headers == {"host": "a", "x": value}


@pytest.mark.parametrize("header", [
    "Name : value", " Name: value", "Name", ": value", "Na me: value", "Name: a\0b",
    "Name: a\rb",
    "Name: a\r\n folded", "Name: a\r\n\tfolded", "N\xe9: value", "Name: a\rOther: b",
    "Na(me: value",
    "\rContent-Length: 5", "Name: a\r\n\r\r", "Name: a\r",
])
def test_header_that_is_not_http(header):
    """A header that two programs may read differently is a bad request."""
    assert status_of(request, header, "Other: b") == 400


@pytest.mark.parametrize(("version", "headers", "expected"), [
    ("1.1", [], True), ("1.1", ["Connection: keep-alive"], True),
    ("1.1", ["Connection: close"], False), ("1.1", ["connection: CLOSE"], False),
    ("1.1", ["Connection: Upgrade, close"], False),
    ("1.1", ["Connection: upgrade", "Connection: close"], False), ("1.0", [], False),
    ("1.1", ["Connection: enclosed"], True),
])
def test_keep_alive(version, headers, expected):
    """A connection is kept unless it is HTTP/1.0 or says close."""
    assert request(*headers, line=f"GET / HTTP/{version}").keep_alive is expected


def test_limits_of_a_head():
    """A URL and the number of headers have limits of their own."""
    assert request(line=f"GET /{'a' * 8191} HTTP/1.1").path == "/" + "a" * 8191
    assert status_of(request, line=f"GET /{'a' * 8192} HTTP/1.1") == 414
    assert len(request(*[f"X{i}: a" for i in range(99)]).headers) == 100
    assert status_of(request, *[f"X{i}: a" for i in range(100)]) == 431


def test_many_headers_are_refused_before_they_are_read(monkeypatch):
    """The number of lines is checked before anything is looked for in them."""
    monkeypatch.setattr("longop.web.request._HEAD", None)
    assert status_of(request, *["X: a"] * 101) == 431


EVIL_HEADS = """
from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.request import Request

limits = Limits()
size = limits.max_head - 100
for header in (b"X: " + b" " * size + b"\\0", b"X: a" + b" " * size + b"b", b"a" * size,
               b"X:" + b"\\t" * size + b"\\0", b"X: " + b"a " * (size // 2) + b"\\0"):
    try:
        head = b"GET / HTTP/1.0\\r\\n" + header + b"\\r\\n\\r\\n"
        print(len(Request(head, limits).headers))
    except RequestError as error:
        print(error.status)
"""


def test_no_header_takes_for_ever():
    """A head that is built to be slow is parsed, or refused, in time."""
    done = subprocess.run([sys.executable, "-c", EVIL_HEADS], stdout=subprocess.PIPE,
                          timeout=10, check=True)
    assert done.stdout.split() == [b"400", b"1", b"400", b"400", b"400"]


@pytest.mark.parametrize("target", ["/v1/x?text=汉", "/v1/汉/x"])
def test_target_that_is_not_encoded(target):
    """Text that is not percent-encoded in a URL is refused, and the error says what to do."""
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with pytest.raises(RequestError, match="percent-encode") as caught:
        Request(head, Limits())
    assert caught.value.status == 400

"""`longop.web.wire`: bytes to requests, a response to bytes."""

import json

import pytest

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.wire import Reader, Response, json_response

from .requests import ALL_BYTES, LIMITS, MAX_HEAD, checked, read_head, request, status_of


def next_of(data, **limits):
    """Return the first request in some bytes."""
    limits = Limits(**limits)
    reader = Reader(lambda head: checked(head, limits), limits)
    reader.buffer += data
    return reader.next()


@pytest.mark.parametrize(("start", "end"), [
    (b"GET / HTTP/1.0\r\nX: a", b"a\r\n\r\n"), (b"GET /", b" HTTP/1.0\r\n\r\n"),
    (b"GET / HTTP/1.0\r\n" + b"X: a\r\n" * 10_000 + b"Y: a", b"\r\n\r\n")])
def test_longest_head(start, end):
    """A head of as many bytes as are allowed is read, and refused if it is longer."""
    filling = b"a" * (MAX_HEAD - len(start + end))
    more = {"max_url": MAX_HEAD, "max_headers": 20_000}
    assert next_of(start + filling + end, **more).method == "GET"
    for head in start + filling + b"a" + end, start + filling * 10 + end * 10_000:
        assert status_of(next_of, head, **more) == 431
    status = 431 if b"\r\n" in start else 414  # all that has come is a URL
    assert status_of(next_of, start + filling + b"a" * 1000, **more) == status


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0\x01", b"\0", b" GET", b"\n", b"\xff"])
def test_what_cannot_become_a_request(data):
    """Bytes that no request begins with, such as TLS, are refused at once."""
    assert status_of(next_of, data) == 400


# The body


def read(data, *headers, **limits):
    """Read a request of these headers and its body; return the body, and how much is left."""
    limits = Limits(**limits)
    reader = Reader(lambda head: checked(head, limits), limits)
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: a", *headers, ""))
    reader.buffer += head.encode("latin-1") + data
    found = reader.next()
    return found and found.body, len(reader.buffer)


@pytest.mark.parametrize(("data", "header", "expected"), [
    (b"next", "X: a", (b"", 4)), (b"next", "Content-Length: 0", (b"", 4)),
    (b"abcde", "Content-Length: 3", (b"abc", 2)),
    (b"abcde", "Content-Length: 003", (b"abc", 2)),
    (ALL_BYTES, "Content-Length: 256", (ALL_BYTES, 0)),
    (b"ab", "Content-Length: 3", (None, 2))])
def test_content_length(data, header, expected):
    """A body is as long as Content-Length says; without it there is none."""
    assert read(data, header, max_body=256) == expected


@pytest.mark.parametrize(("headers", "status"), [
    *[([f"Content-Length: {value}"], 400) for value in
      ("", "x", "-1", "+1", "1.0", "0x10", "1_0", "1 0", "1, 1", "\xb2", "\xb9")],
    (["Content-Length: " + "9" * 5000], 400),
    (["Content-Length: 1", "Content-Length: 1"], 400),
    (["Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: chunked"], 411), (["Transfer-Encoding: Chunked"], 411),
    *[([f"Transfer-Encoding: {coding}"], 501) for coding in
      ("gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked",
       "chunked;a=b")],
], ids=lambda value: ascii(value)[:50])
def test_framing_that_is_not_certain(headers, status):
    """A length that is not one number, two framings, and any coding are refused."""
    assert status_of(read, b"0\r\n\r\n", *headers) == status


def test_coding_in_http_1_0():
    """A transfer coding in HTTP/1.0 is faulty framing (RFC 9112 section 6.1)."""
    assert status_of(request, "Transfer-Encoding: chunked", line="POST / HTTP/1.0") == 400


def test_limit():
    """A body of exactly the limit is read; one byte more is refused before it comes."""
    assert read(b"a" * 100, "Content-Length: 100", max_body=100)[0] == b"a" * 100
    assert status_of(read, b"", "Content-Length: 101", max_body=100) == 413
    assert status_of(request, "Content-Length: 30000001") == 413
    assert request("Content-Length: 30000000").length == 30_000_000


# One request after the other

STREAM = (b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
          b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n\r\n\r\nab"
          b"\r\n\r\nDELETE /d HTTP/1.0\r\n\r\nGET /e HT")
EXPECTED = [
    ("GET", "/a", "b", b""),
    ("POST", "/c", "", b"\r\n\r\nab"),
    ("DELETE", "/d", "", b""),
]


def all_of(*pieces):
    """Return the requests in bytes that come in pieces."""
    reader = Reader(read_head, LIMITS)
    found = []
    for piece in pieces:
        reader.buffer += piece
        while True:
            one = reader.next()
            if one is None:
                break
            found.append((one.method, one.path, one.query, one.body))
    return found


def test_any_cut():
    """Requests are the same wherever their bytes are cut."""
    assert all_of(STREAM) == EXPECTED
    for cut in range(len(STREAM)):
        assert all_of(STREAM[:cut], STREAM[cut:]) == EXPECTED
    assert all_of(*[bytes([byte]) for byte in STREAM]) == EXPECTED


def test_same_head_other_body():
    """Two requests with the same head have their own bodies."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
    assert [body for *_, body in all_of(head + b"a" + head + b"b")] == [b"a", b"b"]
    one = read_head(head)
    assert (one.with_body(b"a").body, one.body) == (b"a", b"")


@pytest.mark.parametrize(("version", "body", "waits"), [
    ("1.1", b"", True), ("1.1", b"a", False), ("1.0", b"", False)])
def test_expect_continue(version, body, waits):
    """A client that waits for ``100 Continue`` gets it once, unless it does not wait."""
    reader = Reader(read_head, LIMITS)
    reader.buffer += (f"POST / HTTP/{version}\r\nHost: a\r\nContent-Length: 2\r\n"
                      "Expect: 100-Continue\r\n\r\n").encode() + body
    assert reader.next() is None
    assert [reader.must_go_on(), reader.must_go_on()] == [waits, False]
    reader.buffer += b"aa"[len(body):]
    assert reader.next().body == b"aa"


def test_where_a_reader_is():
    """A reader knows whether it is between two requests, in a head or in a body."""
    reader = Reader(read_head, LIMITS)
    assert reader.is_idle
    for data, length, left in ((b"POST / HTTP/1.0\r\n", None, 17),
                               (b"Content-Length: 3\r\n\r\n", 3, 0), (b"a", 3, 1)):
        reader.buffer += data
        assert reader.next() is None
        assert not reader.is_idle
        assert (reader.request and reader.request.length, len(reader.buffer)) == (length, left)
    reader.buffer += b"aa"
    assert reader.next().body == b"aaa"
    assert reader.is_idle


def test_bytes_that_come_one_by_one():
    """A body that comes byte by byte takes linear time (counted, not timed)."""
    looked = []

    class Watched(Reader):
        def _cut_head(self):
            looked.append(len(self.buffer))
            return super()._cut_head()

    reader = Watched(read_head, LIMITS)
    reader.buffer += b"POST / HTTP/1.0\r\nContent-Length: 50000\r\n\r\n"
    for _ in range(50_000):
        assert reader.next() is None
        reader.buffer += b"a"
    assert len(reader.next().body) == 50_000
    assert len(looked) == 1


def test_refused_before_its_body():
    """What ``read_head`` raises is raised before the body has come."""
    def refuse(head):
        raise RequestError(403, "no")

    reader = Reader(refuse, LIMITS)
    reader.buffer += b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"
    assert status_of(reader.next) == 403


# The answer


def head(status, *lines):
    """Return the head of an answer, as `render` writes it when the time is 784111777."""
    return "".join(f"{line}\r\n" for line in (
        f"HTTP/1.1 {status}", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff", *lines, "")).encode()


JSON_7 = ("Content-Type: application/json", "Content-Length: 7")
HEAD = request(line="HEAD / HTTP/1.1")
CORS = request()
CORS.extra = {"Vary": "Origin"}


@pytest.mark.parametrize(("response", "args", "expected"), [
    (Response(200, b'{"a":1}'), (CORS, True),
     head("200 OK", "Vary: Origin", *JSON_7) + b'{"a":1}'),
    (Response(200, b'{"a":1}'), (None, False),
     head("200 OK", *JSON_7, "Connection: close") + b'{"a":1}'),
    (Response(200, b'{"a":1}'), (HEAD, True), head("200 OK", *JSON_7)),
    (Response(200, b'{"a":1}'), (HEAD, False), head("200 OK", *JSON_7, "Connection: close")),
    (Response(200, b'{"a":1}', headers={"X-A": "b", "Allow": "GET, POST"}), (),
     head("200 OK", "X-A: b", "Allow: GET, POST", *JSON_7, "Connection: close") + b'{"a":1}'),
    (Response(204), (None, True), head("204 No Content")),
    (Response(200, None, "text/event-stream"), (),
     head("200 OK", "Content-Type: text/event-stream", "Connection: close")),
    (Response(404, b"", "text/plain"), (),
     head("404 Not Found", "Content-Type: text/plain", "Content-Length: 0",
          "Connection: close")),
    (Response(429, ALL_BYTES, "application/octet-stream", {"Retry-After": "5"}), (None, True),
     head("429 Too Many Requests", "Retry-After: 5", "Content-Type: application/octet-stream",
          "Content-Length: 256") + ALL_BYTES),
], ids=lambda value: None if isinstance(value, tuple) else "")
def test_render(response, args, expected, monkeypatch):
    """An answer is these bytes, in this order."""
    monkeypatch.setattr("time.time", lambda: 784111777.9)
    assert response.render(*args) == expected


def test_json_answer():
    """A response of any value is JSON, in ASCII, with the given status and headers."""
    answer = json_response({"a": float("nan"), "b": "\u00e9", "c": {1}}, 202,
                           content_type="application/x+json", headers={"Location": "/x"})
    assert json.loads(answer.body.decode("ascii")) == {"a": None, "b": "\u00e9", "c": [1]}
    assert (answer.status, answer.content_type) == (202, "application/x+json")
    assert answer.headers == {"Location": "/x"}
    assert json_response({}).headers == {}

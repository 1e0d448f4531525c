"""`longop.wire`: bytes to a request and to what is in it, a response to bytes."""

import contextlib
import io
import json
import subprocess
import sys
import tracemalloc

import pytest

from longop.errors import RequestError
from longop.wire import MAX_HEAD, Request, Response, json_response, parameters, read_body

ALL_BYTES = bytes(range(256))


def request(*headers, line="GET / HTTP/1.1"):
    return Request("".join(f"{text}\r\n" for text in (line, *headers, "")).encode("latin-1"))


def status_of(function, *args, **kwargs):
    """Return the HTTP status with which a call fails."""
    with pytest.raises(RequestError) as caught:
        function(*args, **kwargs)
    assert str(caught.value)
    return caught.value.status


# The head


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
    "", "GET", "GET /", "GET / HTTP/1.1 x", "GET / HTTP/2.0", "GET / http/1.1", "GET / FTP/1.1",
    "GET /a b HTTP/1.1", "HTTP/1.1 200 OK", "\x16\x03\x01\x02", "GET / HTTP/0.9",
    "GET / HTTP/1.1x", "GET / HTTP/1.", "G(T / HTTP/1.1",
])
def test_request_line_that_is_not_http(line):
    """What is not METHOD target HTTP/1.x is a bad request."""
    assert status_of(request, line=line) == 400


@pytest.mark.parametrize(("lines", "expected"), [
    (["Host: a", "X-Empty:", "X-Colons:b:c", "x-Space: \t d e \t ", "!#$%&'*+.^_`|~: 1"],
     {"host": "a", "x-empty": "", "x-colons": "b:c", "x-space": "d e", "!#$%&'*+.^_`|~": "1"}),
    (["X: \xe9\xff"], {"x": "\xe9\xff"}),  # latin-1, so that no byte is lost
    (["Accept: a", "X: b", "ACCEPT: c, d", "accept:"], {"accept": "a, c, d, ", "x": "b"}),
])
def test_headers(lines, expected):
    """Headers are found by their name in lower case, joined, also where lines end in a bare LF."""
    assert request(*lines).headers == expected
    head = "".join(f"{line}\n" for line in ["GET /a HTTP/1.1", *lines, ""])
    assert Request(head.encode("latin-1")).headers == expected


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
def test_no_other_character_ends_a_header(character):
    """What only Python's splitlines takes for a line end smuggles no header in."""
    value = f"a{character}Content-Length: 5"
    with contextlib.suppress(RequestError):  # it may as well be refused
        assert request("Host: b", f"X: {value}").headers == {"host": "b", "x": value}


@pytest.mark.parametrize("header", [
    "Name : value", " Name: value", "Name", ": value", "Na me: value", "Name: a\0b", "Name: a\rb",
    "Name: a\r\n folded", "Name: a\r\n\tfolded", "N\xe9: value", "Name: a\rOther: b",
    "Na(me: value",
    "\rContent-Length: 5", "Name: a\r\n\r\r", "Name: a\r",
])
def test_header_that_is_not_http(header):
    """A header that two servers may read in two ways is a bad request."""
    assert status_of(request, "Host: a", header, "Other: b") == 400


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


@pytest.mark.parametrize(("start", "end"), [
    (b"GET / HTTP/1.1\r\nX: a", b"a\r\n\r\n"), (b"GET /", b" HTTP/1.1\r\n\r\n"),
    (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"Y: a", b"\r\n\r\n")])
def test_longest_head(start, end):
    """A head of as many bytes as are allowed is read, and refused with 431 if it is longer."""
    filling = b"a" * (MAX_HEAD - len(start + end))
    assert len(Request(start + filling + end).head) == MAX_HEAD
    assert status_of(Request, start + filling + b"a" + end) == 431
    assert status_of(Request, start + filling * 10 + end * 10_000) == 431


EVIL_HEADS = """
from longop.errors import RequestError
from longop.wire import MAX_HEAD, Request

size = MAX_HEAD - 100
for header in (b"X: " + b" " * size + b"\\0", b"X: a" + b" " * size + b"b", b"a" * size,
               b"X:" + b"\\t" * size + b"\\0", b"X: " + b"a " * (size // 2) + b"\\0"):
    try:
        print(len(Request(b"GET / HTTP/1.1\\r\\n" + header + b"\\r\\n\\r\\n").headers))
    except RequestError as error:
        print(error.status)
"""


def test_no_header_takes_for_ever():
    """A head that was made to be slow is parsed, or refused, all the same."""
    done = subprocess.run([sys.executable, "-c", EVIL_HEADS], stdout=subprocess.PIPE, timeout=10,
                          check=True)
    assert done.stdout.split() == [b"400", b"1", b"400", b"400", b"400"]


# The body


def read(data, *headers, **limit):
    """Read a request's body from some bytes; return it, and what is left of them."""
    file = io.BytesIO(data)
    return read_body(request(*headers), file, **limit), file.read()


@pytest.mark.parametrize(("data", "header", "expected"), [
    (b"next", "X: a", (b"", b"next")), (b"next", "Content-Length: 0", (b"", b"next")),
    (b"abcde", "Content-Length: 3", (b"abc", b"de")),
    (b"abcde", "Content-Length: 003", (b"abc", b"de")),
    (ALL_BYTES, "Content-Length: 256", (ALL_BYTES, b""))])
def test_content_length(data, header, expected):
    """Just as many bytes are read as Content-Length says, and none without it."""
    assert read(data, header, limit=256) == expected


@pytest.mark.parametrize(("headers", "statuses"), [
    *[([f"Content-Length: {value}"], [400]) for value in
      ("", "x", "-1", "+1", "1.0", "0x10", "1_0", "1 0", "1, 1", "\xb2", "\xb9")],
    (["Content-Length: " + "9" * 5000], [400, 413]),
    (["Content-Length: 1", "Content-Length: 1"], [400]),
    (["Content-Length: 1", "Transfer-Encoding: chunked"], [400]),
    *[([f"Transfer-Encoding: {coding}"], [501]) for coding in
      ("gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked", "chunked;a=b")],
], ids=lambda value: ascii(value)[:50])
def test_framing_that_is_not_certain(headers, statuses):
    """A length that is not one number, two framings, and a coding but chunked are refused."""
    assert status_of(read, b"0\r\n\r\n", *headers) in statuses


@pytest.mark.parametrize(("data", "expected"), [
    (b"0\r\n\r\n", b""), (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\r\n0002\r\nde\r\n000\r\n\r\n", b"abcde"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    (b"3;name=value;flag\r\nabc\r\n0;last\r\n\r\n", b"abc"), (b"3 ; a\r\nabc\r\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", b"abc"), (b"3\nabc\n0\n\n", b"abc"),
])
def test_chunked(data, expected):
    """Chunks are put together; extensions and trailers are read over, the next request is not."""
    assert read(data + b"next", "Transfer-Encoding: Chunked") == (expected, b"next")


@pytest.mark.parametrize("data", [
    b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\na\r\n", b"0x1\r\na\r\n", b"1_0\r\n", b";a\r\n",
    b"2\r\nabc\r\n0\r\n\r\n", b"1 1\r\na\r\n", b"11111111111111111\r\n"])
def test_chunk_that_is_not_http(data):
    """A chunk whose size is no number, or wrong, is a bad request."""
    assert status_of(read, data, "Transfer-Encoding: chunked") == 400


def test_limit():
    """A body of just the limit is read in both framings; one byte more is too large."""
    assert read(b"a" * 100, "Content-Length: 100", limit=100)[0] == b"a" * 100
    assert status_of(read, b"", "Content-Length: 101", limit=100) == 413
    chunk = b"32\r\n" + b"a" * 50 + b"\r\n"
    chunked = "Transfer-Encoding: chunked"
    assert read(chunk * 2 + b"0\r\n\r\n", chunked, limit=100)[0] == b"a" * 100
    for data in (chunk * 2 + b"1\r\n", b"65\r\n", b"ffffffffffffffff\r\n"):
        assert status_of(read, data, chunked, limit=100) == 413
    large = b"a" * 30_000_001
    assert len(read(large, "Content-Length: 30000000")[0]) == 30_000_000  # by default
    assert status_of(read, large, "Content-Length: 30000001") == 413


def test_trailers_without_end():
    """Trailers are headers, and limited as these are."""
    data = b"0\r\n" + (b"X: " + b"a" * 100 + b"\r\n") * MAX_HEAD
    assert status_of(read, data, "Transfer-Encoding: chunked") in (400, 413, 431)


@pytest.mark.parametrize(("data", "header"), [
    (b"", "Content-Length: 1"), (b"ab", "Content-Length: 3"),
    *[(b"3\r\nabc\r\n0\r\nX: a\r\n\r\n"[:end], "Transfer-Encoding: chunked")
      for end in range(19)]])
def test_body_that_ends_too_soon(data, header):
    """A body of which a part is missing is never taken for a whole one."""
    with pytest.raises(EOFError):
        read(data, header)


# The parameters


def found(body, kind, query=""):
    if isinstance(body, str):
        body = body.encode()
    asked = request(*([f"Content-Type: {kind}"] if kind else []), line=f"POST /?{query} HTTP/1.1")
    asked.body = body
    return parameters(asked)


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.mark.parametrize(("query", "expected"), [
    ("", {}), ("a=1", {"a": ["1"]}), ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    ("a=&b", {"a": [""], "b": [""]}), ("a=%C3%A9+x%2B%26", {"a": ["\u00e9 x+&"]}),
    ("a=b=c;d", {"a": ["b=c;d"]}), ("a%20b=1", {"a b": ["1"]}), ("&&a=1&", {"a": ["1"]}),
    ("a=%zz", {"a": ["%zz"]})])
def test_query_and_form(query, expected):
    """A query, and a form that was encoded as one, are texts by name."""
    assert found(b"", None, query) == expected
    assert found(query, FORM) == expected
    assert found(query, FORM.upper() + "; charset=utf-8") == expected


def test_query_and_body_together():
    """What is in the query comes before what is in the body."""
    assert found("a=2&b=3", FORM, "a=1&c=4") == {"a": ["1", "2"], "c": ["4"], "b": ["3"]}
    assert found('{"a": 2}', JSON, "a=1") == {"a": ["1", 2]}


@pytest.mark.parametrize("kind", [JSON, "Application/JSON; charset=utf-8", "application/x+json"])
def test_json(kind):
    """JSON is what JSON makes of it, one value a name; an empty body of any type has none."""
    assert found('{"a": 1, "b": [1, 2], "c": null, "d": "\u00e9", "e": {"f": 1.5}}', kind) == {
        "a": [1], "b": [[1, 2]], "c": [None], "d": ["\u00e9"], "e": [{"f": 1.5}]}
    assert found(b"", kind) == found(b"", "text/plain") == found(b"", None) == {}


@pytest.mark.parametrize(("body", "kind", "status"), [
    *[(body, JSON, 400) for body in (
        " ", "[1]", "1", '"a"', "null", "{", "{'a': 1}", '{"a": 1} x', '{"a": 01}',
        b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}', '{"a": ' + "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}", '{"a": NaN}', '{"a": -Infinity}')],
    (b"a=\xff", FORM, 400),
    *[(b"a=1", kind, 415) for kind in (
        None, "text/plain", "json", "", "multipart/mixed; boundary=a", "application/jsonx")],
], ids=lambda value: ascii(value)[:40])
def test_body_that_is_refused(body, kind, status):
    """JSON that is none or no object, text not in UTF-8, and another type are bad requests."""
    assert status_of(found, body, kind) == status


# multipart/form-data


def part(content, *disposition, headers=()):
    if isinstance(content, str):
        content = content.encode()
    lines = ["Content-Disposition: " + "; ".join(["form-data", *disposition]), *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def body_of(*parts, boundary="B"):
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + b"--\r\n"


def multipart(*parts, boundary="B"):
    return found(body_of(*parts, boundary=boundary), f"multipart/form-data; boundary={boundary}")


NASTY = {
    "every byte": ALL_BYTES, "one byte": b"x", "many zeros": b"\0" * 100_000,
    "line ends": b"\r\n\r\n\n\r\r\n", "an end of a head": b"a\r\n\r\nb",
    "boundaries within a line": b"--B\r\nx --B--\r\n",
    "almost a boundary": b"\r\n-B\r\n\r\n--b--\r\n\n--B\r\n--",
    "header lookalikes": b'Content-Disposition: form-data; name="b"\r\n\r\nx',
}


@pytest.mark.parametrize("content", list(NASTY.values()), ids=list(NASTY))
def test_file_comes_byte_for_byte(content):
    """An uploaded file is exactly the bytes that were sent."""
    # As RFC 2046 has it, a boundary is one at the beginning of a line: here the line has begun.
    upload = part(b">" + content, 'name="a"', 'filename="x.bin"',
                  headers=["Content-Type: application/octet-stream"])
    assert multipart(upload) == {"a": [b">" + content]}
    assert multipart(part("1", 'name="z"'), upload, part("2", 'name="z"')) == {
        "z": ["1", "2"], "a": [b">" + content]}


@pytest.mark.parametrize(("parts", "expected"), [
    ([part("caf\u00e9", 'name="a"'), part("", 'name="b"'), part(" 1\r\n", "name=c")],
     {"a": ["caf\u00e9"], "b": [""], "c": [" 1\r\n"]}),
    ([part("1", "name=a"), part("2", "name=a"), part("3", "name=a", "filename=b")],
     {"a": ["1", "2", b"3"]}),
    ([part("", 'name="a"', 'filename=""'), part("1", 'name="b"')], {"b": ["1"]}), ([], {}),
    *[([part("1", 'name="a"', name), part("", name, 'name="a"')], {"a": [b"1", b""]}) for name in (
        'filename="a.txt"', "filename=a", "filename*=utf-8''%C3%A9", 'filename="\u00e9.png"',
        'filename="C:\\\\a; b.txt"')],
    *[([part("1", written)], {name: ["1"]}) for written, name in (
        ('name="\u00e9\u20ac\U0001f600"', "\u00e9\u20ac\U0001f600"), ("NAME=a", "a"),
        ('name="a b;c=d"', "a b;c=d"), ('name="a\\"b"', 'a"b'), ('name=""', ""),
        ('name="<a>"', "<a>"), ('name="\\"a\\""', '"a"'))]])
def test_parts(parts, expected):
    """A part is text, or bytes if it has a filename, and nothing if that is empty as it is."""
    assert multipart(*parts) == expected


@pytest.mark.parametrize("boundary", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "a.b*c+[", "-" * 70])
def test_boundaries(boundary):
    """A boundary is taken as it is, and may be quoted; what is around the parts is ignored."""
    body = body_of(part("1", "name=a"), boundary=boundary)
    assert found(body, f'multipart/form-data; boundary="{boundary}"') == {"a": ["1"]}
    assert found(b"preamble\r\n" + body + b"epilogue\r\n",
                 f'Multipart/Form-Data; x=y; boundary="{boundary}"; z=a') == {"a": ["1"]}


GOOD = body_of(part("1", "name=a"))


@pytest.mark.parametrize(("body", "options"), [
    (GOOD, ""), (GOOD, "; boundary="), (GOOD, '; boundary=""'), (GOOD, "; boundary=C"),
    *[(body, "; boundary=B") for body in (
        GOOD.replace(b"--B--", b""), GOOD.replace(b"--B--", b"--B"), GOOD[:20], b"x",
        body_of(b"1"), body_of(b"\r\n1"), body_of(part("1")), body_of(part("1", "name*=utf-8''a")),
        body_of(b"Content-Type: text/plain\r\n\r\n1"),
        body_of(b"Content-Disposition: form-data; name=a"), body_of(part(b"\xff", "name=a")),
        body_of(b"Content-Disposition: form-data; name=\xff\r\n\r\n1"))]])
def test_multipart_that_is_broken(body, options):
    """A multipart body without its boundaries or names, or not in UTF-8, is a bad request."""
    assert status_of(found, body, "multipart/form-data" + options) == 400


def test_large_file_is_not_copied_often():
    """An upload takes a few times its own memory, not more."""
    body = body_of(part(b"\r\n-x" * 1_000_000, "name=a", "filename=b"))
    tracemalloc.start()
    try:
        assert len(found(body, "multipart/form-data; boundary=B")["a"][0]) == 4_000_000
        assert tracemalloc.get_traced_memory()[1] < 5 * len(body)
    finally:
        tracemalloc.stop()


# The answer


def head(status, *lines):
    """Return what an answer begins with, as render writes it when the time is 784111777."""
    return "".join(f"{line}\r\n" for line in (
        f"HTTP/1.1 {status}", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff", *lines, "")).encode()


SMALL = ("200 OK", "Content-Type: application/json", "Content-Length: 7")


@pytest.mark.parametrize(("response", "args", "expected"), [
    (Response(200, b'{"a":1}'), (True,), head(*SMALL) + b'{"a":1}'),
    (Response(200, b'{"a":1}'), (False,), head(*SMALL, "Connection: close") + b'{"a":1}'),
    (Response(200, b'{"a":1}'), (True, "HEAD"), head(*SMALL)),
    (Response(200, b'{"a":1}'), (False, "HEAD"), head(*SMALL, "Connection: close")),
    (Response(200, b'{"a":1}', headers={"X-A": "b", "Allow": "GET, POST"}), (False,),
     head(*SMALL, "X-A: b", "Allow: GET, POST", "Connection: close") + b'{"a":1}'),
    (Response(204), (True,), head("204 No Content")),
    (Response(404, b"", "text/plain"), (False,),
     head("404 Not Found", "Content-Type: text/plain", "Content-Length: 0", "Connection: close")),
    (Response(429, ALL_BYTES, "application/octet-stream", {"Retry-After": "5"}), (True, "POST"),
     head("429 Too Many Requests", "Content-Type: application/octet-stream", "Content-Length: 256",
          "Retry-After: 5") + ALL_BYTES),
], ids=lambda value: None if isinstance(value, tuple) else "")
def test_render(response, args, expected, monkeypatch):
    """An answer is these bytes, in this order."""
    monkeypatch.setattr("time.time", lambda: 784111777.9)
    assert response.render(*args) == expected


def test_json_answer():
    """json_response makes JSON of any value, in ASCII, with the status and the headers given."""
    answer = json_response({"a": float("nan"), "b": "\u00e9", "c": {1}}, 202,
                           content_type="application/x+json", headers={"Location": "/x"})
    assert json.loads(answer.body.decode("ascii")) == {"a": None, "b": "\u00e9", "c": [1]}
    assert (answer.status, answer.content_type) == (202, "application/x+json")
    assert answer.headers == {"Location": "/x"}
    assert json_response({}).headers == {}

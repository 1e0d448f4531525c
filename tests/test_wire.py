"""`longop.wire`: bytes to a request and to what is in it, a response to bytes."""

import io
import json
import re
import subprocess
import sys
import tracemalloc

import pytest

from longop.errors import RequestError
from longop.wire import (LINE, MAX_HEAD, Request, Response, http_date, parameters, read_body,
                         read_head)

ALL_BYTES = bytes(range(256))


def broken(reason):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(strict=True, reason=reason)


def drive(reader, data):
    """Give a reader what it asks for; return what it makes of that, and what is left."""
    stream = io.BytesIO(data)
    try:
        wanted = next(reader)
        while True:
            sent = stream.readline() if wanted == LINE else stream.read(wanted)
            assert sent, "it wants more than there is"
            wanted = reader.send(sent)
    except StopIteration as stop:
        return stop.value, stream.read()


def send_all(reader, lines):
    for line in lines:
        reader.send(line)


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


def test_headers():
    """Headers are found by their name in lower case, without the space around their value."""
    found = request("Host: a", "X-Empty:", "X-Colons:b:c", "x-Space: \t d e \t ",
                    "!#$%&'*+.^_`|~: 1")
    assert found.headers == {"host": "a", "x-empty": "", "x-colons": "b:c", "x-space": "d e",
                             "!#$%&'*+.^_`|~": "1"}


def test_bytes_above_127_in_a_header():
    """A header's value is latin-1, so that no byte is lost."""
    assert request("X: \xe9\xff").headers == {"x": "\xe9\xff"}


def test_duplicate_headers_are_joined():
    """Headers that come twice are one with both values, whatever their case."""
    found = request("Accept: a", "X: b", "ACCEPT: c, d", "accept:")
    assert found.headers["accept"] == "a, c, d, "
    assert found.headers["x"] == "b"


def test_lines_may_end_in_lf_only():
    """A bare LF ends a line, as RFC 9112 section 2.2 allows."""
    assert Request(b"GET /a HTTP/1.1\nHost: b\nX: c\n\n").headers == {"host": "b", "x": "c"}


@pytest.mark.parametrize("header", [
    "Name : value", " Name: value", "Name", ": value", "Na me: value", "Name: a\0b", "Name: a\rb",
    "Name: a\r\n folded", "Name: a\r\n\tfolded", "N\xe9: value", "Name: a\rOther: b",
    "Na(me: value",
    "\rContent-Length: 5", "Name: a\r\n\r\r",
    pytest.param("Name: a\r", marks=broken("a bare CR at the end of a value is stripped")),
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


def test_read_head_takes_no_more_than_the_head():
    """read_head ends with the empty line; what follows is left."""
    found, rest = drive(read_head(), b"POST /a HTTP/1.1\r\nHost: b\r\n\r\nbody\r\n")
    assert (found.method, found.path, found.headers) == ("POST", "/a", {"host": "b"})
    assert rest == b"body\r\n"
    assert found.head == b"POST /a HTTP/1.1\r\nHost: b\r\n\r\n"
    assert found.body == b""


def test_empty_line_before_the_request_line():
    """An empty line before the request line is ignored, as RFC 9112 section 2.2 says."""
    assert drive(read_head(), b"\r\nGET /a HTTP/1.1\r\n\r\n")[0].path == "/a"


def test_longest_head():
    """A head of just as many bytes as are allowed is read."""
    head = b"GET / HTTP/1.1\r\nX: %s\r\n\r\n"
    value = b"a" * (MAX_HEAD - len(head) + 2)
    found, _ = drive(read_head(), head % value)
    assert len(found.head) == MAX_HEAD
    assert found.headers["x"] == value.decode()


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * MAX_HEAD + b"\r\n",
    b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n\r\n"])
def test_head_that_is_too_large(head):
    """A head over the limit is refused with 431, be it one line or many."""
    assert status_of(drive, read_head(), head) == 431


def test_head_that_never_ends_is_not_kept():
    """A head is refused as soon as it is too large, and not when it ends."""
    reader = read_head()
    next(reader)
    reader.send(b"GET / HTTP/1.1\r\n")
    for _ in range(MAX_HEAD // 6 - 3):
        reader.send(b"X: a\r\n")
    assert status_of(send_all, reader, [b"X: a\r\n"] * 3) == 431


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


def read(data, *headers, limit=100):
    return drive(read_body(request(*headers), limit), data)


def test_no_body():
    """Without a length there is no body, and nothing is read."""
    assert read(b"next") == (b"", b"next")
    assert read(b"next", "Content-Length: 0") == (b"", b"next")


def test_content_length():
    """Just as many bytes are read as Content-Length says."""
    assert read(b"abcde", "Content-Length: 3") == (b"abc", b"de")
    assert read(b"abcde", "Content-Length: 003") == (b"abc", b"de")
    assert read(ALL_BYTES, "Content-Length: 256", limit=256) == (ALL_BYTES, b"")


@pytest.mark.parametrize("value", ["", "x", "-1", "+1", "1.0", "0x10", "1_0", "1 0", "1, 1", "\xb2",
                                   "\xb9"])
def test_content_length_that_is_no_number(value):
    """A Content-Length that is not one number is a bad request."""
    assert status_of(read, b"", f"Content-Length: {value}") == 400


def test_two_content_lengths():
    """Two Content-Lengths are a bad request, even where they agree."""
    assert status_of(read, b"", "Content-Length: 1", "Content-Length: 1") == 400


def test_two_framings():
    """Transfer-Encoding beside Content-Length is a bad request."""
    assert status_of(read, b"", "Content-Length: 1", "Transfer-Encoding: chunked") == 400


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "identity", "",
                                    "xchunked", "chunked;a=b"])
def test_unknown_coding(coding):
    """A transfer coding other than chunked is not implemented."""
    assert status_of(read, b"0\r\n\r\n", f"Transfer-Encoding: {coding}") == 501


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
    assert read(b"a" * 100, "Content-Length: 100")[0] == b"a" * 100
    assert status_of(read, b"", "Content-Length: 101") == 413
    chunk = b"32\r\n" + b"a" * 50 + b"\r\n"
    assert read(chunk * 2 + b"0\r\n\r\n", "Transfer-Encoding: chunked")[0] == b"a" * 100
    assert status_of(read, chunk * 2 + b"1\r\n", "Transfer-Encoding: chunked") == 413
    assert status_of(read, b"65\r\n", "Transfer-Encoding: chunked") == 413
    assert status_of(read, b"ffffffffffffffff\r\n", "Transfer-Encoding: chunked") == 413


def test_default_limit():
    """Without another limit it is 30 million bytes."""
    assert next(read_body(request("Content-Length: 30000000"))) == 30_000_000
    assert status_of(next, read_body(request("Content-Length: 30000001"))) == 413


def test_content_length_of_5000_digits():
    """A number that is too long for int is too large a body."""
    assert status_of(read, b"", "Content-Length: " + "9" * 5000) in (400, 413)


def test_trailers_without_end():
    """Trailers are headers, and limited as these are."""
    reader = read_body(request("Transfer-Encoding: chunked"))
    next(reader)
    reader.send(b"0\r\n")
    assert status_of(send_all, reader, [b"X: " + b"a" * 100 + b"\r\n"] * MAX_HEAD) in (
        400, 413, 431)


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
    """JSON is what JSON makes of it, one value a name."""
    assert found('{"a": 1, "b": [1, 2], "c": null, "d": "\u00e9", "e": {"f": 1.5}}', kind) == {
        "a": [1], "b": [[1, 2]], "c": [None], "d": ["\u00e9"], "e": [{"f": 1.5}]}


def test_empty_body_needs_no_type():
    """An empty body has no parameters, whatever its type says."""
    for kind in (None, JSON, "text/plain", "multipart/form-data"):
        assert found(b"", kind) == {}


@pytest.mark.parametrize("body", [
    "", "[1]", "1", '"a"', "null", "true"])
def test_json_that_is_no_object(body):
    """JSON that is not an object has no names, and is a bad request."""
    assert status_of(found, body + " ", JSON) == 400


@pytest.mark.parametrize("body", [
    "{", "{a: 1}", "{'a': 1}", '{"a": 1} x', '{"a": 01}', b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}',
    '{"a": ' + "[" * 100_000, '{"a": ' + "9" * 5000 + "}",
    '{"a": NaN}', '{"a": -Infinity}'])
def test_json_that_is_none(body):
    """A body that is no JSON is a bad request, however it is broken."""
    assert status_of(found, body, JSON) == 400


def test_form_that_is_not_utf_8():
    """A form in another encoding is a bad request."""
    assert status_of(found, b"a=\xff", FORM) == 400


@pytest.mark.parametrize("kind", [None, "text/plain", "application/octet-stream", "json", "",
                                  "multipart/mixed; boundary=a", "application/jsonx"])
def test_unsupported_type(kind):
    """A body of another type is not supported."""
    assert status_of(found, b"a=1", kind) == 415


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
    "every byte": ALL_BYTES,
    "line ends": b"\r\n\r\n\n\r\r\n",
    "an end of a head": b"a\r\n\r\nb",
    "boundaries within a line": b"--B\r\nx --B--\r\n",
    "almost a boundary": b"\r\n-B\r\n\r\n--b--\r\n\n--B\r\n--",
    "many zeros": b"\0" * 100_000,
    "one byte": b"x",
    "header lookalikes": b'Content-Disposition: form-data; name="b"\r\n\r\nx',
    "utf-8": "caf\u00e9 \U0001f600".encode(),
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


def test_fields():
    """A part without a filename is text, in UTF-8 and with its line ends."""
    fields = part("caf\u00e9", 'name="a"'), part("", 'name="b"'), part(" 1\r\n", "name=c")
    assert multipart(*fields) == {"a": ["caf\u00e9"], "b": [""], "c": [" 1\r\n"]}


@pytest.mark.parametrize(("written", "name"), [
    ('name="\u00e9\u20ac\U0001f600"', "\u00e9\u20ac\U0001f600"), ('name="a b;c=d"', "a b;c=d"),
    ("NAME=a", "a"), ('name="a\\"b"', 'a"b'), ('name=""', ""),
    ('name="<a>"', "<a>"), ('name="\\"a\\""', '"a"')])
def test_names(written, name):
    """A name may have any character, as the browsers and RFC 7578 write them."""
    assert multipart(part("1", written)) == {name: ["1"]}


@pytest.mark.parametrize("filename", ['filename="a.txt"', "filename=a", "filename*=utf-8''%C3%A9",
                                      'filename="\u00e9.png"', 'filename="C:\\\\a; b.txt"'])
def test_filename_makes_bytes(filename):
    """A part with a filename is bytes, however the name is written, and if it is empty too."""
    assert multipart(part("1", 'name="a"', filename)) == {"a": [b"1"]}
    assert multipart(part("", filename, 'name="a"')) == {"a": [b""]}


def test_empty_file_input():
    """A file input in which nothing was chosen is not there at all."""
    assert multipart(part("", 'name="a"', 'filename=""'), part("1", 'name="b"')) == {"b": ["1"]}


def test_no_parts():
    """A body that is only the closing boundary has no parameters."""
    assert multipart() == {}
    assert found(b"--B--", "multipart/form-data; boundary=B") == {}


def test_repeated_names():
    """Parts of the same name make several values, in their order."""
    parts = part("1", "name=a"), part("2", "name=a"), part("3", "name=a", "filename=b")
    assert multipart(*parts) == {"a": ["1", "2", b"3"]}


def test_what_is_around_the_parts():
    """What stands before the first boundary, and after the closing one, is ignored."""
    body = b"preamble\r\n" + body_of(part("1", "name=a")) + b"epilogue\r\n"
    assert found(body, "multipart/form-data; boundary=B") == {"a": ["1"]}


@pytest.mark.parametrize("boundary", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "a.b*c+[", "-" * 70])
def test_boundaries(boundary):
    """A boundary is taken as it is, and may be quoted."""
    body = body_of(part("1", "name=a"), boundary=boundary)
    assert found(body, f'multipart/form-data; boundary="{boundary}"') == {"a": ["1"]}
    assert found(body, f'Multipart/Form-Data; x=y; boundary="{boundary}"; z=a') == {"a": ["1"]}


GOOD = body_of(part("1", "name=a"))


@pytest.mark.parametrize(("body", "kind"), [
    (GOOD, "multipart/form-data"), (GOOD, "multipart/form-data; boundary="),
    (GOOD, 'multipart/form-data; boundary=""'), (GOOD, "multipart/form-data; boundary=C"),
    (GOOD.replace(b"--B--", b""), "multipart/form-data; boundary=B"),
    (GOOD.replace(b"--B--", b"--B"), "multipart/form-data; boundary=B"),
    (GOOD[:20], "multipart/form-data; boundary=B"), (b"x", "multipart/form-data; boundary=B"),
    (body_of(b"1"), "multipart/form-data; boundary=B"),
    (body_of(b"\r\n1"), "multipart/form-data; boundary=B"),
    (body_of(part("1")), "multipart/form-data; boundary=B"),
    (body_of(part("1", "name*=utf-8''a")), "multipart/form-data; boundary=B"),
    (body_of(b"Content-Type: text/plain\r\n\r\n1"), "multipart/form-data; boundary=B"),
    (body_of(b"Content-Disposition: form-data; name=a"), "multipart/form-data; boundary=B"),
    (body_of(part(b"\xff", "name=a")), "multipart/form-data; boundary=B"),
    (body_of(b"Content-Disposition: form-data; name=\xff\r\n\r\n1"),
     "multipart/form-data; boundary=B")])
def test_multipart_that_is_broken(body, kind):
    """A multipart body without its boundaries or names, or not in UTF-8, is a bad request."""
    assert status_of(found, body, kind) == 400


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


def rendered(response, *args):
    """Render an answer; return it with the date cut out."""
    data, count = re.subn(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"",
                          response.render(*args))
    assert count == 1
    return data


OK = (b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
      b"Content-Type: application/json\r\nContent-Length: 7\r\n")


@pytest.mark.parametrize(("response", "args", "expected"), [
    (Response(200, b'{"a":1}'), (True,), OK + b'\r\n{"a":1}'),
    (Response(200, b'{"a":1}'), (False,), OK + b'Connection: close\r\n\r\n{"a":1}'),
    (Response(200, b'{"a":1}'), (True, "HEAD"), OK + b"\r\n"),
    (Response(200, b'{"a":1}'), (False, "HEAD"), OK + b"Connection: close\r\n\r\n"),
    (Response(200, b'{"a":1}', headers={"X-A": "b", "Allow": "GET, POST"}), (True,),
     OK + b'X-A: b\r\nAllow: GET, POST\r\n\r\n{"a":1}'),
    (Response(204), (True,), b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n"
                             b"X-Content-Type-Options: nosniff\r\n\r\n"),
    (Response(404, b"", "text/plain"), (False,),
     b"HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
     b"Content-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    (Response(429, ALL_BYTES, "application/octet-stream", {"Retry-After": "5"}), (True, "POST"),
     b"HTTP/1.1 429 Too Many Requests\r\nCache-Control: no-store\r\n"
     b"X-Content-Type-Options: nosniff\r\nContent-Type: application/octet-stream\r\n"
     b"Content-Length: 256\r\nRetry-After: 5\r\n\r\n" + ALL_BYTES),
])
def test_render(response, args, expected):
    """An answer is these bytes, and its Date."""
    assert rendered(response, *args) == expected


def test_date_comes_right_after_the_status():
    """The Date is in GMT, in English, and the first header."""
    lines = Response(204).render(True).split(b"\r\n")
    assert lines[1].startswith(b"Date: ")
    assert lines[1].endswith(b" GMT")


def test_json_answer():
    """Response.json makes JSON of any value, in ASCII, with the status and the headers given."""
    answer = Response.json({"a": float("nan"), "b": "\u00e9", "c": {1}}, 202, "application/x+json",
                           {"Location": "/x"})
    assert json.loads(answer.body.decode("ascii")) == {"a": None, "b": "\u00e9", "c": [1]}
    assert (answer.status, answer.content_type) == (202, "application/x+json")
    assert answer.headers == {"Location": "/x"}
    assert Response.json({}).headers == {}


@broken("a header's line end goes out as it is, and the next line is a header of its own")
def test_header_with_a_line_end():
    """A header with a line end in it is never sent."""
    try:
        data = Response(200, headers={"X": "a\r\nSet-Cookie: b"}).render(True)
    except ValueError:
        return
    assert b"\nSet-Cookie" not in data


@pytest.mark.parametrize(("now", "expected"), [
    (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
    (951782400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4102444799, "Thu, 31 Dec 2099 23:59:59 GMT")])
def test_http_date(now, expected):
    """A moment is written as RFC 9110 section 5.6.7 has it."""
    assert http_date(now) == expected

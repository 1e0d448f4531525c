"""`longop.web.wire`: bytes to a request and to what is in it, a response to bytes."""

import contextlib
import json
import subprocess
import sys
import tracemalloc

import pytest

from longop.errors import RequestError
from longop.web.parameters import parameters
from longop.web.wire import Limits, Reader, Request, Response, json_response

ALL_BYTES = bytes(range(256))
LIMITS = Limits()
MAX_HEAD = LIMITS.max_head


def read_head(head):
    return checked(head, LIMITS)


def checked(head, limits):
    request = Request(head, limits)
    request.check()
    return request


def request(*headers, line="GET / HTTP/1.1", host="Host: a"):
    lines = (line, *([host] if host else []), *headers, "")
    return read_head("".join(f"{text}\r\n" for text in lines).encode("latin-1"))


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
    (["X-Empty:", "X-Colons:b:c", "x-Space: \t d e \t ", "!#$%&'*+.^_`|~: 1"],
     {"x-empty": "", "x-colons": "b:c", "x-space": "d e", "!#$%&'*+.^_`|~": "1"}),
    (["X: \xe9\xff"], {"x": "\xe9\xff"}),  # latin-1, so that no byte is lost
    (["Accept: a", "X: b", "ACCEPT: c, d", "accept:"], {"accept": "a, c, d, ", "x": "b"}),
])
def test_headers(lines, expected):
    """Headers are found by their name in lower case, joined where they came more than once."""
    assert request(*lines).headers == {"host": "a", **expected}


@pytest.mark.parametrize("place", range(4))
def test_bare_line_feed(place):
    """A line that ends without a CR is a bad request: somebody else may not take it for an end."""
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
    """A request has a Host; the one of an absolute URL goes before it (RFC 9112 section 3.2)."""
    assert request(*headers, line=line, host=None).headers.get("host") == host


@pytest.mark.parametrize("headers", [[], ["Host: a", "Host: a"], ["Host: a, b"], ["Host: a/b"],
                                     ["Host: u@a"], ["Host: a b"], ["Host: a?b"], ["Host: a#b"]])
def test_host_that_is_not_one(headers):
    """HTTP/1.1 without a Host, with two, or with more than a name and a port is a bad request."""
    assert status_of(request, *headers, host=None) == 400


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
def test_no_other_character_ends_a_header(character):
    """What only Python's splitlines takes for a line end smuggles no header in."""
    value = f"a{character}Content-Length: 5"
    with contextlib.suppress(RequestError):  # it may as well be refused
        assert request(f"X: {value}").headers == {"host": "a", "x": value}


@pytest.mark.parametrize("header", [
    "Name : value", " Name: value", "Name", ": value", "Na me: value", "Name: a\0b", "Name: a\rb",
    "Name: a\r\n folded", "Name: a\r\n\tfolded", "N\xe9: value", "Name: a\rOther: b",
    "Na(me: value",
    "\rContent-Length: 5", "Name: a\r\n\r\r", "Name: a\r",
])
def test_header_that_is_not_http(header):
    """A header that two servers may read in two ways is a bad request."""
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


def test_limits_of_a_head():
    """A URL and the number of headers have limits of their own."""
    assert request(line=f"GET /{'a' * 8191} HTTP/1.1").path == "/" + "a" * 8191
    assert status_of(request, line=f"GET /{'a' * 8192} HTTP/1.1") == 414
    assert len(request(*[f"X{i}: a" for i in range(99)]).headers) == 100
    assert status_of(request, *[f"X{i}: a" for i in range(100)]) == 431


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0\x01", b"\0", b" GET", b"\n", b"\xff"])
def test_what_cannot_become_a_request(data):
    """What no request begins with, such as TLS, is refused before more of it has come."""
    assert status_of(next_of, data) == 400


EVIL_HEADS = """
from longop.errors import RequestError
from longop.web.wire import Limits, Request

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
    """A head that was made to be slow is parsed, or refused, all the same."""
    done = subprocess.run([sys.executable, "-c", EVIL_HEADS], stdout=subprocess.PIPE, timeout=10,
                          check=True)
    assert done.stdout.split() == [b"400", b"1", b"400", b"400", b"400"]


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
    """Just as many bytes are read as Content-Length says, none without it, and no part of them."""
    assert read(data, header, max_body=256) == expected


@pytest.mark.parametrize(("headers", "status"), [
    *[([f"Content-Length: {value}"], 400) for value in
      ("", "x", "-1", "+1", "1.0", "0x10", "1_0", "1 0", "1, 1", "\xb2", "\xb9")],
    (["Content-Length: " + "9" * 5000], 400),
    (["Content-Length: 1", "Content-Length: 1"], 400),
    (["Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: chunked"], 411), (["Transfer-Encoding: Chunked"], 411),
    *[([f"Transfer-Encoding: {coding}"], 501) for coding in
      ("gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked", "chunked;a=b")],
], ids=lambda value: ascii(value)[:50])
def test_framing_that_is_not_certain(headers, status):
    """A length that is not one number, two framings, and any coding are refused."""
    assert status_of(read, b"0\r\n\r\n", *headers) == status


def test_coding_in_http_1_0():
    """A transfer coding in HTTP/1.0 is faulty framing (RFC 9112 section 6.1)."""
    assert status_of(request, "Transfer-Encoding: chunked", line="POST / HTTP/1.0") == 400


def test_limit():
    """A body of just the limit is read; one byte more is too large, and not waited for."""
    assert read(b"a" * 100, "Content-Length: 100", max_body=100)[0] == b"a" * 100
    assert status_of(read, b"", "Content-Length: 101", max_body=100) == 413
    assert status_of(request, "Content-Length: 30000001") == 413
    assert request("Content-Length: 30000000").length == 30_000_000


# One request after the other

STREAM = (b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
          b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n\r\n\r\nab"
          b"\r\n\r\nDELETE /d HTTP/1.0\r\n\r\nGET /e HT")
EXPECTED = [("GET", "/a", "b", b""), ("POST", "/c", "", b"\r\n\r\nab"), ("DELETE", "/d", "", b"")]


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
    """However the bytes of some requests are cut, they are the same requests."""
    assert all_of(STREAM) == EXPECTED
    for cut in range(len(STREAM)):
        assert all_of(STREAM[:cut], STREAM[cut:]) == EXPECTED
    assert all_of(*[bytes([byte]) for byte in STREAM]) == EXPECTED


def test_same_head_other_body():
    """Two requests of the same head keep their own bodies."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
    assert [body for *_, body in all_of(head + b"a" + head + b"b")] == [b"a", b"b"]
    one = read_head(head)
    assert (one.with_body(b"a").body, one.body) == (b"a", b"")


@pytest.mark.parametrize(("version", "body", "waits"), [
    ("1.1", b"", True), ("1.1", b"a", False), ("1.0", b"", False)])
def test_expect_continue(version, body, waits):
    """A client that waits to be told to go on is told once, unless it goes on already."""
    reader = Reader(read_head, LIMITS)
    reader.buffer += (f"POST / HTTP/{version}\r\nHost: a\r\nContent-Length: 2\r\n"
                      "Expect: 100-Continue\r\n\r\n").encode() + body
    assert reader.next() is None
    assert [reader.must_go_on(), reader.must_go_on()] == [waits, False]
    reader.buffer += b"aa"[len(body):]
    assert reader.next().body == b"aa"


def test_where_a_reader_is():
    """A reader tells whether it is between two requests, in a head or in a body."""
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
    """A body in many pieces costs no more for each than one in few (counted, not timed)."""
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
    """What `read_head` raises about a request is raised before its body is there."""
    def refuse(head):
        raise RequestError(403, "no")

    reader = Reader(refuse, LIMITS)
    reader.buffer += b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"
    assert status_of(reader.next) == 403


# The parameters


def found(body, kind, query=""):
    if isinstance(body, str):
        body = body.encode()
    asked = request(*([f"Content-Type: {kind}"] if kind else []), line=f"POST /?{query} HTTP/1.1")
    return parameters(asked.with_body(body))


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


def test_depth():
    """JSON may be so many levels deep, and not one more."""
    assert found('{"a": ' + "[" * 100 + "]" * 100 + "}", JSON)
    assert status_of(found, '{"a": ' + "[" * 101 + "]" * 101 + "}", JSON) == 400
    assert status_of(found, '{"a": ' + '{"b":' * 101 + "1" + "}" * 102, JSON) == 400


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
     head("404 Not Found", "Content-Type: text/plain", "Content-Length: 0", "Connection: close")),
    (Response(429, ALL_BYTES, "application/octet-stream", {"Retry-After": "5"}), (None, True),
     head("429 Too Many Requests", "Retry-After: 5", "Content-Type: application/octet-stream",
          "Content-Length: 256") + ALL_BYTES),
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

"""`longop.web.parameters`: the parameters of a request."""

import tracemalloc

import pytest

from longop.errors import BadParameters
from longop.web.parameters import Upload, numbers, parameters

from .requests import ALL_BYTES, request, status_of


def found(body, kind, query=""):
    if isinstance(body, str):
        body = body.encode()
    headers = [f"Content-Type: {kind}"] if kind else []
    asked = request(*headers, line=f"POST /?{query} HTTP/1.1")
    return parameters(asked.with_body(body))


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.mark.parametrize(("query", "expected"), [
    ("", {}), ("a=1", {"a": ["1"]}), ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    ("a=&b", {"a": [""], "b": [""]}), ("a=%C3%A9+x%2B%26", {"a": ["\u00e9 x+&"]}),
    ("a=b=c;d", {"a": ["b=c;d"]}), ("a%20b=1", {"a b": ["1"]}), ("&&a=1&", {"a": ["1"]}),
    ("a=%zz", {"a": ["%zz"]})])
def test_query_and_form(query, expected):
    """A query, and a form that is encoded as one, are texts by name."""
    assert found(b"", None, query) == expected
    assert found(query, FORM) == expected
    assert found(query, FORM.upper() + "; charset=utf-8") == expected


def test_query_and_body_together():
    """Parameters of the query come before those of the body."""
    assert found("a=2&b=3", FORM, "a=1&c=4") == {"a": ["1", "2"], "c": ["4"], "b": ["3"]}
    assert found('{"a": 2}', JSON, "a=1") == {"a": ["1", 2]}


@pytest.mark.parametrize("kind", [
    JSON, "Application/JSON; charset=utf-8", "application/x+json"])
def test_json(kind):
    """Values of JSON keep their types; an empty body of any type has no parameters."""
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
    """Invalid JSON, JSON that is no object, text not in UTF-8, and other types are refused."""
    assert status_of(found, body, kind) == status


def test_depth():
    """JSON may be ``max_depth`` levels deep, and not one more."""
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
    body = body_of(*parts, boundary=boundary)
    return found(body, f"multipart/form-data; boundary={boundary}")


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
    # RFC 2046: a boundary begins a line. Here the line has begun already.
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
    *[([part("1", 'name="a"', name), part("", name, 'name="a"')],
       {"a": [b"1", b""]}) for name in (
        'filename="a.txt"', "filename=a", "filename*=utf-8''%C3%A9", 'filename="\u00e9.png"',
        'filename="C:\\\\a; b.txt"')],
    *[([part("1", written)], {name: ["1"]}) for written, name in (
        ('name="\u00e9\u20ac\U0001f600"', "\u00e9\u20ac\U0001f600"), ("NAME=a", "a"),
        ('name="a b;c=d"', "a b;c=d"), ('name="a\\"b"', 'a"b'), ('name=""', ""),
        ('name="<a>"', "<a>"), ('name="\\"a\\""', '"a"'))]])
def test_parts(parts, expected):
    """A part is text, or bytes if it has a filename, or nothing if both of these are empty."""
    assert multipart(*parts) == expected


@pytest.mark.parametrize("boundary", [
    "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a.b*c+[", "-" * 70])
def test_boundaries(boundary):
    """A boundary is taken literally, and may be quoted; text around the parts is ignored."""
    body = body_of(part("1", "name=a"), boundary=boundary)
    assert found(body, f'multipart/form-data; boundary="{boundary}"') == {"a": ["1"]}
    assert found(b"preamble\r\n" + body + b"epilogue\r\n",
                 f'Multipart/Form-Data; x=y; boundary="{boundary}"; z=a') == {"a": ["1"]}


GOOD = body_of(part("1", "name=a"))


@pytest.mark.parametrize(("body", "options"), [
    (GOOD, ""), (GOOD, "; boundary="), (GOOD, '; boundary=""'), (GOOD, "; boundary=C"),
    *[(body, "; boundary=B") for body in (
        GOOD.replace(b"--B--", b""), GOOD.replace(b"--B--", b"--B"), GOOD[:20], b"x",
        body_of(b"1"), body_of(b"\r\n1"), body_of(part("1")),
        body_of(part("1", "name*=utf-8''a")),
        body_of(b"Content-Type: text/plain\r\n\r\n1"),
        body_of(b"Content-Disposition: form-data; name=a"), body_of(part(b"\xff", "name=a")),
        body_of(b"Content-Disposition: form-data; name=\xff\r\n\r\n1"))]])
def test_multipart_that_is_broken(body, options):
    """A multipart body without its boundaries or names, or not in UTF-8, is a bad request."""
    assert status_of(found, body, "multipart/form-data" + options) == 400


def test_large_file_is_not_copied_often():
    """An upload takes at most a few times its own size of memory."""
    body = body_of(part(b"\r\n-x" * 1_000_000, "name=a", "filename=b"))
    tracemalloc.start()
    try:
        assert len(found(body, "multipart/form-data; boundary=B")["a"][0]) == 4_000_000
        assert tracemalloc.get_traced_memory()[1] < 5 * len(body)
    finally:
        tracemalloc.stop()


def test_upload():
    """An upload is bytes that know their filename and type, as the client stated them."""
    upload = part(b"1", 'name="a"', 'filename="b.txt"', headers=["Content-Type: text/plain"])
    plain = part(b"1", 'name="a"', 'filename="c"')
    found = multipart(upload, plain)["a"]
    assert [type(one) for one in found] == [Upload, Upload]
    assert [(one.filename, one.content_type) for one in found] == [("b.txt", "text/plain"),
                                                                   ("c", "")]


# The numbers of a query


@pytest.mark.parametrize(("query", "expected"), [
    ("", [-1.0, 30.0]), ("a=5", [5.0, 30.0]), ("b=0.5&a=-2", [-2.0, 0.5]),
    ("b=1.", [-1.0, 1.0]),
    ("a=1&a=2", [2.0, 30.0]), ("a=&b=1&c=x", [-1.0, 1.0])])
def test_numbers(query, expected):
    """Numbers come in the order in which they are asked for, or are the defaults."""
    assert numbers(query, a=-1, b=30) == expected


@pytest.mark.parametrize("text", [
    "x", "1e9", "nan", "inf", "--1", "1.2.3", "1" * 17, "%EF%BC%91"])
def test_what_is_no_number(text):
    """The error names a value that is not a plain decimal number."""
    with pytest.raises(BadParameters) as caught:
        numbers(f"a={text}&b=1", a=0, b=0)
    assert caught.value.errors == {"a": "must be a number"}

"""`longop.web.multipart`: a form with files in it."""

import contextlib

import pytest

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.multipart import Upload

from ..memory import peak_below
from .requests import ALL_BYTES, found, status_of, steps_of


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
        ('name="<a>"', "<a>"), ('name="\\"a\\""', '"a"'), ("name*=utf-8''n%C3%A9", "n\u00e9"),
        ("name*=UTF-8'de'n%27", "n'"), ("name*=iso-8859-1''%E9", "\u00e9"),
        ("name=b; name*=utf-8''a", "a"), ('name*="utf-8\'\'a"', "a"),
        ('name="a%22b%0D%0ac%25%41"', 'a"b\r\nc%25%41'), ("name=a%22", "a%22"))],
    ([part(b"1", "name=a").replace(b"=a", b'="na\xefve"')], {"na\u00efve": ["1"]})])
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
        body_of(part("1", "name*=a")), body_of(part("1", "name*=utf-8''%FF")),
        body_of(part("1", "name*=utf-16''a")),
        body_of(b"Content-Type: text/plain\r\n\r\n1"),
        body_of(b"Content-Disposition: form-data; name=a"), body_of(part(b"\xff", "name=a")),
        body_of(part("1", "name=a", headers=["X: " + "a" * 9_000])))],
    (body_of(part("1", "name=a"), boundary="b" * 71), "; boundary=" + "b" * 71)])
def test_multipart_that_is_broken(body, options):
    """A multipart body without its boundaries or names, or not in UTF-8, is a bad request."""
    assert status_of(found, body, "multipart/form-data" + options) == 400


@pytest.mark.parametrize(("written", "filename"), [
    ("filename*=utf-8''na%C3%AFve.png", "na\u00efve.png"),
    ("filename=x; filename*=UTF-8'en'%e2%82%ac", "\u20ac"),
    ('filename="a%22b.png"', 'a"b.png'), ('filename="100%.png"', "100%.png"),
    (r'filename="C:\temp\x.png"', r"C:\temp\x.png"), (r'filename="C:\"', "C:\\"),
    ('filename="\u6c49.png"', "\u6c49.png"), ("filename= a b.txt ", "a b.txt"),
    ('filename="a;name=b"', "a;name=b"), ('filename="', "")])
def test_filename(written, filename):
    """A filename is read as browsers write it, and as RFC 8187 does."""
    [upload] = multipart(part(b"1", "name=a", written))["a"]
    assert (upload, upload.filename) == (b"1", filename)


def test_too_many_parts():
    """A body has at most ``max_parts``; no more are made of one that has many."""
    limits = Limits(max_parts=3)
    kind = "multipart/form-data; boundary=B"
    assert found(body_of(*[part("1", "name=a")] * 3), kind, "", limits) == {"a": ["1"] * 3}
    for count in 4, 10_000:
        body = body_of(*[part("1", "name=a")] * count)
        assert status_of(found, body, kind, "", limits) == 400


EVIL = {
    "name": lambda size: (body_of(part("1", f'name="{";" * size}"')), ""),
    "bare name": lambda size: (body_of(part("1", "name=" + "a=" * (size // 2))), ""),
    "open quotes": lambda size: (body_of(part("1", "name=a" + ';a="' * (size // 4))), ""),
    "open name": lambda size: (body_of(part("1", 'name="' + "\\a" * (size // 2))), ""),
    "spaces": lambda size: (body_of(part("1", "name=a" + "; " * (size // 2))), ""),
    "headers": lambda size: (body_of(part("1", "name=a", headers=["X:"] * (size // 4))), ""),
    "content type": lambda size: (body_of(part("1", "name=a")), ";" * size),
    "long boundary": lambda size: (body_of(boundary="B" * size), "; boundary=" + "B" * size),
}


@pytest.mark.parametrize("name", sorted(EVIL))
def test_a_part_that_was_made_to_be_slow(name):
    """A head that is ten times as long takes ten times the steps, and has an end (counted)."""
    def ask(size):
        body, options = EVIL[name](size)
        with contextlib.suppress(RequestError):  # it may be refused
            found(body, "multipart/form-data; boundary=B" + options)

    ask(600)
    small, large = (steps_of(ask, size) for size in (600, 6_000))
    assert large <= 11 * small + 100
    assert steps_of(ask, 60_000) <= 11 * large + 100


def test_large_file_is_not_copied_often():
    """An upload takes at most a few times its own size of memory."""
    body = body_of(part(b"\r\n-x" * 1_000_000, "name=a", "filename=b"))
    with peak_below(2.1 * len(body)):
        assert len(found(body, "multipart/form-data; boundary=B")["a"][0]) == 4_000_000


def test_upload():
    """An upload is bytes that know their filename and type, as the client stated them."""
    upload = part(b"1", 'name="a"', 'filename="b.txt"', headers=["Content-Type: text/plain"])
    plain = part(b"1", 'name="a"', 'filename="c"')
    found = multipart(upload, plain)["a"]
    assert [type(one) for one in found] == [Upload, Upload]
    assert [(one.filename, one.content_type) for one in found] == [("b.txt", "text/plain"),
                                                                   ("c", "")]

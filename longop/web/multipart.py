"""A body that is multipart/form-data: what a browser sends for a form with files in it.

Sections are those of RFC 7578 where no other RFC is named. Names are read as browsers write
them, https://html.spec.whatwg.org/#multipart-form-data, and as other clients do. All of it
takes time in proportion to the body.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping
from urllib.parse import unquote_to_bytes

from .limits import Limits

_LONGEST_BOUNDARY = 70  # RFC 2046 section 5.1.1
_LONGEST_HEAD = 8_192  # bytes of a part's headers: room for a long filename, percent-encoded

# ``; name="value"`` or ``; name=value``. An opening quotation mark without a closing one is
# a part of the value.
_PARAMETER = re.compile(r';[ \t]*([^\s;="]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;]*))', re.S)
# Of these only: Internet Explorer sends a path, whose backslashes stand for themselves.
_QUOTED_PAIR = re.compile(r'\\(["\\])')
# What a browser escapes in a name, and nothing else: a percent sign is one.
_PERCENT_FORM = re.compile("%(22|0D|0A)", re.I)
# RFC 8187 section 3.2.1: the charset, the language and the text of ``filename*``.
_EXTENDED = re.compile("(utf-8|iso-8859-1|us-ascii)'[^']*'(.*)", re.I | re.S)


class Upload(bytes):
    """The bytes of an uploaded file.

    ``filename`` and ``content_type`` are as the client stated them, or empty.
    """

    filename: str = ""
    content_type: str = ""


def parse(body: bytes, content_type: str, limits: Limits) -> list[tuple[str, Any]]:
    """Return the names of the parts and their values: text, or an `Upload`.

    Raises ``ValueError`` for a body that is malformed or has too many parts.
    """
    boundary = _parameters_of(content_type).get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise ValueError(f"its Content-Type must name a boundary of 1 to {_LONGEST_BOUNDARY} "
                         "characters")
    pairs: list[tuple[str, Any]] = []
    for number, (begin, end) in enumerate(_find_parts(body, boundary.encode("latin-1"))):
        if number == limits.max_parts:
            raise ValueError(f"it has more than {limits.max_parts:,} parts")
        pairs += _parse_part(body, begin, end)
    return pairs


def _find_parts(body: bytes, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each part begins and ends (RFC 2046 section 5.1.1).

    A boundary stands at the beginning of a line. The line end before it belongs to it.
    """
    mark = b"\r\n--" + boundary
    # The first boundary may be the very beginning of the body.
    begin = len(mark) - 2 if body.startswith(mark[2:]) else _find(body, mark, 0) + len(mark)
    while not body.startswith(b"--", begin):
        end = _find(body, mark, begin)
        yield begin, end
        begin = end + len(mark)


def _find(body: bytes, mark: bytes, begin: int) -> int:
    found = body.find(mark, begin)
    if found < 0:
        raise ValueError("its closing boundary is missing")
    return found


def _parse_part(body: bytes, begin: int, end: int) -> list[tuple[str, Any]]:
    """Return the name and the value of a part; nothing for a file that was not chosen."""
    headers, content = _parse_head(body, begin, end)
    disposition = _parameters_of(headers.get("content-disposition", ""))
    name = disposition.get("name")
    if name is None:
        raise ValueError("a part of it has no name")
    filename = disposition.get("filename")
    if filename is None:
        return [(name, body[content:end].decode())]
    if not filename and content == end:  # what a browser sends for an empty file field
        return []
    upload = Upload(memoryview(body)[content:end])
    upload.filename = filename
    upload.content_type = headers.get("content-type", "")
    return [(name, upload)]


def _parse_head(body: bytes, begin: int, end: int) -> tuple[Mapping[str, str], int]:
    """Return the headers of a part, and where its content begins."""
    last = min(end, begin + _LONGEST_HEAD)
    found = body.find(b"\r\n\r\n", begin, last)
    if found < 0:
        raise ValueError("the headers of a part of it have no end" if last == end else
                         f"the headers of a part of it have more than {_LONGEST_HEAD} bytes")
    headers = {}
    for line in _to_text(body[begin:found]).split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, found + 4


def _to_text(data: bytes) -> str:
    """Decode what should be UTF-8 (section 5.1). Old clients send Latin-1."""
    try:
        return data.decode()
    except ValueError:
        return data.decode("latin-1")


def _parameters_of(header: str) -> dict[str, str]:
    """Return the parameters of a header by name.

    One with an asterisk, which is percent-encoded, counts as one without, and before it.
    Section 4.2 forbids it here, but there are clients that send it.
    """
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(header):
        name = name.lower()
        if name.endswith("*"):
            extended[name[:-1]] = _decode_extended(quoted or bare.strip())
        else:
            plain[name] = _unquote(quoted) if quoted else _strip_quote(bare)
    return {**plain, **extended}


def _unquote(text: str) -> str:
    text = _QUOTED_PAIR.sub(r"\1", text)
    return _PERCENT_FORM.sub(lambda form: chr(int(form[1], 16)), text)


def _strip_quote(text: str) -> str:
    """Return a bare value; of one whose closing quotation mark is escaped, what is inside."""
    return text.strip().strip('"')


def _decode_extended(text: str) -> str:
    found = _EXTENDED.fullmatch(text)
    if found is None:
        raise ValueError("a name with an asterisk must be written UTF-8''percent%20encoded")
    return unquote_to_bytes(found[2]).decode(found[1])

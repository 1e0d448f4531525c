"""The head of an HTTP/1.1 request: what it says, and what in it is refused.

Knows nothing of sockets, routes or the parameters in a body. A head that two programs may
read differently is refused: they could be made to disagree about where a request ends, and so
one could smuggle requests past the other. Sections are those of RFC 9112 where no other RFC is
named.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Mapping

from ..errors import RequestError
from .limits import Limits

# RFC 9110 section 5.6.2: the characters of a method and of a header's name.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Sections 3 and 5: the request line, header lines, an empty line. Neither a space before the
# colon nor a value that continues on the next line (obs-fold) is accepted.
_HEADER = rf"{_TOKEN}:[^\r\n\0]*\r\n"
_HEAD = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/1\.([01])\r\n((?:{_HEADER})*)\r\n")
_ABSOLUTE = re.compile("https?://([^/?]*)(.*)", re.I)
_NOT_IN_HOST = re.compile(r"[\s,/?#@\\]")  # a comma: two Host headers were joined
_LENGTH = re.compile("[0-9]{1,16}")


class Request:
    """A request's head; `wire.Reader` adds the ``body``, and an `api.Api` the ``view``.

    - ``method``, ``path`` and ``query`` are as they were sent, percent-encoded.
    - ``root`` is the path below which a proxy or a WSGI server has put this one; `api` has
      taken it off ``path``. It has no slash at its end.
    - ``headers`` has the names in lower case; the values of a repeated header are joined with
      commas.
    - ``length`` is the size of the body in bytes.
    - ``is_secure``: it came over TLS.
    - ``expects``: the client waits for `wire.CONTINUE` before it sends the body.
    - ``keep_alive``: the client may send another request on the same connection.
    - ``view`` is the function that answers the request, and ``extra`` holds headers to add to
      the answer.
    - ``starts``: the view starts a job, or runs other code of the user's.
    - ``is_known``: it came from somebody who may come in.
    """

    def __init__(self, head: bytes, limits: Limits, is_secure: bool = False) -> None:
        """Parse a whole head, with the empty line that ends it.

        It takes time in proportion to the head, whatever is in it.

        Raises `RequestError` if it is not HTTP/1.0 or 1.1, is ambiguous, or has too many
        headers. The other limits are left to `check`: they do not apply to requests that
        somebody else's ``do_...`` method answers.
        """
        _check_headers(head, limits.max_headers)  # first: each of them takes some time
        match = _HEAD.fullmatch(head.decode("latin-1"))  # in which no byte is lost
        if match is None:
            raise RequestError(400, _why_not(head))
        method, target, minor, lines = match.groups()
        is_http_1_1 = minor == "1"
        self.limits = limits
        self.body = b""
        self.view: Any = None
        self.root = ""
        self.starts = False
        self.is_known = False
        self.extra: Mapping[str, str] = {}
        self.is_secure = is_secure
        self.method: str = method
        self.headers = _parse_headers(lines)
        self._check_host(is_required=is_http_1_1)
        if not target.startswith("/"):
            target = self._take_host_from(target)
        path, _, query = target.partition("?")
        self.path: str = path or "/"
        self.query: str = query
        self.keep_alive = is_http_1_1 and not self._says_close()
        self.expects = is_http_1_1 and self._expects_continue()
        self._check_framing(is_http_1_1)
        self.length = self._parse_length()

    def check(self) -> None:
        """Raise `RequestError` if the URL or the body is over its limit, or has no length."""
        self._check_url()
        self._check_coding()
        if self.length > self.limits.max_body:
            raise RequestError(413, f"the body is larger than {self.limits.max_body:,} bytes")

    def with_body(self, body: bytes) -> Request:
        """Return a copy that has a body: a cached head serves many requests."""
        whole = copy.copy(self)
        whole.body = body
        return whole

    def _check_host(self, is_required: bool) -> None:
        """Section 3.2: HTTP/1.1 requires one Host header, with a name and perhaps a port."""
        host = self.headers.get("host", "")
        is_missing = is_required and "host" not in self.headers
        if is_missing or _NOT_IN_HOST.search(host):
            raise RequestError(400, "a request must have one Host header")

    def _take_host_from(self, target: str) -> str:
        """Return the path and the query of a target in absolute form, as proxies send it.

        Section 3.2.2: its host replaces the Host header.
        """
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            return target
        self.headers["host"] = absolute.group(1)
        self._check_host(is_required=True)
        return absolute.group(2)

    def _says_close(self) -> bool:
        """Section 9.6: the client will send no further request."""
        options = self.headers.get("connection", "").lower().replace(" ", "")
        return "close" in options.split(",")

    def _expects_continue(self) -> bool:
        """RFC 9110 section 10.1.1: the client asks before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue"

    def _check_framing(self, is_http_1_1: bool) -> None:
        """Section 6.1: two statements of the body's length can smuggle a request.

        So can a transfer coding in HTTP/1.0: older programs do not know it.
        """
        if "transfer-encoding" not in self.headers:
            return
        if "content-length" in self.headers or not is_http_1_1:
            raise RequestError(400, "Transfer-Encoding and Content-Length exclude each other")

    def _parse_length(self) -> int:
        """Section 6.3: a Content-Length that was sent twice has a comma in it here."""
        length = self.headers.get("content-length", "0")
        if not _LENGTH.fullmatch(length):
            raise RequestError(400, "Content-Length must be one number")
        return int(length)

    def _check_url(self) -> None:
        url = f"{self.path}?{self.query}" if self.query else self.path
        if len(url) > self.limits.max_url:
            raise RequestError(414, f"the URL is longer than {self.limits.max_url} bytes")

    def _check_coding(self) -> None:
        """Sections 6.1 and 6.3: an unknown coding is 501, a body without a length 411."""
        coding = self.headers.get("transfer-encoding")
        if coding is None:
            return
        status = 411 if coding.lower() == "chunked" else 501
        raise RequestError(status, "a body must come with a Content-Length")


def _check_headers(head: bytes, most: int) -> None:
    if head.count(b"\n") > most + 2:  # the request line and the empty one are no headers
        raise RequestError(431, f"there are more than {most} headers")


def _parse_headers(lines: str) -> dict[str, str]:
    """Return the headers of lines that end with CR LF each."""
    values: dict[str, list[str]] = {}
    for line in lines.split("\r\n")[:-1]:  # splitlines() would split at other characters too
        name, _, value = line.partition(":")
        values.setdefault(name.lower(), []).append(value.strip(" \t"))
    return {name: ", ".join(given) for name, given in values.items()}  # RFC 9110 section 5.3


def _why_not(head: bytes) -> str:
    """Return why a head is none of HTTP's, as far as that helps."""
    first_line = head.partition(b"\r\n")[0]
    if not first_line.isascii():
        return ("a URL has only ASCII characters: percent-encode the others, as in %E6%B1%89 "
                "(RFC 3986, section 2.1)")
    return ("a request begins METHOD target HTTP/1.1, then Name: value lines, each ended by "
            "CR LF")

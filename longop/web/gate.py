"""Who may come in: by token, by the host's name, and from which other sites' pages.

Knows nothing of routes.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Iterable, Mapping
from urllib.parse import quote, unquote_plus

from ..errors import RequestError
from ..values.kinds import cut
from .request import Request

# Hosts that need no permission: IP addresses and this machine's own names. No foreign DNS
# server answers for them.
_LOCAL = re.compile(r"localhost|[^:]+\.localhost|[0-9.]+|\[[0-9a-f:.]+\]", re.I)
_PORT = re.compile(":([0-9]*)$")
_TOKEN_IN_QUERY = re.compile("(?:^|&)token=([^&]*)")
# The name of the cookie, with the port of a server in it, and the value.
_COOKIE = re.compile(r"(?:^|;)[ \t]*longop([0-9]*)=([^; \t]*)")
_MOST_COOKIES = 200  # of our name and any port that are looked at; browsers keep fewer
_READING_METHODS = ("GET", "HEAD")
_CORS = {
    "Vary": "Origin",
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers":
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Mcp-Method, Mcp-Name, "
        "Mcp-Protocol-Version, Mcp-Session-Id, Prefer",
    "Access-Control-Expose-Headers":
        "Location, Mcp-Session-Id, Preference-Applied, Retry-After",
}


class Gate:
    """Decides which requests are served.

    :param token: token every request must send, as a bearer token or in the page's cookie;
        empty for none.
    :param allow_hosts: names, without a port, by which the server may be called if there is
        no token. IP addresses and ``localhost`` are always allowed.
    :param allow_origins: sites whose pages may use the server, as ``https://example.com``.
    """

    def __init__(self, token: str = "", allow_hosts: Iterable[str] = (),
                 allow_origins: Iterable[str] = ()) -> None:
        self._token = token
        self._hosts = {host.lower() for host in allow_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in allow_origins}

    def check(self, request: Request) -> None:
        """Raise `RequestError` if a request may not be served: 421, 403 or 401.

        It runs before the body is read, and takes time in proportion to the size of the head:
        a client may send thousands of cookies, or of parts of anything else.
        """
        self._check_host(request)
        self._check_origin(request)
        self._check_token(request)

    def cors(self, request: Request) -> Mapping[str, str]:
        """Return the headers that let the page of an allowed site read the answer, or none.

        They are those of https://fetch.spec.whatwg.org/#http-cors-protocol.
        """
        if not self._is_allowed_origin(request):
            return {}
        return {"Access-Control-Allow-Origin": request.headers["origin"], **_CORS}

    def cookie(self, request: Request) -> str | None:
        """Return the cookie to set if a browser comes with the token in the URL, else None."""
        if not self._has_token_in_url(request):
            return None
        cookie = f"longop{_port(request)}={self._cookie_value()}"
        cookie += f"; Path={request.root}/; HttpOnly; SameSite=Strict"
        return f"{cookie}; Secure" if _is_https(request) else cookie

    def _check_host(self, request: Request) -> None:
        """Refuse names that are not this server's (RFC 9110 section 7.4).

        The owner of evil.example may point that name at this machine (DNS rebinding). A
        browser then takes this server for the site of evil.example's page, and lets the page
        read every answer. A token prevents that already: the page does not know it, and the
        browser does not send the cookie to that name.
        """
        if self._token:
            return
        name = _PORT.sub("", _host(request))
        if name not in self._hosts and not _LOCAL.fullmatch(name):
            name = cut(name) or "nameless"
            raise RequestError(421, f"this server is not {name}: call it by its address, or "
                                    "allow this host")

    def _check_origin(self, request: Request) -> None:
        """Refuse requests with which another site's page could change something.

        Reading requests need no check: the browser keeps their answers from the page, unless
        they have the headers of `cors`.
        """
        origin = request.headers.get("origin", "").lower()
        if not origin or request.method in _READING_METHODS:
            return  # a client that is not a browser sends no Origin
        if not _is_own(origin, request) and not self._is_allowed_origin(request):
            raise RequestError(403, f"a page of {cut(origin)} may not use this server, unless "
                                    "that origin is allowed")

    def _check_token(self, request: Request) -> None:
        if not self._token:
            return
        if request.method == "OPTIONS":  # a browser's preflight request cannot send it
            return
        if not self._has_token(request):
            message = ("a token is needed: Authorization: Bearer ..., or the page's address "
                       "with ?token=...")
            raise RequestError(401, message, **{"WWW-Authenticate": "Bearer"})

    def _is_allowed_origin(self, request: Request) -> bool:
        return request.headers.get("origin", "").lower() in self._origins

    def _has_token(self, request: Request) -> bool:
        return (self._has_token_in_header(request)
                or self._has_token_in_cookie(request)
                or self._has_token_in_url(request))

    def _has_token_in_header(self, request: Request) -> bool:
        """RFC 6750 section 2.1."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _equals(given.strip(), self._token)

    def _has_token_in_cookie(self, request: Request) -> bool:
        port = _port(request)
        wanted = self._cookie_value()
        found = _COOKIE.finditer(request.headers.get("cookie", ""))
        return any(cookie[1] == port and _equals(cookie[2], wanted)
                   for cookie in islice(found, _MOST_COOKIES))

    def _has_token_in_url(self, request: Request) -> bool:
        given = _TOKEN_IN_QUERY.search(request.query)
        if not self._token or given is None:
            return False
        return _equals(unquote_plus(given[1]), self._token)

    def _cookie_value(self) -> str:
        return quote(self._token, safe="")


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()


def _port(request: Request) -> str:
    """Return the port for a cookie's name: a browser sends a host's cookies to all ports."""
    port = _PORT.search(_host(request))
    return port[1] if port else ""


def _is_own(origin: str, request: Request) -> bool:
    """Return whether an origin is the server's own page.

    Over TLS, a page of the same host that came without TLS is another site: somebody on the
    network can have written it. The other way round it is our page: a proxy in front of the
    server ends TLS, and passes on the Host and the Origin that the browser sent.
    """
    scheme, _, host = origin.partition("://")
    schemes = ("https",) if request.is_secure else ("http", "https")
    return scheme in schemes and host == _host(request)


def _is_https(request: Request) -> bool:
    """Return whether the browser uses TLS, to this server or to a proxy that says so.

    Anybody can say so; it makes a cookie `Secure`, and a browser without TLS then ignores it.
    """
    return request.is_secure or request.headers.get("x-forwarded-proto", "") == "https"


def _equals(given: str, wanted: str) -> bool:
    """Compare in a time that does not depend on where the first difference is."""
    from hmac import compare_digest  # loads OpenSSL, which only a server with a token needs

    return compare_digest(given.encode(), wanted.encode())

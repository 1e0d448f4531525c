"""Who may come in: by token, by the name of the host, and from which other sites' pages.

Knows nothing of routes.
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping
from urllib.parse import parse_qs, quote

from ..errors import RequestError
from .wire import Request

# What cannot be a name that somebody else's DNS gives this address: numbers, and this machine's.
_LOCAL = re.compile(r"localhost|[^:]+\.localhost|[0-9.]+|\[[0-9a-f:.]+\]", re.I)
_READS = "GET", "HEAD"


class Gate:
    """Lets requests in.

    :param token: what each must bring, as a bearer or in a cookie, unless it is empty.
    :param allow_hosts: names, without a port, by which the server may be called if there is no
        token. An address, or localhost, needs no leave.
    :param allow_origins: such as ``https://example.com``: sites of which the pages may use it.
    """

    def __init__(self, token: str = "", allow_hosts: Iterable[str] = (),
                 allow_origins: Iterable[str] = ()) -> None:
        self._hosts = {host.lower() for host in allow_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in allow_origins}
        self._token = token

    def check(self, request: Request) -> None:
        """Raise `RequestError` if a request may not come in."""
        host = request.headers.get("host", "").lower()
        name = re.sub(r":[0-9]*$", "", host)
        if not (self._token or name in self._hosts or _LOCAL.fullmatch(name)):
            # RFC 9110 section 7.4. A page of evil.example, whose name it then lets point here, may
            # read all that is answered (DNS rebinding).
            raise RequestError(421, f"this server is not {name or 'nameless'}: call it by its "
                                    "address, or allow this host")
        origin = request.headers.get("origin", "").lower()
        if (origin and request.method not in _READS and not self.cors(request)
                and origin.partition("://")[2] != host):
            raise RequestError(403, f"a page of {origin} may not use this server, unless that "
                                    "origin is allowed")
        if self._token and request.method != "OPTIONS" and not self._brings_token(request):
            raise RequestError(401, "a token is needed: Authorization: Bearer ..., or the page's "
                                    "address with ?token=...", **{"WWW-Authenticate": "Bearer"})

    def cors(self, request: Request) -> Mapping[str, str]:
        """Return the headers that let another site's page read an answer, if it may."""
        origin = request.headers.get("origin", "")
        if origin.lower() not in self._origins:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin",
                "Access-Control-Allow-Methods": "GET, POST, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, "
                                                "Last-Event-ID, Prefer",
                "Access-Control-Expose-Headers": "Location, Preference-Applied, Retry-After"}

    def cookie(self, request: Request) -> str | None:
        """Return the cookie for a browser that comes with the token in the address."""
        given = parse_qs(request.query).get("token", [""])[0]
        if self._token and self._equals(given, self._token):
            return f"{self._cookie(request)}; Path=/; HttpOnly; SameSite=Strict"
        return None

    def _cookie(self, request: Request) -> str:
        # With the port in its name: a browser keeps one jar for all ports of a host.
        port = re.search(":([0-9]+)$", request.headers.get("host", ""))
        return f"longop{port[1] if port else ''}={quote(self._token, safe='')}"

    def _equals(self, given: str, wanted: str) -> bool:
        from hmac import compare_digest  # which loads OpenSSL

        return compare_digest(given.encode(), wanted.encode())  # in a time that tells nothing

    def _brings_token(self, request: Request) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        cookies = request.headers.get("cookie", "").split(";")
        return (self.cookie(request) is not None
                or (scheme.lower() == "bearer" and self._equals(bearer.strip(), self._token))
                or any(self._equals(cookie.strip(), self._cookie(request)) for cookie in cookies))

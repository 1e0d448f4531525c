"""`longop.web.gate`: which requests are served."""

import pytest

from longop import LongOperation
from longop.web.api import Api
from longop.errors import RequestError
from longop.web.gate import Gate
from longop.web.limits import Limits
from longop.web.request import Request

SITE = "https://site.example"


def asked(line="GET /v1", host="localhost", **headers):
    lines = {"Host": host, **{name.replace("_", "-"): text for name, text in headers.items()}}
    head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


def refusal(gate, *args, is_secure=False, **headers):
    """Return the status with which a gate refuses a request, or None if it does not."""
    try:
        gate.check(Request(asked(*args, **headers), Limits(), is_secure))
    except RequestError as error:
        return error.status
    return None


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:32168", "127.0.0.1", "127.0.0.1:80", "192.168.1.5:32168", "[::1]",
    "[fe80::1]:32168", "pi.localhost", "mine.example", "MINE.example:1", "10.0.0.1:"])
def test_own_hosts(host):
    """Without a token, addresses, localhost and the allowed names are accepted as hosts."""
    assert refusal(Gate(allow_hosts=["Mine.example"]), host=host) is None


@pytest.mark.parametrize("host", [
    "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:32168",
    "", "notlocalhost", "mine.example.evil.example", "1.2.3.4.x", "[evil.example]",
    "a:localhost"])
def test_other_hosts(host):
    """A name that a foreign DNS server may point here is refused (DNS rebinding)."""
    assert refusal(Gate(allow_hosts=["mine.example"]), host=host) == 421
    assert refusal(Gate("secret"), host=host, Authorization="Bearer secret") is None


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PUT"])
@pytest.mark.parametrize("origin", [
    SITE, "null", "http://localhost:2", "https://localhost.evil", "http://evil/localhost:1",
    "localhost:1"])
def test_other_sites(method, origin):
    """A page of another site changes nothing, unless its origin is allowed."""
    line = f"{method} /v1"
    expected = None if origin == "localhost:1" else 403
    assert refusal(Gate(), line, "localhost:1", Origin=origin) in (expected, 403)
    allowing = Gate(allow_origins=[origin + "/"])
    assert refusal(allowing, line, "localhost:1", Origin=origin) is None
    assert refusal(Gate(), "GET /v1", Origin=origin) is None  # the browser hides the answer
    assert refusal(Gate(), line) is None  # no browser


@pytest.mark.parametrize("origin", ["http://localhost:1", "https://LOCALHOST:1"])
def test_own_page(origin):
    """The server's own page may change things."""
    assert refusal(Gate(), "POST /v1", "localhost:1", Origin=origin) is None


@pytest.mark.parametrize(("origin", "is_secure", "expected"), [
    ("http://a.example", False, None), ("https://a.example", True, None),
    ("https://a.example", False, None), ("http://a.example", True, 403),
    ("ftp://a.example", False, 403), ("://a.example", False, 403), ("null", True, 403)])
def test_scheme_of_an_own_page(origin, is_secure, expected):
    """Over TLS a page that came without it is foreign; a proxy may be what ends TLS."""
    gate = Gate(allow_hosts=["a.example"])
    assert refusal(gate, "POST /v1", "a.example", is_secure=is_secure, Origin=origin) == expected
    allowing = Gate(allow_hosts=["a.example"], allow_origins=[origin])
    assert refusal(allowing, "POST /v1", "a.example", is_secure=is_secure, Origin=origin) is None


@pytest.mark.parametrize(("is_secure", "headers", "expected"), [
    (False, {}, False), (True, {}, True), (False, {"X_Forwarded_Proto": "https"}, True),
    (False, {"X_Forwarded_Proto": "http"}, False)])
def test_cookie_over_tls(is_secure, headers, expected):
    """Over TLS, here or at a proxy, the cookie is never sent without it."""
    api = Api([], gate=Gate("secret"))
    request = api.read_head(asked("GET /?token=secret", **headers), is_secure=is_secure)
    cookie = api.answer(request).headers["Set-Cookie"]
    assert ("Secure" in cookie.split("; ")) is expected


def test_one_head_over_tls_and_without():
    """A head that came over TLS is not mistaken for the same head that came without."""
    api = Api([])
    head = asked("OPTIONS /v1", Origin="http://localhost")
    for is_secure, status in (False, 204), (True, 403), (False, 204):
        assert api.answer(api.read_head(head, is_secure=is_secure)).status == status


def test_cors():
    """Answers to an allowed site have the headers that it needs; others do not."""
    api = Api([LongOperation(print, callback=False)], gate=Gate(allow_origins=[SITE]))
    request = api.read_head(asked("OPTIONS /v1/jobs", Origin=SITE,
                                  Access_Control_Request_Method="GET"))
    answer = api.answer(request)
    fields = {**answer.headers, **request.extra}
    assert answer.status == 204
    assert fields["Access-Control-Allow-Origin"] == SITE
    assert "POST" in fields["Access-Control-Allow-Methods"]
    assert "Authorization" in fields["Access-Control-Allow-Headers"]
    assert b"Access-Control-Allow-Origin: https://site.example\r\n" in answer.render(request)
    assert api.read_head(asked(Origin=SITE)).extra["Vary"] == "Origin"
    assert api.read_head(asked(Origin="https://other.example")).extra == {}
    assert api.read_head(asked()).extra == {}
    api_with_token = Api([], gate=Gate("secret", allow_origins=[SITE]))
    assert api_with_token.read_head(asked(Origin=SITE)).extra["Vary"] == "Origin"  # of a 401
    with pytest.raises(RequestError) as caught:
        api_with_token.read_head(asked("POST /v1", Origin=SITE, Content_Length=1))
    assert caught.value.headers["Access-Control-Allow-Origin"] == SITE
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
    preflight = api.read_head(asked("OPTIONS /v1/jobs", Origin="https://other.example"))
    assert api.answer(preflight).status == 403


@pytest.mark.parametrize(("headers", "expected"), [
    ({}, 401), ({"Authorization": "Bearer s;c rt\xe9"}, 401),
    ({"Authorization": "Bearer s;c r\xe9t"}, 401), ({"Authorization": "Basic abc"}, 401),
    ({"Authorization": "Bearer"}, 401), ({"Authorization": "Bearer "}, 401),
    ({"Authorization": "Bearer s;cret"}, None), ({"Authorization": "bearer s;cret"}, None),
    ({"Cookie": "longop=s%3Bcret"}, None), ({"Cookie": "a=b; longop=s%3Bcret; c=d"}, None),
    ({"Cookie": "longop=s;cret"}, 401), ({"Cookie": "xlongop=s%3Bcret"}, 401),
    ({"Cookie": "longop="}, 401)])
def test_token(headers, expected):
    """With a token, each request must have it, as a bearer or in the cookie."""
    gate = Gate("s;cret")
    assert refusal(gate, **headers) == expected
    assert refusal(gate, "POST /v1/jobs/x/cancel", **headers) == expected


def test_token_in_the_address():
    """A browser with the token in the URL gets a cookie, and is sent to the URL without it."""
    api = Api([], gate=Gate("s;cret"))
    answer = api.answer(api.read_head(asked("GET /?token=s%3Bcret")))
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert api.answer(api.read_head(asked("GET /", Cookie=cookie))).status == 200
    for line in ("GET /", "GET /?token=", "GET /?token=s", "GET /?token=s;cret%20"):
        answer = api.answer(api.read_head(asked(line)))
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "Set-Cookie" not in answer.headers
    assert "Set-Cookie" not in Api([]).answer(
        Api([]).read_head(asked("GET /?token="))).headers  # no token, nothing to bring


def test_two_servers_on_one_host():
    """Two ports have different cookies, because a browser sends those of all ports to each."""
    jar = []
    for port in 1, 2:
        api = Api([], gate=Gate(f"token{port}"))
        answer = api.answer(api.read_head(asked(f"GET /?token=token{port}", f"[::1]:{port}")))
        jar.append(answer.headers["Set-Cookie"].partition(";")[0])
    for port in 1, 2:
        gate = Gate(f"token{port}")
        assert refusal(gate, host=f"[::1]:{port}", Cookie="; ".join(jar)) is None
    assert refusal(Gate("token1"), host="[::1]:2", Cookie="; ".join(jar)) == 401


@pytest.mark.parametrize(("query", "expected"), [
    ("token=s", None), ("a=1&token=s&b", None), ("token=%73", None), ("token=s&token=x", None),
    ("token=x&token=s", 401), ("xtoken=s", 401), ("a=token=s", 401), ("token=", 401),
    ("token", 401), ("token=s+", 401)])
def test_token_in_a_query(query, expected):
    """The first ``token`` of a query is the one that counts, wherever it stands."""
    assert refusal(Gate("s"), f"GET /v1?{query}") == expected


def test_refusals_show_little():
    """A refusal shows the beginning of what was wrong, however long it is."""
    for gate, line, headers in (
            (Gate("s"), "POST /v1", {"Origin": "x" * 10_000}),
            (Gate(), "GET /v1", {"host": "x" * 10_000})):
        with pytest.raises(RequestError) as caught:
            gate.check(Request(asked(line, **headers), Limits()))
        assert len(str(caught.value)) < 200


def test_nothing_is_told_without_a_token():
    """Without the token, paths that exist and paths that do not look the same."""
    api = Api([LongOperation(print, callback=False)], gate=Gate("secret"))
    for line in ("GET /", "GET /v1", "GET /v1/jobs/x", "PUT /v1", "GET /no",
                 "POST /v1/builtins/print"):
        assert api.answer(api.read_head(asked(line))).status == 401


@pytest.mark.parametrize("line", ["POST /v1/jobs/x/cancel", "POST /nothing"])
def test_refused_before_the_body(line):
    """A request without permission is refused before its body is sent."""
    with pytest.raises(RequestError) as caught:
        Api([], gate=Gate("secret")).read_head(asked(line, Content_Length="5"))
    assert caught.value.status == 401
    assert Api([]).read_head(asked(line, Content_Length="5")).length == 5


def test_a_cookie_that_was_made_to_be_slow(monkeypatch):
    """Of many cookies few are compared, with one that is made once (counted, not timed)."""
    made = []

    class Counting(Gate):
        def _cookie_value(self):
            made.append(1)
            return super()._cookie_value()

    port = "1" * 10_000
    cookies = ";" * 20_000 + "; ".join([""] + [f"longop{port}="] * 3)
    assert refusal(Counting("secret"), host=f"localhost:{port}", Cookie=cookies) == 401
    assert len(made) == 1
    compared = []
    monkeypatch.setattr("longop.web.gate._equals", lambda *texts: bool(compared.append(1)))
    assert refusal(Gate("secret"), host="localhost:1", Cookie="longop1=;" * 5_000) == 401
    assert len(compared) <= 200

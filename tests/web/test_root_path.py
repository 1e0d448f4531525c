"""A server below a path: behind a proxy that strips it or passes it on, or mounted in WSGI."""

import json
import re

import pytest

import longop
from longop import LongOperation
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.held import wait

from .api_operations import finish, paint
from .test_handler import Replying, connected, exchange, serving
from .test_wsgi import call, environment

ASYNC = {"HTTP_PREFER": "respond-async"}


def ask(api, line, *headers):
    """Return the status, the headers and the body of an answer as they go over the wire."""
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""])
    request = api.read_head(head.encode())
    answer = next(wait(api.answer(request))).render(request)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def root_in(page):
    """Return where the page looks for the server, from its own address."""
    return re.search(rb'data-root="([^"]*)"', page)[1].decode()


@pytest.mark.parametrize("given", ["/a/jobs", "/a/jobs/", "a/jobs"])
@pytest.mark.parametrize("passed_on", ["", "/a/jobs"])
def test_stripped_or_passed_on(given, passed_on):
    """Whether the proxy strips the root path or not, the routes are there."""
    api = Api([LongOperation(paint)], root_path=given)
    start = f"POST {passed_on}/v1/api_operations/paint?n=1"
    status, headers, body = ask(api, start, "Prefer: respond-async", "Content-Length: 0")
    id = json.loads(body)["id"]
    assert status in (200, 202)  # it may have ended already
    assert headers["Location"] == f"/a/jobs/v1/jobs/{id}"
    assert finish(api, id)["state"] == "completed"
    for path in "/v1/jobs", f"/v1/jobs/{id}", f"/v1/jobs/{id}/events", "/openapi.json", "/":
        assert ask(api, f"GET {passed_on}{path}")[0] == 200
    assert json.loads(ask(api, f"GET {passed_on}/openapi.json")[2])["servers"] == [
        {"url": "/a/jobs"}]


@pytest.mark.parametrize("path", ["/a", "/a/job", "/a/jobsv1", "/a/jobs/v2", "/a/v2/jobs",
                                  "/jobs/v1", "/a/jobs/a/jobs/v1"])
def test_nothing_else_is_below_the_root_path(path):
    """A path that only looks like the root path is not found."""
    assert ask(Api([], root_path="/a/jobs"), f"GET {path}")[0] == 404


@pytest.mark.parametrize("root", ["/v1", "/openapi.json", "/api_operations"])
def test_a_root_path_that_is_a_route(root):
    """Even a root path that is the path of a route hides none."""
    api = Api([LongOperation(paint)], root_path=root)
    for passed_on in "", root:
        assert b"operations" in ask(api, f"GET {passed_on}/v1")[2]
        start = f"POST {passed_on}/v1/api_operations/paint?n=1"
        status, headers, _ = ask(api, start, "Prefer: respond-async", "Content-Length: 0")
        assert status in (200, 202)
        assert headers["Location"].startswith(f"{root}/v1/jobs/")


def test_the_root_without_a_slash():
    """Without its slash the address leads to the one with it, where relative links work."""
    status, headers, _ = ask(Api([], root_path="/jobs"), "GET /jobs")
    assert (status, headers["Location"]) == (303, "/jobs/")
    assert ask(Api([], page=None, root_path="/jobs"), "GET /jobs")[0] == 404
    assert ask(Api([], page="/page", root_path="/jobs"), "GET /jobs")[0] == 404


def test_the_token_in_the_address():
    """The cookie is for the root path alone, and the browser is sent back below it."""
    api = Api([], gate=Gate("secret"), root_path="/jobs")
    for path in "/", "/jobs/":
        status, headers, _ = ask(api, f"GET {path}?token=secret")
        assert (status, headers["Location"]) == (303, "/jobs/")
        assert headers["Set-Cookie"].split("; ")[1] == "Path=/jobs/"
    status, headers, _ = ask(api, "GET /jobs?token=secret")
    assert (status, headers["Location"]) == (303, "/jobs/?token=secret")
    assert ask(api, "GET /jobs")[0] == 401


@pytest.mark.parametrize("root", ["/\u6570/a b", "/%E6%95%B0/a%20b", "/;,\"<\r\nX: y",
                                  "//evil.example"])
def test_a_root_path_of_any_characters(root):
    """A root path is encoded, and can be neither a header of its own nor another host."""
    status, headers, _ = ask(Api([], gate=Gate("x"), root_path=root), "GET /?token=x")
    assert status == 303
    assert re.fullmatch("/[!-:=-~][!-~]*/", headers["Location"])
    assert not headers["Location"].startswith("//")
    assert headers["Set-Cookie"].split("; ")[1] == f"Path={headers['Location']}"
    assert "X" not in headers


@pytest.mark.parametrize(("page", "root"), [
    ("/", "."), ("/jobs", "."), ("/a/jobs", ".."), ("/a/b/", "../..")])
def test_the_page_finds_its_server(page, root):
    """The page's addresses are relative, so that it needs to know no root path."""
    assert root_in(ask(Api([], page=page), f"GET {page}")[2]) == root
    assert root_in(ask(Api([], page=page, root_path="/x"), f"GET /x{page}")[2]) == root


# WSGI


@pytest.fixture
def application():
    return longop.wsgi(LongOperation(paint))


@pytest.mark.parametrize("mount", ["/app", "/a/b", "/caf\u00c3\u00a9", "/v1", "/jobs"])
def test_mounted(application, mount):
    """Mounted below a path, the application answers there, and its addresses say so."""
    encoded = mount.replace("\u00c3\u00a9", "%C3%A9")
    _, headers, body = call(application, environment(
        "POST", "/v1/api_operations/paint", SCRIPT_NAME=mount, QUERY_STRING="n=1", **ASYNC))
    assert headers["Location"] == f"{encoded}/v1/jobs/{json.loads(body)['id']}"
    status, _, page = call(application, environment(path="/openapi.json", SCRIPT_NAME=mount))
    assert (status, json.loads(page)["servers"]) == ("200 OK", [{"url": encoded}])


@pytest.mark.parametrize("mount", ["/app", "/jobs"])
def test_the_page_of_a_mount(application, mount):
    """The page is at the mount point with a slash, to which the one without leads."""
    status, _, page = call(application, environment(path="/", SCRIPT_NAME=mount))
    assert (status, root_in(page)) == ("200 OK", ".")
    status, headers, _ = call(application, environment(path="", SCRIPT_NAME=mount))
    assert (status, headers["Location"]) == ("303 See Other", f"{mount}/")


@pytest.mark.parametrize("above", ["", "/app", "/a/b"])
def test_mounted_at_its_own_paths(above):
    """Mounted at its own paths, in an application that may be mounted too, each is there."""
    application = longop.wsgi(LongOperation(paint), page="/jobs")
    for mount, path in ("/v1", ""), ("/v1", "/jobs"), ("/v1/jobs", ""), ("/openapi.json", ""):
        status, _, _ = call(application, environment(path=path, SCRIPT_NAME=above + mount))
        assert status == "200 OK"
    status, _, page = call(application, environment(path="", SCRIPT_NAME=f"{above}/jobs"))
    assert (status, root_in(page)) == ("200 OK", ".")
    _, headers, _ = call(application, environment(
        "POST", "/api_operations/paint", SCRIPT_NAME=f"{above}/v1", QUERY_STRING="n=1", **ASYNC))
    assert headers["Location"].startswith(f"{above}/v1/jobs/")


def test_wsgi_behind_a_proxy_that_strips():
    """Where the server does not know the mount point, the application can be told."""
    application = longop.wsgi(LongOperation(paint), root_path="/jobs")
    _, headers, _ = call(application, environment(
        "POST", "/v1/api_operations/paint", QUERY_STRING="n=1", **ASYNC))
    assert headers["Location"].startswith("/jobs/v1/jobs/")


def test_two_mounts_of_one_application(application):
    """One application may be mounted twice: no answer of one is taken for the other's."""
    for mount in "/a", "/b", "/a":
        _, _, body = call(application, environment(path="/openapi.json", SCRIPT_NAME=mount))
        assert json.loads(body)["servers"] == [{"url": mount}]


# http.server


class Own(Replying):
    """Somebody's own handler below a path."""

    operations = (LongOperation(paint),)
    page = "/page"
    root_path = "/jobs"

    def do_GET(self):
        self.reply(self.path.encode())


def test_handler():
    """A handler below a path leaves all other paths to the subclass, as they came."""
    with serving(Own) as server, connected(server.server_address) as connection:
        for passed_on in "", "/jobs":
            response, _ = exchange(connection, "POST",
                                   f"{passed_on}/v1/api_operations/paint?n=1",
                                   headers={"Prefer": "respond-async"})
            assert response.headers["Location"].startswith("/jobs/v1/jobs/")
            assert b"<title>longop" in exchange(connection, "GET", f"{passed_on}/page")[1]
        for path in "/", "/jobs", "/jobs/", "/jobs/theirs":
            assert exchange(connection, "GET", path)[1] == path.encode()


def test_handler_settings():
    """The root path is one of the class's settings."""
    assert longop.handler(LongOperation(paint), root_path="/x").root_path == "/x"
    with pytest.raises(TypeError, match=r"^Wrong\.root_path must be a path, not None"):
        type("Wrong", (longop.Handler,), {"root_path": None})

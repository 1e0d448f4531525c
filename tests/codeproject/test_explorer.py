"""`longop.codeproject.explorer`: what CodeProject.AI Server's pages ask for."""

import http.client
import re
import socket
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

import longop
from longop.cli.target import load
from longop.codeproject import explorer
from longop.web.api import Api
from longop.web.gate import Gate

from ..waiting import WAIT
from .adapters import HEAD, Door

ADAPTER = HEAD + '''
class Adapter(ModuleRunner):
    def process(self, data):
        return {"x": 1}
'''
PAGE = '''<!DOCTYPE html>
<link rel="stylesheet" href="http://localhost:32168/assets/server.css?v=2.6.1.0">
<script src="https://:32168/assets/server.js"></script>
<script src="https://localhost:32168/assets/explorer.js"></script>
<style>
/* START EXPLORER STYLE */ #_MID_x { color: red } /* END EXPLORER STYLE */
</style>
<!-- START EXPLORER MARKUP --><b id="_MID_x">\u00e9</b><!-- END EXPLORER MARKUP -->
<script>
// START EXPLORER SCRIPT
let _MID_params = "http://example.com:32168/ stays";
// END EXPLORER SCRIPT
</script>
'''


def module(**more):
    return {"Modules": {"My-Module_2": {"Name": "My module", "Version": "1.2.3", "RouteMaps": [
        {"Name": "Run it", "Route": "my/run", "Command": "go", "Description": "Runs.",
         "Inputs": [{"Name": "a", "Type": "Integer"}]}], **more}}}


@pytest.fixture
def door(write, tmp_path):
    """Return a function that serves an adapter, with a page."""
    def door(page=PAGE, settings=None):
        if page is not None:
            (tmp_path / "explore.html").write_bytes(
                page if isinstance(page, bytes) else page.encode())
        return Door(load(write(ADAPTER, settings or module())))

    return door


def get(door, path, **headers):
    """Return the status, the headers and the text of an answer, as it goes over the wire."""
    handler = longop.handler(*door.operations)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        connection = http.client.HTTPConnection(*server.server_address, timeout=WAIT)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        server.shutdown()
    return response.status, response.headers, text


@pytest.mark.parametrize("path", ["/v1/status/ping", "/v1/server/status/ping",
                                  "/v1/server/status/version"])
def test_ping_and_version(door, path):
    """The Explorer reads success, hostname and message, and the parts of a version."""
    code, answer = door().ask("GET", path)
    assert (code, answer["success"], answer["code"]) == (200, True, 200)
    assert answer["hostname"] == socket.gethostname()
    assert longop.__version__ in answer["message"]
    version = answer["version"]
    assert [version["major"], version["minor"], version["patch"]] == [
        int(part) for part in longop.__version__.split(".")[:3]]
    assert {"preRelease", "securityUpdate", "build", "file", "releaseNotes"} <= {*version}


def test_modules_that_run(door):
    """A running module has all the keys that the Explorer takes for granted."""
    code, answer = door().ask("GET", "/v1/module/list/running")
    assert (code, answer["success"], answer["hostname"]) == (200, True, socket.gethostname())
    (one,) = answer["modules"]
    assert (one["moduleId"], one["name"], one["version"]) == ("My-Module_2", "My module", "1.2.3")
    assert isinstance(one["launchSettings"]["queue"], str)
    assert one["publishingInfo"]["category"] == ""
    ui = one["uiElements"]["explorerUI"]
    assert ui["html"] == '<b id="MyModule2_x">\u00e9</b>'
    assert ui["css"].strip() == "#MyModule2_x { color: red }"
    assert ui["script"].strip() == 'let MyModule2_params = "http://example.com:32168/ stays";'
    assert isinstance(one["uiElements"]["menus"], list)
    (route,) = one["routeMaps"]
    assert (route["route"], route["method"], route["description"]) == ("my/run", "POST", "Runs.")
    assert (route["name"], route["command"]) == ("Run it", "go")


@pytest.mark.parametrize("info", [{"Category": "Computer Vision"}, {"category": None}, {}, None])
def test_the_category_is_that_of_the_settings(door, info):
    """The Explorer puts a module under its category; without one that is empty, not null."""
    settings = module() if info is None else module(PublishingInfo=info)
    (one,) = door(settings=settings).ask("GET", "/v1/module/list/running")[1]["modules"]
    assert one["publishingInfo"]["category"] == ((info or {}).get("Category") or "")


@pytest.mark.parametrize("page", [None, "", "<b>no marks</b>", PAGE.replace("END", "EN")])
def test_modules_without_a_page(door, page):
    """A module without a page, or without marks in it, has empty strings, not null."""
    (one,) = door(page).ask("GET", "/v1/module/list/running")[1]["modules"]
    assert one["uiElements"]["explorerUI"] == {"html": "", "script": "", "css": ""}


def test_plain_functions_run_too():
    """A plain function is one of the running modules."""
    def count(callback):
        """Count."""

    door = Door.__new__(Door)
    door.api = Api([longop.LongOperation(count)])
    (one,) = door.ask("GET", "/v1/module/list/running")[1]["modules"]
    assert one["moduleId"] == "test_explorer"
    assert one["uiElements"]["explorerUI"] == {"html": "", "script": "", "css": ""}
    assert [route["route"] for route in one["routeMaps"]] == ["test_explorer/count"]
    assert door.ask("GET", "/assets/server.js")[0] == 404
    assert door.ask("GET", "/favicon.ico")[0] == 404


def test_the_page(door):
    """The page has its own names, our addresses, and a policy that allows only these."""
    code, headers, text = get(door(), "/My-Module_2/explore.html")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = text.decode()
    assert "_MID_" not in text
    assert 'href="../assets/server.css?v=2.6.1.0"' in text
    assert 'src="../assets/server.js"' in text
    assert 'src="../assets/explorer.js"' in text
    assert "http://example.com:32168/ stays" in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "*" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["http://localhost:32168/", "https://localhost:32168/",
                                     "https://:32168/", "http://:32168/", "http://127.0.0.1:32168/"])
def test_addresses(door, address):
    """However a page spells CodeProject's address, it becomes ours."""
    text = get(door(f'<script src="{address}assets/server.js">'), "/My-Module_2/explore.html")[2]
    assert text == b'<script src="../assets/server.js">'


def test_no_address_begins_at_the_host(door):
    """A page and our script find the server from where they are, below a proxy's path too."""
    text = get(door(), "/My-Module_2/explore.html")[2].decode()
    script = get(door(), "/assets/explorer.js")[2].decode()
    template = (Path(explorer.__file__).parent / "assets/module/explore.html.txt").read_text()
    for source in text, script, template:
        assert re.findall(r"""(?:src=|href=|fetch\(|path = )["']/[^"']*""", source) == []


@pytest.mark.parametrize("path", ["/my-module_2/explore.html", "/MY-MODULE_2/EXPLORE.HTML",
                                  "/My-Module_2/explore.html?v=1"])
def test_the_page_in_any_case(door, path):
    """The case of the page's path does not matter."""
    assert get(door(), path)[0] == 200


def test_a_page_that_changes(door, tmp_path):
    """The page is read again for each request."""
    one = door()
    (tmp_path / "explore.html").write_text("now _MID_")
    assert one.ask("GET", "/My-Module_2/explore.html") == (200, b"now MyModule2_")


@pytest.mark.parametrize("page", [b"\xef\xbb\xbfx", "\u00e9".encode("latin-1"), b"\0\xff"])
def test_a_page_of_other_bytes(door, page):
    """A page that is not UTF-8 does not spoil the list of modules."""
    one = door(page)
    assert one.ask("GET", "/v1/module/list/running")[0] == 200
    code, text = one.ask("GET", "/My-Module_2/explore.html")
    assert code == 200
    assert not text.startswith(b"\xef\xbb\xbf")


def test_a_page_that_has_gone(door, tmp_path):
    """A page that has been removed is not found."""
    one = door()
    (tmp_path / "explore.html").unlink()
    assert one.ask("GET", "/v1/module/list/running")[0] == 200
    assert one.ask("GET", "/My-Module_2/explore.html")[0] == 404


@pytest.mark.parametrize(("name", "kind"), [
    ("server.js", "text/javascript"), ("explorer.js", "text/javascript"),
    ("server.css", "text/css"), ("bootstrap-dark.min.css", "text/css"),
    ("bootstrap.min.css", "text/css"), ("dashboard.css", "text/css")])
def test_assets(door, name, kind):
    """All assets of such pages are served, with their types, whatever version a page asks for."""
    code, headers, text = get(door(), f"/assets/{name}?v=2.6.1.0")
    assert (code, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert len(text) > 100


@pytest.mark.parametrize("path", ["/assets/module/adapter.py.txt", "/assets/", "/assets/../api.py",
                                  "/assets/%2e%2e/api.py", "/assets/other.js",
                                  "/My-Module_2/an_adapter.py", "/My-Module_2/modulesettings.json"])
def test_nothing_else_is_served(door, path):
    """Nothing else in the folders is served."""
    assert get(door(), path)[0] in (400, 404)


def test_the_icon(door):
    """A browser's request for an icon gets an empty answer, not an error."""
    code, headers, text = get(door(), "/favicon.ico")
    assert (code, text) == (204, b"")
    assert "Content-Type" not in headers


def test_only_to_be_read(door):
    """Pages and assets do not accept POST."""
    one = door()
    for path in "/favicon.ico", "/assets/server.js", "/My-Module_2/explore.html":
        assert one.ask("POST", path)[0] == 405


def test_the_token_is_for_pages_too(door):
    """With a token, the page and the assets are refused without it."""
    one = door()
    one.api = Api(one.operations, gate=Gate("secret"))
    bearer = {"Authorization": "Bearer secret"}
    for path in "/My-Module_2/explore.html", "/assets/server.js", "/v1/module/list/running":
        assert one.ask("GET", path)[0] == 401
        assert one.ask("GET", path, **bearer)[0] == 200

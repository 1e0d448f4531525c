"""`longop.serve` and `longop.wsgi` behind nginx, below a path, as docs/serve.md has it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

import longop.client
from longop import State

from ..serve.test_main import served
from ..waiting import WAIT, wait_until
from . import test_page
from .peers import needs, needs_program
from .test_wsgi import is_there, running
from .webdriver import wait_for

ROOT = Path(__file__).resolve().parents[2]
SERVE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
MODULE = "examples/PythonLongProcess/a_long_process_adapter.py"
NGINX = shutil.which("nginx") or "nginx"
pytestmark = needs_program("nginx")
browser = test_page.browser

# One process without privileges, which writes nothing outside of its folder.
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen {address};
{location}
    }}
}}
"""
STAYING = '''
from pathlib import Path


def stay(callback):
    """Report, and end once there is a file."""
    callback("here", 1, 2)
    while not (Path(__file__).parent / "end").exists():
        callback.wait(0.01)
    return "there"
'''


def location_for(url, passes_on):
    """Return the document's nginx block, for another server."""
    [block] = re.findall(r"```nginx\n(.*?)```", SERVE, re.S)
    address = url.partition("?")[0].rstrip("/")
    target = address if passes_on else f"{address}/"
    block, count = re.subn(r"proxy_pass [^;]*;", f"proxy_pass {target};", block)
    assert count == 1
    return block


@contextlib.contextmanager
def proxied(folder, url, passes_on):
    """Run nginx before a server; yield the address below it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    text = CONFIGURATION.format(folder=folder, address="{}:{}".format(*address),
                                location=location_for(url, passes_on))
    (folder / "nginx.conf").write_text(text)
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"),
               "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: is_there(address) or process.poll() is not None, 2 * WAIT)
            assert process.poll() is None, (folder / "error.log").read_text()
            yield "http://{}:{}/jobs/".format(*address)
        finally:
            process.terminate()
            process.wait(WAIT)


def ask(url, data=None, **headers):
    """Return the status, the headers and the body of an answer; redirects are not followed."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, headers)
    opener = urllib.request.build_opener(NoRedirects)
    try:
        with opener.open(request, timeout=WAIT) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "staying.py").write_text(STAYING)
    return tmp_path


def use(folder, url):
    """Start, watch and cancel a job there; its events come while it runs."""
    there = longop.client.connect(url)
    job = there.stay.start()
    updates = job.updates()
    assert any(status.result == "here" for status in updates)
    (folder / "end").touch()  # only now: the event above was not held back
    *_, last = updates
    assert (last.state, last.result) == (State.COMPLETED, "there")
    (folder / "end").unlink()
    job = there.stay.start()
    assert job.cancel()
    assert [status.state for status in job.updates()][-1] is State.CANCELLED


@pytest.mark.parametrize(("passes_on", "options"), [
    (False, ()), (False, ("--root-path", "/jobs")), (True, ("--root-path", "/jobs"))],
    ids=["stripped", "stripped and told", "passed on"])
def test_a_job(folder, passes_on, options):
    """A job is started, watched and cancelled through the proxy, with the path or without."""
    with served(str(folder / "staying.py"), *options) as (_, _, direct), \
            proxied(folder, direct, passes_on) as url:
        use(folder, url)
        use(folder, direct)


@pytest.mark.parametrize("passes_on", [False, True], ids=["stripped", "passed on"])
def test_each_address(folder, passes_on):
    """All addresses in answers lead back through the proxy, and the cookie is for its path."""
    options = "--root-path", "/jobs", "--token", "secret"
    with served(MODULE, *options) as (_, _, direct), proxied(folder, direct, passes_on) as url:
        status, headers, _ = ask(f"{url}?token=secret")
        assert (status, urljoin(url, headers["Location"])) == (303, url)
        cookie, path, *_ = headers["Set-Cookie"].split("; ")
        assert path == "Path=/jobs/"

        def get(address, data=None, **more):
            return ask(urljoin(url, address), data, Cookie=cookie, **more)

        [server] = json.loads(get("openapi.json")[2])["servers"]
        [operation] = json.loads(get(f"{server['url']}/v1")[2])["operations"]
        status, headers, _ = get(server["url"] + operation["start"], b"")
        assert (status, get(headers["Location"])[0]) == (200, 200)
        status, _, page = get(f"{server['url']}{operation['page']}")
        links = re.findall(r'(?:src|href)="([^"]*/assets/[^"]*)"', page.decode())
        assert len(links) == 4
        for link in links:
            assert get(urljoin(f"/jobs{operation['page']}", link))[0] == 200
        assert urljoin(url, get(url[:-1])[1]["Location"]) == url


def test_its_own_page_may_start(folder):
    """To the server a page behind the proxy is its own, and another site's is not."""
    with served(str(folder / "staying.py")) as (_, _, direct), \
            proxied(folder, direct, False) as url:
        own = "http://" + urlsplit(url).netloc
        for origin, status in (own, 200), ("http://evil.example", 403):
            assert ask(f"{url}v1/staying/stay", b"", Origin=origin)[0] == status


@test_page.pytestmark
@pytest.mark.parametrize(("passes_on", "options"), [
    (False, ()), (True, ("--root-path", "/jobs"))], ids=["stripped", "passed on"])
def test_the_pages(folder, browser, passes_on, options):
    """Both pages work through the proxy: the server's, and that of a module."""
    browser.errors()
    with served(MODULE, *options) as (_, _, direct), proxied(folder, direct, passes_on) as url:
        browser.show()
        browser.get(url)
        wait_for(lambda: browser.read("#own-page"))
        browser.click("#start")
        wait_for(lambda: browser.read("#state") == "running")
        browser.click("#cancel")
        wait_for(lambda: browser.read("#state") == "cancelled")
        requests = browser.run(
            "return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert any("/events?" in name for name in requests)
        assert all(name.startswith(url) for name in requests)
        browser.click("#own-page")
        wait_for(lambda: browser.url() == f"{url}PythonLongProcess/explore.html")
        browser.click("#PythonLongProcess_start")
        wait_for(lambda: browser.read("#results").startswith("1"))
        browser.click("#PythonLongProcess_cancel")
        wait_for(lambda: browser.read("#results") == "The command has been cancelled")
        browser.get("about:blank")
    # A page without an icon of its own makes the browser ask for the host's, which is nginx's.
    assert [error for error in browser.errors() if "/favicon.ico" not in error] == []


WSGI = """
import longop
from staying import stay
application = longop.wsgi(longop.LongOperation(stay))
"""


@needs("gunicorn")
def test_gunicorn(folder, monkeypatch):
    """gunicorn takes the path off by itself, and says so in SCRIPT_NAME."""
    command = ("gunicorn", "--threads", "8", "--bind", "{}:{}", "--env", "SCRIPT_NAME=/jobs",
               "application")
    with running(folder, *command, source=WSGI) as address, \
            proxied(folder, "http://{}:{}".format(*address), True) as url:
        use(folder, url)
        status, headers, _ = ask(f"{url}v1/staying/stay", b"", Prefer="respond-async")
        assert (status, headers["Location"][:14]) == (202, "/jobs/v1/jobs/")
        assert ask(urljoin(url, headers["Location"]) + "/cancel", b"")[0] == 200

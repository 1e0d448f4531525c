"""Operations inside of your own application, as docs/embedding.md has it."""

import contextlib
import json
import re
import socketserver
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

import longop
import longop.client
from longop import State

from ..web.test_handler import serving
from ..waiting import WAIT
from .peers import needs
from .test_wsgi import running

ROOT = Path(__file__).resolve().parents[2]
EMBEDDING = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
#: Applications with a path of their own; ``beside`` and ``jobs`` are the document's.
FLASK = """
from flask import Flask
application = Flask("theirs")
application.add_url_rule("/theirs", view_func=lambda: "it is Flask", endpoint="theirs")
application.wsgi_app = beside(application.wsgi_app)
"""
MOUNTED_IN_FLASK = """
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

application = Flask("theirs")
application.add_url_rule("/theirs", view_func=lambda: "it is Flask", endpoint="theirs")
mounted = longop.wsgi(longop.LongOperation(a_long_process))
application.wsgi_app = DispatcherMiddleware(application.wsgi_app, {"/below/jobs": mounted})
"""
MOUNTED_IN_FASTAPI = """
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI

application = FastAPI()

@application.get("/theirs")
def theirs():
    return "it is FastAPI"

mounted = longop.wsgi(longop.LongOperation(a_long_process))
application.mount("/below/jobs", WSGIMiddleware(mounted))
"""
DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
urlpatterns = [path("theirs", lambda request: HttpResponse("it is Django"))]
application = beside(get_wsgi_application())
"""
FASTAPI = """
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI

application = FastAPI()

@application.get("/theirs")
def theirs():
    return "it is FastAPI"

application.mount("/", WSGIMiddleware(jobs))  # the last one: what no route of theirs takes
"""


def recipe():
    """Return the document's code that makes ``jobs`` and ``beside``."""
    return block_with("def beside")


def block_with(text):
    """Return the document's Python block that contains a text."""
    blocks = re.findall(r"```python\n(.*?)```", EMBEDDING, re.S)
    [found] = [block for block in blocks if text in block]
    return found


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A WSGI server with a thread for each request."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def threaded(source, monkeypatch):
    """Serve a WSGI application that is made as the document makes it; yield its address."""
    made = ModuleType("made")
    monkeypatch.setitem(sys.modules, "made", made)  # where Django looks for its paths
    exec(recipe() + source, vars(made))
    with make_server("127.0.0.1", 0, made.application, Server, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "http://{}:{}".format(*server.server_address)
        finally:
            server.shutdown()
            thread.join(WAIT)


def get(url):
    with urllib.request.urlopen(url, timeout=WAIT) as response:
        return response.read()


def use(url, theirs):
    """Start, watch and cancel a job there, and see the page and what is the application's own."""
    assert theirs.encode() in get(f"{url}/theirs")
    assert b"<title>longop</title>" in get(f"{url}/jobs")
    there = longop.client.connect(url)
    job = there.a_long_process.start()
    seen = []
    for status in job.updates():
        seen.append(status.state)
        if len(seen) == 1:
            assert job.cancel()
    assert (seen[0], seen[-1]) == (State.RUNNING, State.CANCELLED)
    assert json.loads(get(f"{url}/v1/jobs"))["jobs"][0]["id"] == job.id
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(f"{url}/v2")
    caught.value.close()


def use_mounted(url, theirs):
    """The same where the whole application is below a path; an answer leads back there."""
    assert theirs.encode() in get(f"{url}/theirs")
    assert b"<title>longop</title>" in get(f"{url}/below/jobs/")
    with urllib.request.urlopen(f"{url}/below/jobs", timeout=WAIT) as response:
        assert response.url == f"{url}/below/jobs/"
    there = longop.client.connect(f"{url}/below/jobs/")
    job = there.a_long_process.start()
    assert next(job.updates()).state is State.RUNNING
    request = urllib.request.Request(f"{url}/below/jobs/v1/jobs/{job.id}/cancel", b"")
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        assert response.status == 200
    assert [*job.updates()][-1].state is State.CANCELLED
    request = urllib.request.Request(f"{url}/below/jobs/v1/long_process/a_long_process", b"")
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        location = response.headers["Location"]
    assert json.loads(get(url + location))["state"] in ("queued", "running")
    there.job(location.rpartition("/")[2]).cancel()


@needs("flask")
def test_mounted_in_flask(monkeypatch):
    """Mounted below a path of Flask's it works as at the root."""
    with threaded(MOUNTED_IN_FLASK, monkeypatch) as url:
        use_mounted(url, "it is Flask")


@needs("fastapi", "a2wsgi", "uvicorn", python=(3, 10))
def test_mounted_in_fastapi(tmp_path):
    """Mounted below a path of FastAPI's it works as at the root."""
    (tmp_path / "made.py").write_text(recipe() + MOUNTED_IN_FASTAPI)
    command = ("uvicorn", "--host={}", "--port={1}", "--log-level=critical", "made:application")
    with running(tmp_path, *command) as address:
        use_mounted("http://{}:{}".format(*address), "it is FastAPI")


@needs("flask")
def test_flask(monkeypatch):
    """Beside Flask each has its own paths."""
    with threaded(FLASK, monkeypatch) as url:
        use(url, "it is Flask")


@needs("django")
def test_django(monkeypatch):
    """Beside Django each has its own paths."""
    with threaded(DJANGO, monkeypatch) as url:
        use(url, "it is Django")


@needs("fastapi", "a2wsgi", "uvicorn", python=(3, 10))
def test_fastapi(tmp_path):
    """Mounted in FastAPI it takes what FastAPI's routes do not."""
    (tmp_path / "made.py").write_text(recipe() + FASTAPI)
    command = ("uvicorn", "--host={}", "--port={1}", "--log-level=critical", "made:application")
    with running(tmp_path, *command) as address:
        use("http://{}:{}".format(*address), "it is FastAPI")


@needs("fastapi", "uvicorn", python=(3, 10))
def test_fastapi_by_hand(tmp_path):
    """FastAPI's own routes start, follow and cancel a job; the watcher sees the end."""
    (tmp_path / "made.py").write_text(block_with("StreamingResponse"))
    command = ("uvicorn", "--host={}", "--port={1}", "--log-level=critical", "made:app")
    with running(tmp_path, *command) as address:
        url = "http://{}:{}/count".format(*address)
        id = json.loads(post(url))["id"]
        with urllib.request.urlopen(f"{url}/{id}/lines", timeout=WAIT) as lines:
            assert lines.readline() == b"running None\n"
            assert json.loads(post(f"{url}/{id}/cancel")) is True
            assert lines.read().splitlines()[-1].startswith(b"cancelled ")


def post(url):
    with urllib.request.urlopen(url, b"", timeout=WAIT) as response:
        return response.read()


def test_http_server():
    """In a server of one's own, in under ten lines, each has its own paths too."""
    code = '''
import longop
from examples.long_process import a_long_process

class Handler(longop.handler(longop.LongOperation(a_long_process), page="/jobs")):
    def do_GET(self):
        self.send_response(200 if self.path == "/theirs" else 404)
        self.end_headers()
        self.wfile.write(b"it is http.server")
    log_message = print_nothing
'''
    made = {"print_nothing": lambda *_: None, "__name__": "made"}
    exec(code, made)
    with serving(made["Handler"]) as server:
        use("http://{}:{}".format(*server.server_address), "it is http.server")

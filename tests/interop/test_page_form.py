"""The form and the list of jobs, against a server whose answers a test chooses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import longop
from longop.cli.target import load
from longop.web.api import Api

from . import test_page
from .test_page import Page
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
TEXT = {"type": "string"}


def status(id="a" * 32, **changes):
    return {"id": id, "module": "m", "operation": "op", "state": "completed", "result": None,
            "step": None, "total": None, "progress": None, "message": None, "error": None,
            "stop_reason": None, "created_at": "2026-01-02T03:04:05.000Z",
            "started_at": "2026-01-02T03:04:05.000Z", "finished_at": None,
            "cancel_requested_at": None, "elapsed": 1.5, "eta": None, "queue_position": None,
            "version": 1, **changes}


class Stub(ThreadingHTTPServer):
    """Serves the page, and answers by method and path: a status code, an object and headers.

    An answer may also be a function of the parameters in the query, which returns that.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.answers, self.requests = {}, []
        self.serve_jobs()
        self.serve_operation()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def serve_operation(self, properties=None, required=(), **more):
        self.answers["GET /v1"] = 200, {"operations": [
            {"module": "m", "name": "op", "description": "Do it.", "start": "/v1/m/op",
             "parameters": {"type": "object", "properties": properties or {},
                            "required": list(required)}, **more}]}

    def serve_jobs(self, *jobs):
        self.answers["GET /v1/jobs"] = 200, {"jobs": jobs}
        for job in jobs:
            self.answers[f"GET /v1/jobs/{job['id']}"] = 200, job


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/":
            page = Api([])
            language = self.headers.get("Accept-Language", "")
            head = f"GET / HTTP/1.0\r\nHost: localhost\r\nAccept-Language: {language}\r\n\r\n"
            answer = page.answer(page.read_head(head.encode()))
            return self.send(200, answer.body, "text/html", answer.headers)
        key = f"{self.command} {self.path.partition('?')[0]}"
        if self.command != "GET":
            self.server.requests.append((key, self.headers, body))
        answer = self.server.answers.get(key, (404, {"detail": "there is nothing"}))
        if callable(answer):
            answer = answer(dict(urllib.parse.parse_qsl(self.path.partition("?")[2])))
        code, value, *more = answer
        if code == 0:  # a connection that breaks
            self.close_connection = True
            return None
        if isinstance(value, str):  # a stream, or a text
            kind = "text/event-stream" if key.endswith("/events") else "text/plain"
            return self.send(code, value.encode(), kind, *more)
        return self.send(code, json.dumps(value).encode(), "application/json", *more)

    def do_POST(self):
        self.do_GET()

    def do_DELETE(self):
        self.do_GET()

    def send(self, code, body, kind, headers=()):
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": len(body),
                            **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *ignored):
        pass


@pytest.fixture
def stub():
    stub = Stub()
    yield stub
    stub.shutdown()
    stub.server_close()


@contextlib.contextmanager
def serving(operation):
    """Serve an operation with its page, and yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), longop.handler(operation, page="/"))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def opened(browser, stub, id=""):
    page = Page(browser, stub, id)
    wait_for(lambda: browser.run("return longop.state.operations.length"))
    return page


def attributes(browser, name, *names):
    return browser.run("const field = document.getElementById('field-' + arguments[0]);"
                       "return arguments[1].map(name => field[name])", name, list(names))


def test_help_and_limits_of_a_schema_are_in_the_form(browser, stub):
    """A field shows its description; the browser checks limits, lengths and JSON."""
    stub.serve_operation({
        "name": {**TEXT, "description": "Of whom?"}, "notes": {**TEXT, "format": "textarea"},
        "poem": {**TEXT, "default": "two\nlines"}, "essay": {**TEXT, "maxLength": 500},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "names": {"type": "array", "default": ["a"]}, "either": {"anyOf": [
            {"type": "integer"}, TEXT, {"type": "null"}], "default": None}}, ["name"],
        page="/m/explore.html")
    opened(browser, stub)
    assert browser.read("#description") == "Do it."
    assert browser.read("#own-page", "property/href") == stub.url + "m/explore.html"
    assert browser.read("#help-name") == "Of whom?"
    described = browser.read("#field-name", "attribute/aria-describedby")
    assert described.split() == ["help-name", "error-name"]
    for name in "notes", "poem", "essay":
        assert attributes(browser, name, "tagName") == ["TEXTAREA"]
    assert attributes(browser, "essay", "maxLength") == [500]
    assert attributes(browser, "poem", "value") == ["two\nlines"]
    assert attributes(browser, "count", "type", "min", "max") == ["number", "1", "9"]
    assert attributes(browser, "either", "type", "value") == ["text", ""]
    browser.type("#field-names", "[1,")
    valid = "return document.getElementById('field-names').validationMessage"
    assert browser.run(valid) == "This is not valid JSON."
    browser.type("#field-names", "[1]")
    assert browser.run(valid) == ""


def fields(**properties):
    """Return the schema of a function's parameters by name, as the page gets it."""
    return {name: {"type": "string", "format": format, **more}
            for name, (format, more) in properties.items()}


def test_dates_and_times_have_their_fields(browser, stub):
    """A date, a time and a number have the browser's own field; what that cannot show is text."""
    stub.serve_operation(fields(
        day=("date", {"default": "2026-11-28"}), at=("time", {"default": "14:30:15.5"}),
        when=("date-time", {"default": "2026-11-28T14:30:00"}), pause=("duration", {}),
        price=("decimal", {"default": "1.10"}), key=("uuid", {}),
        there=("date-time", {"default": "2026-11-28T14:30:00+02:00"})))
    opened(browser, stub)
    shown = {name: attributes(browser, name, "type", "value")
             for name in ("day", "at", "when", "pause", "price", "key", "there")}
    assert shown == {
        "day": ["date", "2026-11-28"], "at": ["time", "14:30:15.5"],
        "when": ["datetime-local", "2026-11-28T14:30"], "pause": ["text", ""],
        "price": ["number", "1.10"], "key": ["text", ""],
        "there": ["text", "2026-11-28T14:30:00+02:00"]}
    assert "duration, such as 1:30:00" in browser.read("label[for=field-pause]")
    assert browser.run("return document.getElementById('form').checkValidity()")
    browser.errors()


def test_run_again_fills_dates_and_times(browser, stub):
    """The values of an earlier job are shown again, also those that a field has no room for."""
    stub.serve_operation(fields(when=("date-time", {}), other=("date-time", {}), day=("date", {})))
    stub.serve_jobs(status(parameters={"when": "2026-11-28T14:30:15", "day": "2026-11-28",
                                       "other": "2026-11-28T14:30:00+00:00"}))
    page = opened(browser, stub)
    wait_for(page.jobs)
    page.open("a" * 32)
    page.wait_for(state="completed")
    wait_for(lambda: browser.click("#edit") is None)  # once the operations are known
    assert browser.run("return longop.formFields().map(longop.valueOf)") == [
        "2026-11-28T14:30:15", "2026-11-28T14:30:00+00:00", "2026-11-28"]
    assert browser.run("return document.getElementById('form').checkValidity()")
    browser.errors()


KINDS = """
import dataclasses
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple, Optional, Tuple


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Size(NamedTuple):
    width: int
    height: int = 1


def take(callback, day: date, at: time, when: datetime, pause: timedelta, price: Decimal,
         pair: Tuple[int, str], where: Point, size: Size = Size(2), count: int = 1,
         share: float = 0.5, until: Optional[date] = None):
    return [repr(value) for value in (day, at, when, pause, price, pair, where, size, count,
                                      share, until)]
"""


def test_what_a_browser_sends_is_what_the_function_gets(browser, tmp_path):
    """Each kind of parameter, typed into its field, arrives at the function as what it is."""
    file = tmp_path / "kinds.py"
    file.write_text(KINDS)
    [operation] = load(str(file))
    with serving(operation) as url:
        browser.get(url)
        wait_for(lambda: browser.run("return longop.state.operations.length"))
        for name, words in (("pause", "1:30:00"), ("price", "1.10"), ("pair", '[1, "a"]'),
                            ("where", '{"x": 3}'), ("count", "007"), ("share", ".5e1")):
            browser.type(f"#field-{name}", words)
        browser.run("""
            const set = (name, value) => {
              const field = document.getElementById("field-" + name);
              field.value = value;
              field.dispatchEvent(new Event("input", { bubbles: true }));
            };
            set("day", "2026-11-28");
            set("at", "14:30");
            set("when", "2026-11-28T14:30");""")
        browser.click("#start")
        wait_for(lambda: browser.read("#state") == "completed")
        status = browser.run("return longop.state.shown")
        assert status["result"] == [
            "datetime.date(2026, 11, 28)", "datetime.time(14, 30)",
            "datetime.datetime(2026, 11, 28, 14, 30)", "datetime.timedelta(seconds=5400)",
            "Decimal('1.10')", "(1, 'a')", "Point(x=3, y=0.5)", "Size(width=2, height=1)", "7",
            "5.0", "None"]
        browser.type("#field-where", '{"x": "a"}')
        browser.click("#start")
        wait_for(lambda: browser.read("#error-where"))
        assert browser.read("#error-where") == "is wrong: 'x' must be a whole number, not 'a'"
        browser.errors()


def test_a_page_elsewhere_is_not_linked(browser, stub):
    """A link to the own page of a module never leaves this server."""
    stub.serve_operation(page="//elsewhere.example/")
    opened(browser, stub)
    assert browser.read("#own-page", "property/hidden")


@pytest.mark.parametrize("many", [0, 30])
def test_none_and_many_parameters(browser, stub, many):
    """An operation without parameters has only a button; one with thirty has thirty fields."""
    stub.serve_operation({f"p{index}": TEXT for index in range(many)})
    stub.answers["POST /v1/m/op"] = 202, status()
    stub.serve_jobs(status())
    page = opened(browser, stub)
    assert browser.run("return document.querySelectorAll('#fields [name]').length") == many
    page.start()
    page.wait_for(state="completed")


def test_a_start_asks_for_a_job_and_for_one_only(browser, stub):
    """A start asks for an immediate answer; if none arrives, a retry sends the same key."""
    stub.serve_operation({"text": TEXT})
    stub.answers["POST /v1/m/op"] = 0, None
    opened(browser, stub)
    browser.type("#field-text", "x")
    browser.click("#start")
    wait_for(lambda: "nothing is started twice" in browser.read("#form-error"))
    stub.answers["POST /v1/m/op"] = 200, {}, {"Location": "/v1/jobs/" + "a" * 32}
    stub.serve_jobs(status())
    browser.click("#start")
    wait_for(lambda: browser.url().endswith("#" + "a" * 32))
    (_, first, body), (_, second, _) = stub.requests[0], stub.requests[-1]
    assert first["Prefer"] == second["Prefer"] == "respond-async"
    assert len(first["Idempotency-Key"]) > 15
    assert first["Idempotency-Key"] == second["Idempotency-Key"]
    assert b'name="text"' in body
    browser.click("#start")
    wait_for(lambda: stub.requests[-1][1]["Idempotency-Key"] != first["Idempotency-Key"])
    browser.errors()


@pytest.mark.parametrize(("code", "words"), [
    (401, "A token is needed: open the address that the server printed"),
    (403, "Not allowed: why"), (409, "Busy: why"), (413, "Too large for the server: why"),
    (429, "Too busy: why"), (500, "The request failed: why")])
def test_a_refusal_is_told(browser, stub, code, words):
    """A refusal is shown below the button, in our words and those of the server that add to it."""
    stub.answers["POST /v1/m/op"] = code, {"detail": "why"}
    opened(browser, stub)
    browser.click("#start")
    wait_for(lambda: browser.read("#form-error") == words)
    assert browser.read("#start", "property/ariaDisabled") == "false"
    browser.errors()


def test_wrong_fields_are_marked_and_the_first_has_the_focus(browser, stub):
    """A field shows its error until it is changed; other errors are below the button."""
    stub.serve_operation({"one": TEXT, "two": TEXT})
    stub.answers["POST /v1/m/op"] = 400, {"errors": {"two": "is bad", "three": "is unknown"}}
    page = opened(browser, stub)
    browser.click("#start")
    page.wait_for(**{"error-one": "", "error-two": "is bad", "form-error": "three: is unknown"})
    assert attributes(browser, "two", "ariaInvalid") == ["true"]
    assert browser.run("return document.activeElement.name") == "two"
    browser.type("#field-two", "x")
    page.wait_for(**{"error-two": ""})
    assert attributes(browser, "two", "ariaInvalid") == [None]
    browser.errors()


def test_run_again_fills_the_form(browser, stub):
    """The parameters that the server remembers are listed, and fill the form again."""
    stub.serve_operation({"text": TEXT, "flag": {"type": "boolean"}, "list": {"type": "array"}})
    stub.serve_jobs(status(parameters={"text": "words", "flag": True, "list": [1, 2]}))
    page = opened(browser, stub)
    wait_for(page.jobs)
    assert "text: words, flag: true, list: [1,2]" in browser.read("#jobs")
    page.open("a" * 32)
    page.wait_for(state="completed")
    wait_for(lambda: browser.click("#edit") is None)  # once the operations are known
    values = "return longop.formFields().map(longop.valueOf)"
    assert browser.run(values) == ["words", "true", "[1,2]"]
    assert browser.run("return document.activeElement.name") == "text"


def test_this_tab_remembers_what_it_started(browser, stub):
    """If the server does not remember the parameters, the tab that started the job does."""
    stub.serve_operation({"text": TEXT, "other": {**TEXT, "default": "x"}})
    stub.answers["POST /v1/m/op"] = 202, status("b" * 32)
    stub.serve_jobs(status("b" * 32), status("c" * 32))
    page = opened(browser, stub)
    browser.type("#field-text", "mine")
    page.start()
    page.open("b" * 32)
    wait_for(lambda: browser.run("return longop.state.operations.length"))
    page.wait_for(state="completed")
    wait_for(lambda: browser.click("#edit") is None)  # once the operations are known
    assert browser.run("return longop.formFields().map(longop.valueOf)") == ["mine", "x"]
    page.open("c" * 32)
    page.wait_for(state="completed")
    assert browser.read("#again", "property/hidden")


def test_a_thousand_jobs(browser, stub):
    """Of a thousand jobs twenty are shown at first, and a hundred more on request."""
    stub.serve_jobs(*(status(f"{index:032x}") for index in range(1000)))
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 20)
    browser.click("#more")
    assert len(page.jobs()) == 120
    for _ in range(9):
        browser.run("document.getElementById('more').click()")
    assert len(page.jobs()) == 1000
    assert browser.read("#more", "property/hidden")


def test_the_time_that_is_left_is_known_from_other_jobs(browser, stub):
    """Without a total, the time left is estimated from earlier jobs."""
    running = status("f" * 32, state="running", elapsed=20.0)
    stub.serve_jobs(running, *(status(f"{index:032x}", elapsed=seconds)
                               for index, seconds in enumerate([60.0, 100.0, 5000.0])))
    page = opened(browser, stub, "f" * 32)
    page.matches("eta", r"^about 1:[12]\d left, usually takes 1:40$")
    browser.errors()


def test_a_queued_job_says_where_it_is(browser, stub):
    """A queued job shows its place in the queue."""
    stub.serve_jobs(status(state="queued", queue_position=2, started_at=None, elapsed=None))
    page = opened(browser, stub, "a" * 32)
    page.wait_for(state="queued, number 2", elapsed="")
    browser.errors()


def test_few_choices_are_buttons_and_limits_a_slider(browser, stub):
    """A few choices are radio buttons; a number between limits has a slider that moves it."""
    stub.serve_operation({
        "size": {"enum": ["small", "large"], "default": "large"},
        "level": {"enum": [1, 2], "x-enum-varnames": ["LOW", "HIGH"], "default": 1},
        "share": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}})
    stub.answers["POST /v1/m/op"] = 202, status()
    stub.serve_jobs(status())
    page = opened(browser, stub)
    assert browser.read("#field-level").split() == ["LOW", "HIGH"]
    values = "return longop.formFields().map(longop.valueOf)"
    assert browser.run(values) == ["large", "1", "0.5"]
    browser.click("#field-level label:nth-child(2)")
    browser.run("""const slider = document.querySelector("[type=range]"); slider.value = 0.25;
        slider.dispatchEvent(new Event("input", { bubbles: true }))""")
    assert browser.run(values) == ["large", "2", "0.25"]
    browser.type("#field-share", "0.75")
    assert browser.run("return document.querySelector('[type=range]').value") == "0.75"
    page.start()
    _, _, body = stub.requests[-1]
    assert b'name="level"\r\n\r\n2\r\n' in body
    assert b'name="size"' not in body
    browser.errors()


def test_a_list_may_be_written_in_lines(browser, stub):
    """A list is one item a line, or JSON."""
    stub.serve_operation({"names": {"type": "array"}})
    opened(browser, stub)
    browser.type("#field-names", "first one\nsecond")
    assert browser.run("return longop.formFields().map(longop.valueOf)") == [
        '["first one","second"]']
    browser.errors()


def test_the_whole_docstring_is_there(browser, stub):
    """What follows the first paragraph of a docstring is shown below it, folded if it is long."""
    stub.serve_operation(documentation="Do it.\n\nIn two\nways.\n\n- One.\n- Two.\n    And more.")
    page = opened(browser, stub)
    page.wait_for(description="Do it.",
                  documentation="In two ways.\n\n- One.\n- Two.\n    And more.")
    browser.errors()


def test_a_file_shows_its_size_at_once(browser, stub, tmp_path):
    """A chosen file is named with its size, may be dropped on its field, and names its job."""
    stub.serve_operation({"photo": {"type": "string", "contentEncoding": "base64"}})
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(1_234_567))
    stub.answers["POST /v1/m/op"] = 202, status()
    stub.serve_jobs(status(parameters={}))
    page = opened(browser, stub)
    browser.type("#field-photo", str(file))
    assert "photo.jpg · 1.23 MB" in browser.read("label[for=field-photo]")
    page.start()
    page.wait_for(state="completed", given="photo\nphoto.jpg")
    browser.errors()


@pytest.mark.parametrize(("cancel", "words"), [
    ("callback", "it stops at its next report"), ("process", ""), ("companion", ""),
    (None, "it has no callback: only in a process can it be stopped")])
def test_no_false_promise_of_a_cancel(browser, stub, cancel, words):
    """A job that is told to stop says what will stop it."""
    stub.serve_operation(cancel=cancel)
    stub.serve_jobs(status(state="cancelling", cancel_requested_at="2026-01-02T03:04:05.000Z"))
    page = opened(browser, stub, "a" * 32)
    page.matches("state", "^cancelling")
    page.wait_for(quiet=words)
    browser.errors()


API = """
def add(callback, first: int, words: str = "", flag: bool = False, photo: bytes = b""):
    return [first, words, flag, len(photo)]
"""


def test_the_code_for_programs_does_what_the_form_does(browser, tmp_path):
    """The commands below the form start a job with the values that are in the form."""
    file, photo = tmp_path / "adds.py", tmp_path / "photo.jpg"
    file.write_text(API)
    photo.write_bytes(bytes(10))
    [operation] = load(str(file))
    with serving(operation) as url:
        browser.get(url)
        wait_for(lambda: browser.run("return longop.state.operations.length"))
        browser.click("#api summary")
        browser.type("#field-first", "3")
        browser.type("#field-words", "it's \"so\" $HOME")
        browser.click("#field-flag")
        browser.type("#field-photo", str(photo))
        curl, python, script = browser.read("#calls").split("\n\n")
        command = ["sh", "-c", curl]
        assert curl.startswith("curl ")
        if shutil.which("curl"):
            subprocess.run(command, cwd=str(tmp_path), check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        done = subprocess.run([sys.executable, "-c", python], cwd=str(tmp_path), check=True,
                              stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, PYTHONPATH=str(test_page.ROOT)))
        assert done.stdout.strip() == str([3, 'it\'s "so" $HOME', True, 10])
        browser.run(f"(async () => {{ const file = new Blob([new Uint8Array(10)]); {script} }})()")
        results = [3, 'it\'s "so" $HOME', True, 10]
        wait_for(lambda: len(operation.jobs()) == (3 if shutil.which("curl") else 2))
        wait_for(lambda: all(job.result == results for job in operation.jobs()))
        browser.errors()

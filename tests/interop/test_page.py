"""The page in a real browser: headless Chromium against ``python -m longop.serve``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from .webdriver import Browser, wait_for

ROOT = Path(__file__).resolve().parents[2]
PEERS = shutil.which("chromedriver") and shutil.which("chromium")
pytestmark = pytest.mark.skipif(not PEERS and os.environ.get("LONGOP_INTEROP") != "1",
                                reason="needs chromium and chromedriver")

# The functions wait for files that the tests write: nothing here hopes that a time is long enough.
FUNCTIONS = '''
import time
from pathlib import Path
from typing import List, Literal, Optional

FOLDER = Path(__file__).parent


def _wait_for(name):
    while not (FOLDER / name).exists():
        time.sleep(0.005)


def echo(callback, text: str):
    """Return a text."""
    return text


def grow(callback):
    """Report three times; what follows a report waits for a file."""
    for number in (1, 2, 3):
        callback("x" * number)
        _wait_for(f"grow{number}")


def measure(callback):
    """Report a step without a total, then one with it."""
    callback(step=3)
    _wait_for("measure1")
    callback(step=5, total=8)
    _wait_for("measure2")


def write(callback):
    """Write into a file all the time, and report again only once there is another file."""
    callback("partial result")
    with open(FOLDER / "written", "ab", buffering=0) as file:
        while True:
            file.write(b"x")
            time.sleep(0.002)
            if (FOLDER / "write1").exists():
                callback()


def stay(callback):
    """Report, and end once there is a file."""
    callback("here", 1, 2)
    _wait_for("stay1")
    return "there"


def fail(callback, text: str):
    """Report a text and raise it."""
    callback(text)
    raise ValueError(text)


def everything(callback, count: int, upload: bytes, options: dict, ratio: float = 0.5,
               flag: bool = True, off: bool = False, size: Literal["small", "large"] = "large",
               level: Literal[1, 2] = 1, text: str = "a default", emptied: str = "another",
               maybe: Optional[int] = None, unsure: Optional[bool] = None,
               names: List[str] = ["a", "b"]):
    """Return what arrived, as Python writes it."""
    arrived = dict(locals())
    return {name: repr(value) for name, value in arrived.items() if name != "callback"}
'''


class Server:
    """A ``longop.serve`` in a process of its own, and the folder with the file it serves."""

    def __init__(self, folder, port=0, functions=FUNCTIONS, options=()):
        self.folder = folder
        file = folder / "functions.py"
        file.write_text(functions)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "longop.serve", str(file), "--port", str(port), "--quiet",
             *options],
            cwd=str(ROOT), env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE,
            universal_newlines=True)
        try:
            self.url = re.search(r"http://\S+", self._process.stdout.readline()).group()
        except BaseException:
            self.kill()
            raise

    def tell(self, name):
        """Write the file that a function waits for."""
        (self.folder / name).touch()

    def start(self, operation, **parameters):
        """Start a job, as curl would, and return its id."""
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.url}v1/functions/{operation}", body, 10) as answer:
            return json.load(answer)["commandId"]

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class Page:
    """What a user does on the page, and sees there. Elements are named by their ids."""

    def __init__(self, browser, server, id=""):
        self.browser, self.server = browser, server
        browser.show()
        self.open(id)

    def open(self, id=""):
        """Load the page again, with a job."""
        self.browser.get("about:blank")  # another #id alone would not load the page
        self.browser.get(f"{self.server.url}#{id}")

    def choose(self, operation, **fields):
        """Choose an operation and fill in fields of its form."""
        wait_for(lambda: self.browser.run("return longop.state.operations.length"))
        index = self.browser.run(
            "return longop.state.operations.findIndex(found => found.name === arguments[0])",
            operation)
        self.browser.click(f"#operation option:nth-child({index + 1})")
        for name, text in fields.items():
            self.browser.type("#field-" + name, text)

    def start(self):
        """Press Start and return the id of the job, which is then in the address."""
        before = self.id
        self.browser.click("#start")
        return wait_for(lambda: self.id != before and self.id)

    @property
    def id(self):
        return urllib.parse.urlsplit(self.browser.url()).fragment

    def read(self, name, what="text"):
        return self.browser.read("#" + name, what)

    def wait_for(self, **texts):
        """Wait until these elements show these texts, all at the same time."""
        seen = {}

        def is_shown():
            seen.update((name, self.read(name)) for name in texts)
            return seen == texts

        with contextlib.suppress(AssertionError):
            wait_for(is_shown)
        assert seen == texts

    def requests(self):
        """Return the addresses of all requests since the page was loaded."""
        return self.browser.run(
            "return performance.getEntriesByType('resource').map(entry => entry.name)")

    def wait_for_look(self):
        """Wait until the page has asked for the list of jobs once more."""
        before = self.requests().count(self.server.url + "v1/jobs")
        # The list of a slow server is asked for late.
        wait_for(lambda: self.requests().count(self.server.url + "v1/jobs") > before, 60)

    def matches(self, name, pattern):
        """Wait until the text of an element matches a pattern; return the match."""
        return wait_for(lambda: re.search(pattern, self.read(name)))

    def result(self):
        """Return the result as the page received it."""
        return self.browser.run("return longop.state.shown.result")

    def jobs(self):
        """Return the ids of the list of recent jobs."""
        return self.browser.run(
            "return Array.from(document.querySelectorAll('#jobs a'), link => link.hash.slice(1))")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser():
    assert PEERS, "LONGOP_INTEROP=1, and there is no chromium or no chromedriver"
    browser = Browser()
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, server):
    browser.forget()  # what other tests left
    yield Page(browser, server)
    assert browser.errors() == []


def test_start_shows_the_job_and_its_result_as_it_grows(page):
    """Start shows the job running and each report as it comes; the job's id is in the address."""
    page.choose("grow")
    job = page.start()
    assert re.fullmatch("[0-9a-f]{32}", job)
    for number in (1, 2, 3):
        page.wait_for(state="running", result="x" * number)
        page.server.tell(f"grow{number}")
    page.wait_for(state="completed", result="xxx")
    assert page.id == job


def test_the_bar_shows_progress_once_there_is_a_total(page):
    """The progress bar is indeterminate without a total, else it shows step / total."""
    page.choose("measure")
    page.start()
    page.wait_for(state="running", steps="step 3")
    assert page.read("bar", "property/position") == -1  # HTML's word for indeterminate
    page.server.tell("measure1")
    page.wait_for(state="running", steps="5 of 8")
    assert page.read("bar", "property/position") == 5 / 8
    page.server.tell("measure2")
    page.wait_for(state="completed")
    assert page.read("bar", "property/position") == 1


def test_cancel_says_cancelling_until_the_function_has_stopped(page):
    """The page says "cancelled" only once the function's side effects have ceased."""
    written = page.server.folder / "written"
    page.choose("write")
    page.start()
    page.wait_for(state="running", result="partial result")
    page.browser.click("#cancel")
    page.matches("state", r"^cancelling… \d s$")
    size = written.stat().st_size
    page.matches("state", r"^cancelling… [1-9] s$")
    assert written.stat().st_size > size
    assert page.read("cancel", "property/ariaDisabled") == "true"
    assert page.read("quiet") == "it stops at its next report"
    page.server.tell("write1")
    page.wait_for(state="cancelled", result="partial result", error="")
    size = written.stat().st_size
    page.browser.refresh()
    page.wait_for(state="cancelled", result="partial result")
    assert written.stat().st_size == size


def test_a_reload_comes_back_to_the_same_job(page):
    """A reload shows the job of the address, running or ended."""
    page.choose("stay")
    job = page.start()
    page.wait_for(state="running", result="here")
    page.browser.refresh()
    page.wait_for(state="running", result="here", steps="1 of 2")
    page.server.tell("stay1")
    page.wait_for(state="completed", result="there")
    page.browser.refresh()
    page.wait_for(state="completed", result="there")
    assert page.id == job


def test_html_in_an_error_and_in_a_result_is_shown_as_text(page):
    """Text that a function raised or reported is never markup."""
    text = "<b>bold</b> <img src=x onerror=\"document.body.textContent='it ran'\">"
    page.choose("fail", text=text)
    page.start()
    page.wait_for(state="failed", error=f"ValueError: {text}", result=text)
    assert page.browser.run("return document.querySelectorAll('b, img').length") == 0


def test_the_form_is_made_from_the_parameters(page, tmp_path):
    """Each parameter has a field of its kind and with its default, and arrives as its type."""
    page.choose("everything")
    fields = page.browser.run("""
        const shown = field => field.type === "checkbox" ? field.checked : field.value;
        return Object.fromEntries(Array.from(longop.formFields(),
            field => [field.name, [field.type, shown(field), field.required]]))""")
    assert fields == {
        "count": ["number", "", True], "upload": ["file", "", True],
        "options": ["textarea", "", True], "ratio": ["number", "0.5", False],
        "flag": ["checkbox", True, False], "off": ["checkbox", False, False],
        "size": ["radio", "large", False], "level": ["radio", "1", False],
        "text": ["text", "a default", False], "emptied": ["text", "another", False],
        "maybe": ["number", "", False], "unsure": ["select-one", "", False],
        "names": ["textarea", '["a","b"]', False]}
    file = tmp_path / "every byte.bin"
    file.write_bytes(bytes(range(256)))
    page.choose("everything", count="7", upload=str(file), options='{"a": [1, null]}', ratio="2",
                emptied="")
    page.browser.click("#field-flag")
    page.browser.click("#field-level label:last-child")
    page.start()
    page.wait_for(state="completed")
    assert page.result() == {
        "count": "7", "upload": repr(file.read_bytes()), "options": "{'a': [1, None]}",
        "ratio": "2.0", "flag": "False", "off": "False", "size": "'large'", "level": "2",
        "text": "'a default'", "emptied": "''", "maybe": "None", "unsure": "None",
        "names": "['a', 'b']"}


def test_a_wrong_value_is_told_at_its_field_and_starts_nothing(page, tmp_path):
    """A value that gets past the browser is refused by the server; the field shows why."""
    def started():
        with urllib.request.urlopen(page.server.url + "v1/jobs", timeout=10) as answer:
            return [job["id"] for job in json.load(answer)["jobs"]]

    jobs = started()
    file = tmp_path / "file"
    file.write_text("x")
    page.choose("everything", options="{oops")
    page.browser.run("""form.noValidate = true;
        document.getElementById("field-count").type = "text" """)
    page.browser.type("#field-count", "ten")
    page.browser.click("#start")
    page.wait_for(**{"error-upload": "Please fill this in.", "error-count": "",
                     "error-options": ""})
    page.browser.type("#field-upload", str(file))
    page.browser.click("#start")
    page.wait_for(**{"error-upload": "", "error-count": "must be a whole number, not 'ten'",
                     "error-options": "must be a JSON object, not '{oops'", "form-error": ""})
    assert page.id == ""
    assert page.read("job", "property/hidden")
    assert started() == jobs
    refused = page.browser.errors()
    assert len(refused) == 2
    assert all("400 (Bad Request)" in message for message in refused)


def test_recent_jobs_are_listed_newest_first_and_lead_to_their_job(page):
    """A new job is on top of the list; a click on an older one shows it."""
    ids = []
    for text in ("older", "newer"):
        page.choose("echo", text=text)
        ids.append(page.start())
        page.wait_for(state="completed", result=text)
    older, newer = ids
    wait_for(lambda: page.jobs()[:2] == [newer, older])
    page.browser.click(f"#jobs a[href='#{older}']")
    page.wait_for(state="completed", result="older")
    assert page.id == older


def test_the_page_needs_its_server_only_and_says_so_when_that_is_gone(browser, tmp_path):
    """All requests go to the server, the console is empty, and a lost server is reported."""
    server = Server(tmp_path)
    try:
        browser.errors()
        page = Page(browser, server)
        page.choose("stay")
        page.start()
        page.wait_for(state="running", result="here", trouble="")
        page.browser.click("#cancel")
        page.matches("state", "cancelling…")
        assert all(name.startswith(server.url) for name in page.requests())
        assert browser.errors() == []
        server.kill()
        page.wait_for(trouble="The server does not answer. Trying again…")
        wait_for(lambda: "ERR_CONNECTION_REFUSED" in "".join(browser.errors()))
        server = Server(tmp_path, urllib.parse.urlsplit(server.url).port)
        page.wait_for(trouble="", state="gone", result="here")
    finally:
        server.kill()


def test_an_upload_that_is_too_large_is_told(browser, tmp_path):
    """A file over the limit is refused with a reason, even while it is being sent."""
    server = Server(tmp_path, options=["--max-body", "100000"])
    try:
        page = Page(browser, server)
        file = tmp_path / "large.bin"
        file.write_bytes(bytes(5_000_000))
        page.choose("everything", count="1", options="{}", upload=str(file))
        browser.click("#start")
        page.wait_for(**{"form-error": "Too large for the server: at most 100,000 bytes",
                         "trouble": ""})
        browser.errors()
    finally:
        server.kill()


def test_the_page_is_small_and_whole(server):
    """The page is one answer of at most 60 kB, and names no other host."""
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        page = answer.read()
    assert len(page) <= 60_000
    assert set(re.findall(r"https?://[^\"' )]*", page.decode())) == {"http://www.w3.org/2000/svg"}

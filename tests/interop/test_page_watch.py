"""The page keeps up: streams, polls, outages, restarts, hidden pages, wrong clocks, load."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from . import test_page
from .test_page import Page, Server
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
COUNT = '''
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def count(callback, name: str):
    """Report each number that there is a file for, and end at the file "end"."""
    number = 0
    while not (FOLDER / (name + "-end")).exists():
        if (FOLDER / f"{name}{number}").exists():
            callback(f"report {number}", number)
            number += 1
        callback.wait(0.005)
'''
FUNCTIONS = COUNT + '''

def stubborn(callback):
    """Report once, and notice a cancel late."""
    callback("here")
    while not (FOLDER / "stubborn").exists():
        time.sleep(0.005)
    callback()


def fast(callback, seconds: float):
    """Report a thousand times a second."""
    begin, step = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        step += 1
        callback(step % 77, step)
        time.sleep(max(0, begin + step / 1000 - time.monotonic()))


def grow(callback):
    """Report a text that grows, a thousand times a second."""
    text = ""
    for step in range(3000):
        text += f"word{step} "
        callback(text, step, 3000)
        time.sleep(0.001)


def grow_large(callback):
    """Append 5 MB in a thousand steps."""
    for step in range(1000):
        callback.append(f"word{step} ".ljust(4999, "x") + " ", step, 1000)
        time.sleep(0.003)
'''
# Long tasks, as the browser measures them.
LONG = """window.longTasks = [];
    window.observer = new PerformanceObserver(list => {
        window.longTasks.push(...list.getEntries().map(entry => entry.duration));
    });
    window.observer.observe({ type: "longtask" });"""

# Each drawing sets the title.
COUNT_DRAWS = """window.draws = 0;
    const title = Object.getOwnPropertyDescriptor(Document.prototype, "title");
    Object.defineProperty(document, "title", { get: title.get, set(words) {
        window.draws++;
        title.set.call(document, words);
    } });"""


class Proxy(ThreadingHTTPServer):
    """A proxy that holds back streams and, if told to, ignores the wait of long polls."""

    daemon_threads = True

    def __init__(self, server, without_wait=False):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.server, self.without_wait, self.seen = server, without_wait, []
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.closing.set()
        self.shutdown()
        self.server_close()


class ProxyHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path.endswith("/events"):  # which it would send on once it is whole
            self.server.closing.wait()
            return None
        path = self.path.partition("?")[0] if self.server.without_wait else self.path
        try:
            with urllib.request.urlopen(self.server.server.url + path[1:], timeout=60) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return self.send_error(error.code)
        self.send_response(200)
        for name in "Content-Type", "Content-Security-Policy":
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *ignored):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), functions=FUNCTIONS,
                    options=["--limit", "100"])
    yield server
    server.kill()


@pytest.fixture
def clean(browser):
    """Start with an empty console, and undo all emulation at the end."""
    browser.forget()
    yield browser
    browser.tell("Network.emulateNetworkConditions", offline=False, latency=0,
                 downloadThroughput=-1, uploadThroughput=-1)
    browser.tell("Emulation.setCPUThrottlingRate", rate=1)
    browser.forget()


def asked(page, of):
    """Return how many requests ended with this."""
    return sum(url.endswith(of) for url in page.requests())


def test_a_stream_brings_each_change(clean, server):
    """While a stream delivers, nothing is polled."""
    page = Page(clean, server, server.start("count", name="stream"))
    page.wait_for(state="running", link="live")
    for number in range(5):
        server.tell(f"stream{number}")
        page.wait_for(result=f"report {number}", steps=f"step {number}")
    assert asked(page, page.id) == 1
    server.tell("stream-end")
    page.wait_for(state="completed")
    assert clean.errors() == []


@pytest.mark.parametrize("without_wait", [False, True], ids=["long polls", "polls"])
def test_without_streams(clean, server, without_wait):
    """Behind a proxy that holds back streams the page uses long polls, or else polls."""
    name = f"proxy-{without_wait}-"
    proxy = Proxy(server, without_wait)
    try:
        page = Page(clean, proxy, server.start("count", name=name))
        page.wait_for(state="running")
        server.tell(name + "0")
        wait_for(lambda: any("since=" in path for path in proxy.seen), 20)
        page.wait_for(result="report 0")
        if without_wait:
            page.wait_for(link="checking every 2 s")
        server.tell(name + "1")
        page.wait_for(result="report 1")
        server.tell(name + "-end")
        page.wait_for(state="completed")
    finally:
        proxy.stop()


def test_the_network_is_lost_and_comes_back(clean, server):
    """An outage is shown; after it the page shows at once what happened meanwhile."""
    page = Page(clean, server, server.start("count", name="lost"))
    page.wait_for(state="running", trouble="")
    clean.tell("Network.enable")
    clean.tell("Network.emulateNetworkConditions", offline=True, latency=0,
               downloadThroughput=-1, uploadThroughput=-1)
    # The stream does not notice it, and the list of a slow server is asked for late.
    clean.run("dispatchEvent(new Event('online'))")
    page.wait_for(trouble="The server does not answer. Trying again…", link="")
    assert clean.read("#spoken", "property/textContent") == page.read("trouble")
    server.tell("lost0")
    clean.tell("Network.emulateNetworkConditions", offline=False, latency=0,
               downloadThroughput=-1, uploadThroughput=-1)
    page.wait_for(trouble="", result="report 0", link="live")
    server.tell("lost-end")
    page.wait_for(state="completed")


def test_a_server_that_is_started_again_with_its_history(clean, tmp_path):
    """After a restart the page shows what became of the job, and the form works again."""
    options = ["--history", str(tmp_path / "jobs.sqlite3")]
    server = Server(tmp_path, functions=COUNT, options=options)
    try:
        page = Page(clean, server, server.start("count", name="kept"))
        for number in range(3):
            server.tell(f"kept{number}")
        page.wait_for(result="report 2")
        server.kill()
        page.wait_for(trouble="The server does not answer. Trying again…")
        port = urllib.parse.urlsplit(server.url).port
        server = Server(tmp_path, port, COUNT, options)
        page.wait_for(trouble="", state="interrupted")
        clean.type("#field-name", "second")
        server.tell("second0")
        page.start()
        page.wait_for(state="running", result="report 0")
    finally:
        server.kill()


def test_a_hidden_page_rests_and_a_seen_one_knows_at_once(clean, server):
    """A page that becomes visible asks at once, even if its stream is dead."""
    page = Page(clean, server, server.start("count", name="hidden"))
    page.wait_for(state="running", link="live")
    clean.run("EventSource.prototype.addEventListener = () => {};"  # a dead one
              "dispatchEvent(new Event('hashchange'))")
    wait_for(lambda: asked(page, "/events?delta=1") >= 2)
    server.tell("hidden0")
    before = asked(page, page.id)
    clean.run("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(lambda: asked(page, page.id) > before)
    page.wait_for(result="report 0")
    server.tell("hidden-end")
    clean.run("dispatchEvent(new Event('online'))")
    page.wait_for(state="completed")


def test_two_tabs_and_a_job_of_somebody_else(clean, server):
    """A job that curl started is listed; two tabs show the same, including its cancel."""
    page = Page(clean, server)
    id = server.start("count", name="tabs")
    server.tell("tabs0")
    wait_for(lambda: id in page.jobs(), 60)  # of a slow server the list is asked for late
    clean.click(f"#jobs a[href='#{id}']")
    page.wait_for(state="running", result="report 0")
    first = clean.open_tab()
    try:
        other = Page(clean, server, id)
        other.wait_for(state="running", result="report 0")
        other.browser.click("#cancel")
        other.wait_for(state="cancelled")
    finally:
        clean.close_tab(first)
    page.wait_for(state="cancelled", result="report 0")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong(clean, server, hours):
    """Durations are those of the server, however wrong the clock of the browser is."""
    script = clean.tell("Page.addScriptToEvaluateOnNewDocument", source=f"""{{
        const real = Date.now, Old = Date;
        Date = class extends Old {{
            constructor(...a) {{ super(...(a.length ? a : [real() + {hours} * 3600000])); }} }};
        Date.now = () => real() + {hours} * 3600000; }}""")["identifier"]
    try:
        page = Page(clean, server, server.start("stubborn"))
        page.matches("elapsed", r"^elapsed 0:0\d$")
        clean.click("#cancel")
        page.matches("state", r"^cancelling… [12] s$")
        (server.folder / "stubborn").touch()
        page.wait_for(state="cancelled")
        (server.folder / "stubborn").unlink()
    finally:
        clean.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_silence_is_told(clean, server):
    """A job without reports is shown as quiet, and for how long."""
    page = Page(clean, server, server.start("count", name="quiet"))
    page.wait_for(state="running", quiet="")
    server.tell("quiet0")
    page.wait_for(result="report 0")
    clean.run("longop.state.changedAt -= 12_000")
    page.matches("quiet", r"^last report [1-9]\d s ago$")
    server.tell("quiet1")
    page.wait_for(quiet="", result="report 1")
    server.tell("quiet-end")


@pytest.mark.parametrize("operation", ["fast", "grow", "grow_large"])
def test_a_thousand_reports_a_second_leave_the_page_free(clean, server, operation):
    """However fast a job reports, the page draws about ten times a second."""
    page = Page(clean, server)
    wait_for(lambda: clean.run("return longop.state.operations.length"))
    clean.run(COUNT_DRAWS)
    clean.run(LONG)
    values = {"seconds": "2"} if operation == "fast" else {}
    page.choose(operation, **values)
    began, before = time.monotonic(), clean.run("return window.draws")
    page.start()
    page.wait_for(state="completed")
    draws = clean.run("return window.draws") - before
    assert 2 < draws < 14 * (time.monotonic() - began)
    long_tasks = clean.run("window.observer.disconnect(); return window.longTasks")
    print(f"page: {operation}: tasks of over 50 ms: {long_tasks or 'none'}")
    if operation == "fast":
        assert clean.run("return longop.state.lines.get('result').xs.length") <= 4000


def test_first_paint(clean, server):
    """The job appears on a processor four times as slow; the time is measured."""
    page = Page(clean, server, server.start("count", name="paint"))
    page.wait_for(state="running")
    id, times = page.id, []
    clean.tell("Emulation.setCPUThrottlingRate", rate=4)
    script = clean.tell("Page.addScriptToEvaluateOnNewDocument", source="""
        new MutationObserver(() => {
            const job = document.getElementById("job");
            if (job && !job.hidden && document.querySelector("main.ready"))
                window.shownAt ??= performance.now();
        }).observe(document, { subtree: true, childList: true, attributes: true });""")
    for _ in range(5):
        page.open(id)
        times.append(wait_for(lambda: clean.run("return window.shownAt")))
    clean.tell("Page.removeScriptToEvaluateOnNewDocument", **script)
    print(f"page: first paint with data, ms: {sorted(map(round, times))}")
    server.tell("paint-end")

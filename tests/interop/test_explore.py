"""Pages of CodeProject.AI Server's modules, with our assets, in a real browser."""

from __future__ import annotations

import base64
import json
import re
import struct
import threading
import zlib
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from . import test_page
from .webdriver import wait_for

ROOT = Path(__file__).resolve().parents[2]
pytestmark = test_page.pytestmark
browser = test_page.browser
POLICY = ("default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
          "media-src blob: data:; script-src 'self' 'unsafe-inline'; "
          "style-src 'self' 'unsafe-inline'")
START = "/v1/pythonlongprocess/long-process/command"
STATUS = "/v1/pythonlongprocess/get_command_status"
CANCEL = "/v1/PythonLongProcess/cancel_command"
ID = {"commandId": b"an id", "moduleId": b"PythonLongProcess"}

# What would run if it were set as innerHTML, which the first test of them shows.
HOSTILE = {
    "image": "<img src='data:image/png;base64,' onerror='window.ran = 1'>",
    "svg": "<svg><image href='data:image/png;base64,' onerror='window.ran = 1'></image></svg>",
    "frame": "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "details": "<details open ontoggle='window.ran = 1'>x</details>",
    "style": "<style>@keyframes k { }</style>"
             "<b style='animation: k 1ms' onanimationstart='window.ran = 1'>x</b>",
    "form": "<form><input name='childNodes'><input name='cloneNode'><input name='localName'>"
            "<input name='attributes' autofocus onfocus='window.ran = 1'></form>",
    "namespace": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 "
                 "onerror=window.ran=1&gt;'><img src='data:image/png;base64,' onerror='ran = 1'>",
}
# ... or else if somebody clicked on it, or in a page that is loaded so.
HARMFUL = {
    "script": "<script>window.ran = 1</script>",
    "link": "<a href=' java\tscript:window.ran = 1'>x</a>",
    "data link": "<a href='data:text/html,<script>window.ran = 1</script>'>x</a>",
    "refresh": "<meta http-equiv='refresh' content='0; url=/elsewhere'><base href='/elsewhere'>",
    "body": "</body><body onload='window.ran = 1'><html onclick='window.ran = 1'>x",
    "template": "<template><img src=x onerror='window.ran = 1'></template>",
    "clobbering": "<b id='results' name='results'>x</b><a id='PythonLongProcess_params'>x</a>",
    "overlay": "<div style='position: fixed; inset: 0; background-image: url(/elsewhere)'>x</div>",
}


class Server(ThreadingHTTPServer):
    """Serves our assets, pages as longop.serve sends them, and answers that a test has set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {}  # by path: a status code and an object
        self.requests = []  # path and fields, as they came
        self.pages = {}
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    def add_page(self, name, text):
        text = re.sub(r"https?://(localhost)?:32168/", "/", text)
        self.pages["/" + name] = text.replace("_MID_", "PythonLongProcess_").encode()

    def of(self, path):
        """Return the fields of the requests to a path."""
        return [fields for requested, fields in self.requests if requested == path]

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers what the server holds; a path with no answer gets its connection cut."""

    def do_GET(self):
        name = self.path.partition("?")[0]
        file = ROOT / "longop" / "codeproject" / name[1:]
        if name in self.server.pages:
            self._send(200, "text/html", self.server.pages[name])
        elif name.startswith("/assets/") and file.is_file():
            self._send(200, {".js": "text/javascript", ".css": "text/css"}[file.suffix],
                       file.read_bytes())
        else:
            self._send(204, "text/plain", b"")  # the icon

    def do_POST(self):
        kind = self.headers["Content-Type"].encode()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body).get_payload()
        fields = {part.get_param("name", header="content-disposition"):
                  part.get_payload(decode=True) for part in parts if not isinstance(part, str)}
        self.server.requests.append((self.path, fields))
        if self.path in self.server.answers:
            status, answer = self.server.answers[self.path]
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self._send(status, "application/json", text.encode())

    def _send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def png(width, height):
    """Return an image of one colour."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    rows = (b"\0" + b"\x50\x70\x90" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


@pytest.fixture
def server(browser):
    server = Server()
    for file in (ROOT / "tests" / "interop" / "explore").glob("*.html"):
        server.add_page(file.stem, file.read_text(encoding="utf-8"))
    browser.forget()  # what other tests left
    yield server
    browser.get("about:blank")
    server.stop()
    assert browser.errors() == []


@pytest.fixture
def article(browser, server):
    """The article's page, with a module that has started and goes on."""
    server.answers[START] = (200, {"success": True, "commandId": "an id",
                                   "moduleId": "PythonLongProcess", "commandStatus": "running"})
    server.answers[STATUS] = (200, {"success": True, "commandStatus": "running", "result": ""})
    browser.get(server.url + "/long_process")
    return browser


@pytest.fixture
def detection(browser, server, tmp_path):
    """The page that finds things in images, with an image of 200 by 100 chosen."""
    file = tmp_path / "image.png"
    file.write_bytes(png(200, 100))
    browser.get(server.url + "/detection")
    browser.type("#PythonLongProcess_image", str(file))
    wait_for(lambda: browser.run("return imgPreview.naturalWidth") == 200)
    return browser


def results(browser):
    return browser.read("#results")


def wait_for_results(browser, text):
    wait_for(lambda: results(browser) == text)


def said(browser):
    """Return the message above the results."""
    return browser.run("return document.getElementById('status')?.textContent ?? ''")


def refusals(browser):
    """Return what the browser itself has to say of failed requests."""
    return [message for message in browser.errors() if "Failed to load resource" in message]


def start(browser):
    browser.click("#PythonLongProcess_things")


def test_start_shows_the_results_as_they_grow(article, server):
    """The article's page shows `1`, `1 2`, `1 2 3` while it polls, and the last one stays."""
    start(article)
    wait_for(lambda: server.of(STATUS))
    for result, status in (("1", "running"), ("1 2", "running"), ("1 2 3", "completed")):
        server.answers[STATUS] = (200, {"success": True, "commandStatus": status, "result": result})
        wait_for_results(article, result)
    assert server.of(START) == [{}]
    assert server.of(STATUS)[-1] == ID
    assert article.run("return PythonLongProcess_params") is None  # it polls no more
    assert said(article) == ""


def test_cancel_asks_for_it_and_says_so(article, server):
    """Cancel sends the ids that the start returned, and the page says that the command stopped."""
    server.answers[CANCEL] = (200, {"success": True, "commandStatus": "cancelled"})
    start(article)
    wait_for(lambda: server.of(STATUS))
    article.click("#PythonLongProcess_cancel")
    wait_for_results(article, "Command stopped")
    assert server.of(CANCEL) == [ID]


def test_a_failed_command_is_told(article, server):
    """The error of a command that failed is shown, and the page can start anew."""
    server.answers[STATUS] = (200, {"success": False, "error": "ValueError: it is 1 & 2",
                                    "commandStatus": "completed"})
    start(article)
    wait_for_results(article, "ValueError: it is 1 & 2")
    assert said(article) == ""  # it is not told twice
    server.answers[STATUS] = (200, {"success": True, "commandStatus": "completed", "result": "1"})
    start(article)
    wait_for_results(article, "1")
    assert said(article) == ""


@pytest.mark.parametrize(("status", "answer", "message"), [
    (404, {"success": False, "error": "no module <b>x</b>"}, "no module <b>x</b>"),
    (503, {"title": "Busy", "detail": "The queue is full."}, "The queue is full."),
    (502, "<html>Bad gateway</html>", "The server's answer (502) cannot be used."),
    (200, "{", "The server's answer (200) cannot be used."),
    (200, None, "The server's answer (200) cannot be used."),
])
def test_a_start_that_was_refused_says_why(article, server, status, answer, message):
    """An answer that is an error, or is not JSON, is null for the page, and the user reads why."""
    server.answers[START] = (status, answer)
    start(article)
    wait_for(lambda: said(article) == message)
    assert results(article) == "Starting long process..."
    assert server.of(STATUS) == []
    assert len(refusals(article)) == (status != 200)


def test_a_server_that_is_gone_is_told(article, server):
    """When the server no longer answers, the page stops asking and says so."""
    start(article)
    wait_for(lambda: server.of(STATUS))
    del server.answers[STATUS]
    wait_for_results(article, "No response from server")
    assert said(article) == "The server does not answer."
    assert refusals(article)


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE)
def test_hostile_html_would_run_in_these_pages(article, html):
    """Nothing but the helpers keeps the hostile results of these tests from running."""
    article.run("results.innerHTML = arguments[0]", html)
    wait_for(lambda: article.run("return window.ran === 1"))
    article.errors()


@pytest.mark.parametrize("html", [*HOSTILE.values(), *HARMFUL.values()], ids=[*HOSTILE, *HARMFUL])
def test_a_hostile_result_does_not_run(article, server, html):
    """A result's HTML is shown without handlers, scripts, ids, forms, and addresses that run."""
    server.answers[STATUS] = (200, {"success": True, "commandStatus": "completed",
                                    "result": html + "<i>the end</i>"})
    article.run("window.delay = async () => { }")
    start(article)
    wait_for(lambda: "the end" in results(article))
    names = article.run("""return Array.from(document.querySelectorAll("#results *"), element =>
        [element.localName, ...element.getAttributeNames()]).flat()""")
    assert set(names) <= {"b", "i", "a", "div", "img", "table", "title", "src", "style"}
    assert article.run("""return Array.from(document.querySelectorAll("#results [style]"),
                          element => element.style.cssText).join("")""") == ""
    article.run("document.querySelectorAll('#results *').forEach(element => element.click())")
    assert article.url() == server.url + "/long_process"
    assert article.run("return [window.ran, results.id, String(PythonLongProcess_params)]") == [
        None, "results", "null"]


@pytest.mark.parametrize(("html", "shown"), [
    ("1 < 2 &amp; 3", "1 &lt; 2 &amp; 3"),
    ("vector<int> v", "vector&lt;int&gt; v"),
    ("<b class='x' style='color: red; left: 0'>a</b><br>c",
     '<b class="x" style="color: red;">a</b><br>c'),
    ("<table><tr><td colspan=2>a</td></tr></table>",
     '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>'),
    ("<a href='https://example.com/' target=x>a</a>", '<a href="https://example.com/">a</a>'),
    ("<script>a < b</script>", "&lt;script&gt;a &lt; b"),
    (5, "5"), (None, ""), ({"a": [1]}, '{"a":[1]}'),
])
def test_harmless_html_is_shown_as_such(article, html, shown):
    """Formatting, tables and links stay as they are; what is no such HTML is seen as text."""
    article.run("setResultsHtml(arguments[0])", html)
    assert article.run("return results.innerHTML") == shown


def test_an_image_is_previewed(detection, tmp_path):
    """The chosen image is seen; a file that is no image is named, and none is no error."""
    look = "return [imgPreview.style.visibility, imgPreview.src.slice(0, 5)]"
    assert detection.run(look) == ["visible", "blob:"]
    (tmp_path / "notes.txt").write_text("x")
    detection.type("#PythonLongProcess_image", str(tmp_path / "notes.txt"))
    assert detection.run(look)[0] == "hidden"
    assert said(detection) == "notes.txt is no image file."
    detection.run("previewImage({files: []})")


def test_what_was_found_is_drawn_and_listed(detection, server, tmp_path):
    """Boxes lie where the predictions say, labels are text, and the table goes by confidence."""
    server.answers["/v1/vision/detection"] = (200, {
        "success": True, "moduleId": "<i>Finder</i>", "inferenceMs": 0, "predictions": [
            {"label": "<b>cat</b>", "confidence": 0.5, "x_min": 150, "y_min": 90, "x_max": 110,
             "y_max": 20},
            {"label": "dog", "confidence": 0.91, "x_min": 10, "y_min": 0, "x_max": 90, "y_max": 50},
            {"label": "nowhere", "confidence": "<u>", "x_min": "<u>"}]})
    detection.click("#PythonLongProcess_detect")
    wait_for(lambda: detection.run("return imgMask.querySelectorAll('polygon').length") == 2)
    assert server.of("/v1/vision/detection") == [
        {"image1": (tmp_path / "image.png").read_bytes(), "min_confidence": b"0.4"}]
    assert detection.run("return Array.from(imgMask.querySelectorAll('text'),"
                         " text => text.textContent)") == ["dog", "<b>cat</b>"]
    wait_for(lambda: detection.run("""
        const box = element => { const {x, y, width, height} = element.getBoundingClientRect();
                                 return [x, y, width, height]; };
        const near = (one, other) => one.every((value, i) => Math.abs(value - other[i]) < 6);
        const [x, y, width, height] = box(imgPreview);
        const [dog, cat] = imgMask.querySelectorAll("polygon");
        return near(box(dog), [x + width * .05, y, width * .4, height * .5])
            && near(box(cat), [x + width * .55, y + height * .2, width * .2, height * .7])"""))
    assert results(detection).splitlines() == [
        "# Label Confidence", "0 dog 91%", "1 <b>cat</b> 50%", "2 nowhere NaN%",
        "Module <i>Finder</i>", "Inference, ms 0"]
    assert detection.run("return document.querySelectorAll('#results i, #results u').length") == 0
    detection.run("clearImagePreview()")
    assert detection.run("return [imgMask.children.length, imgPreview.style.visibility]") == [
        0, "hidden"]


def test_masks_are_drawn(detection, server):
    """A segment is a polygon of the points of its mask."""
    server.answers["/v1/vision/segmentation"] = (200, {"success": True, "predictions": [
        {"userid": "ann", "confidence": 1, "mask": [[1, 2], [30, 40], [5, 60]]}, {"mask": []}, {}]})
    detection.click("#PythonLongProcess_segment")
    wait_for(lambda: detection.run("""return Array.from(imgMask.querySelectorAll("polygon"),
        shape => shape.getAttribute("points"))""") == ["1,2 30,40 5,60"])


def test_nothing_found_is_said(detection, server):
    """Without predictions the page says so, or says the error, and draws nothing."""
    server.answers["/v1/vision/detection"] = (200, {"success": True, "predictions": []})
    detection.click("#PythonLongProcess_detect")
    wait_for_results(detection, "There are no predictions.")
    server.answers["/v1/vision/detection"] = (200, {"success": False, "error": "no <b>model</b>"})
    detection.click("#PythonLongProcess_detect")
    wait_for_results(detection, "It failed.\nno <b>model</b>")
    assert detection.run("return imgMask.children.length") == 0


def test_a_resulting_image_is_shown_with_what_was_found(detection):
    """An image in base64 takes the place of the preview, in the size asked for, with its boxes."""
    data = {"imageBase64": base64.b64encode(png(60, 40)).decode(),
            "predictions": [{"label": "x", "x_min": 0, "y_min": 0, "x_max": 30, "y_max": 20}]}
    detection.run("showResultsImageData(arguments[0], 240, 160)", data)
    wait_for(lambda: detection.run("return imgMask.querySelectorAll('polygon').length") == 1)
    wait_for(lambda: detection.run("return imgMask.style.width + imgMask.style.height")
             == "240px160px")
    assert detection.run("return imgPreview.naturalWidth") == 60
    detection.run("clearImageResult()")
    assert detection.run("return [imgMask.children.length, imgPreview.src, "
                         "imgPreview.style.visibility]") == [0, "", "hidden"]


def test_a_list_of_models_keeps_the_choice(detection):
    """A select shows the models it is given, and the chosen one stays so if it is among them."""
    select = "#PythonLongProcess_model"
    update = "setModelList('PythonLongProcess_model', arguments[0])"
    detection.run(update, [{"name": "One", "value": 1}, {"name": "<b>Two</b>", "value": 2}])
    detection.click(select + " option:last-child")
    detection.run(update, [{"name": "<b>Two</b>", "value": 2}, {"name": "Three", "value": 3}])
    assert detection.read(select, "property/value") == "2"
    detection.run(update, None)
    assert detection.run("return PythonLongProcess_model.textContent") == "<b>Two</b>Three"


def test_return_in_a_field_does_not_leave_the_page(detection, server):
    """The Return key in a form with one field does not load the page anew."""
    detection.run("window.stays = true")
    detection.type("#PythonLongProcess_confidence", "0.5\n")
    detection.run("document.getElementById('myform').requestSubmit()")
    assert detection.run("return window.stays")
    assert server.requests == []


def test_pages_of_older_modules_work(browser, server):
    """A page with explorer.js alone may pass functions for success and for failure."""
    server.add_page("older", """<!DOCTYPE html>
        <script src="http://localhost:32168/assets/explorer.js"></script>
        <body><div id="results"></div><audio id="snd"></audio><script>
        const said = [];
        const ask = (route, ...functions) => submitRequest(route, "", null, null, ...functions);
        const done = data => said.push(["done", data.message]);
        const fail = data => said.push(["fail", data.error]);
        </script>""")
    server.answers["/v1/good"] = (200, {"success": True, "message": "yes"})
    server.answers["/v1/bad"] = (200, {"success": False, "error": "<i>no</i>", "moduleId": "M"})
    browser.get(server.url + "/older")
    browser.run("return ask('good', done, fail)")
    browser.run("return ask('bad', done, fail)")
    browser.run("return ask('gone', done, fail)")
    assert browser.run("return said") == [
        ["done", "yes"], ["fail", "<i>no</i>"], ["fail", "The server does not answer."]]
    browser.run("return ask('bad', done)")
    assert results(browser) == "It failed.\n<i>no</i>\nModule M"
    browser.run("displayBaseResults({success: true, message: 'yes'})")
    assert results(browser) == "It succeeded.\nyes"
    browser.run("displayBaseResults()")
    assert results(browser) == "There is no result."
    browser.run("previewSound({files: [new File(['x'], 'x.wav', {type: 'audio/wav'})]})")
    assert browser.run("return snd.src").startswith("blob:")
    assert len(refusals(browser)) == 1


def test_a_failure_is_told_even_if_the_page_takes_no_notice(detection, server):
    """Many pages show what they expect and no error: that stands above the results then."""
    server.answers["/v1/image/blur"] = (200, {"success": False, "error": "no <b>model</b>"})
    detection.run("""return submitRequest("image", "blur", null, null)
        .then(data => { setResultsHtml("It is blurred."); showResultsImageData(data); })""")
    assert results(detection) == "It is blurred."
    assert said(detection) == "no <b>model</b>"
    server.answers["/v1/image/blur"] = (200, {"success": True})
    detection.run("return submitRequest('image', 'blur', null, null)")
    assert said(detection) == ""


def test_messages_are_shown_as_text(article):
    """What a page has to say stands above the results, or where the page has a place for it."""
    article.run("showError('Offline', 'no <b>server</b>')")
    assert said(article) == "Offline: no <b>server</b>"
    assert article.run("return results.previousElementSibling.id") == "status"
    article.run("showWarning(null, 'slow'); showCommunication(true)")
    assert said(article) == "slow"
    article.run("showInfo('fine')")
    assert article.read("#status span", "attribute/class") == "text-info"
    article.run("setServerStatus('Online', 'success')")
    assert said(article) == "Online"
    article.run("showLogOutput()")
    assert said(article) == ""


def test_a_page_may_have_names_of_its_own(browser, server):
    """A page may declare what it likes, even by the name of a helper."""
    server.add_page("own", """<!DOCTYPE html><script src="/assets/server.js"></script>
        <script src="/assets/explorer.js"></script><div id="results"></div><script>
        let sorted = 1, draw = 2, confidence = 3, find = 4;
        async function delay() { }
        GetBenchmarkCustomModelList = delay;
        setTimeout(() => setResultsHtml("mine"), 0 * (serverWarmupSec + customModelUpdateFreqSec));
        </script>""")
    browser.get(server.url + "/own")
    wait_for_results(browser, "mine")
    assert browser.run("return apiServiceUrl") == server.url

"""How the page shows results: texts, numbers, pictures, tables, JSON, and large ones."""

from __future__ import annotations

import contextlib
import functools
import re

import pytest

from . import test_page, test_page_watch
from .test_page import Page, Server
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
DOT = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
       "hgGAWjR9awAAAABJRU5ErkJggg==")
RED = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
WEBP = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
JPEG = ("/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP" + 86 * "/" + "wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAA"
        "AAAAAP/aAAgBAQABPxD/2Q==")
FUNCTIONS = f'''
import time
from pathlib import Path

FOLDER = Path(__file__).parent
DOT, RED = {DOT!r}, {RED!r}
WEBP, JPEG = {WEBP!r}, {JPEG!r}
LINE = "a line of a log that somebody reads, or not\\n"


def _wait_for(name):
    while not (FOLDER / name).exists():
        time.sleep(0.005)


def log(callback):
    """Write lines, with pauses."""
    for number in range(4):
        callback(LINE * 100 * (number + 1))
        _wait_for(f"log{{number}}")


def large(callback, size: int):
    """Report a large text, then a larger one."""
    callback("<b>" + LINE * (size // len(LINE)))
    _wait_for("large")
    callback("<b>" + LINE * (size // len(LINE)) + "the end")
    _wait_for("large-end")


def word(callback, size: int):
    """Return one long word."""
    return "x" * size


def number(callback):
    """Report numbers, NaN and infinity."""
    for step, value in enumerate([1.0, 5.0, float("nan"), 3.0, float("inf"), 4.0, 2.0]):
        callback(value, step)
        _wait_for(f"number{{step}}")


def losses(callback):
    """Report numbers by name."""
    for step in range(5):
        callback({{"loss": 1 / (step + 1), "score": step * 1000.0, "note": "<i>x</i>"}}, step)
        _wait_for(f"losses{{step}}")


def many(callback):
    """Return a hundred thousand numbers."""
    return [index % 1000 if index != 77_777 else -5000 for index in range(100_000)]


def paint(callback):
    """Report a picture in each step."""
    callback(RED, 1, 2)
    _wait_for("paint1")
    callback(DOT, 2, 2)
    _wait_for("paint2")


def records(callback, n: int):
    """Return records, with a picture in each."""
    return [{{"page": page, "<b>": "<i>", "picture": DOT}} for page in range(n)]


def rows(callback):
    """Report records, more and more of them."""
    for step in range(4):
        callback([{{"row": row}} for row in range(200 + 50 * step)], step)
        _wait_for(f"rows{{step}}")


def tree(callback):
    """Report nested values."""
    for step in range(3):
        callback({{"a": {{"b": [1, {{"c": step}}]}}, "picture": DOT, "empty": []}})
        _wait_for(f"tree{{step}}")


def prints(callback):
    """Print and report numbers, then wait."""
    for step in range(40):
        print("line", step)
        callback({{"loss": 1 / (step + 1)}}, step)
    _wait_for("prints")
    print("the end")
    return "done"


def few(callback):
    """Return a few numbers."""
    return [1, 0.5, 0.25, 0.2]


def gallery(callback, n: int):
    """Return a list of pictures."""
    return [DOT, RED] * (n // 2)


def adapter(callback, bare: bool):
    """Answer as an adapter of CodeProject.AI Server does: base64, and not a word of what it is."""
    dot, red = (url.partition(",")[2] for url in (DOT, RED))
    if bare:
        return dot
    return {{"success": True, "imageBase64": dot, "images": [red, WEBP, JPEG],
            "begin": "/9j/ is how a JPEG begins, and iVBORw0KGgo how a PNG does it",
            "path": "/9j/" + 20 * "abcd/", "sound": "UklGRiIAAABXQVZF" + 40 * "A"}}


def bytes_done(callback):
    """Report bytes, then wait."""
    callback(None, 1_980_000_000, 4_940_000_000)
    _wait_for("bytes")


def large_numbers(callback):
    """Report numbers of very different sizes."""
    for step in range(3):
        callback({{"bytes": 5e8 * step, "share": 0.25 * step}}, step)
        _wait_for(f"large_numbers{{step}}")


def hebrew(callback):
    """Return lines of two directions."""
    return "שלום\\nhello"
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), functions=FUNCTIONS,
                    options=["--executor", "thread", "--limit", "100"])
    yield server
    server.kill()


@pytest.fixture
def page(browser, server):
    browser.forget()
    yield Page(browser, server)
    assert browser.errors() == []


def run(page, operation, **parameters):
    page.open(page.server.start(operation, **parameters))


def of_box(page, script):
    return page.browser.run(f"const box = document.getElementById('result'); return {script}")


def step_through(page, operation, count):
    """Let a function take its next step once the page shows the last one, until it ends."""
    for step in range(count):
        seen = "return longop.state.shown.step"
        wait_for(lambda: page.browser.run(seen) == step)  # noqa: B023
        page.server.tell(f"{operation}{step}")
    page.wait_for(state="completed")


AT_END = "box.scrollTop + box.clientHeight >= box.scrollHeight - 2"


def test_a_text_grows_at_its_end_and_leaves_the_reader_alone(page):
    """New text is appended, and stays in view unless the reader has scrolled up."""
    run(page, "log")
    wait_for(lambda: of_box(page, "box.innerText.length") == 4400)
    page.browser.run("window.first = document.querySelector('pre').firstChild")
    page.server.tell("log0")
    wait_for(lambda: of_box(page, "box.textContent.length") == 8800)
    assert of_box(page, AT_END)
    of_box(page, "box.scrollTop = 100")
    page.server.tell("log1")
    wait_for(lambda: of_box(page, "box.textContent.length") == 13200)
    assert of_box(page, "box.scrollTop") == 100
    of_box(page, "box.scrollTop = 1e9")
    page.server.tell("log2")
    wait_for(lambda: of_box(page, "box.textContent.length") == 17600)
    assert of_box(page, AT_END)
    assert of_box(page, "window.first === document.querySelector('pre').firstChild")
    page.server.tell("log3")
    page.wait_for(state="completed")


def test_a_large_text_is_shown_in_part_and_all_of_it_if_asked(page):
    """Of 5 MB only the end is shown while they grow; all of it is available on request."""
    run(page, "large", size=5_000_000)
    page.matches("cut-text", r"^4,899,987 characters are not shown\.$")
    assert of_box(page, "box.textContent.length") <= 120_000
    page.server.tell("large")
    wait_for(lambda: of_box(page, "box.textContent.endsWith('the end')"))
    page.server.tell("large-end")
    page.wait_for(state="completed")
    page.browser.click("#show-all")
    wait_for(lambda: of_box(page, "box.textContent === longop.state.shown.result"))
    assert of_box(page, "box.textContent.length > 4_999_000")
    assert of_box(page, "box.querySelectorAll('b').length") == 0
    page.browser.run("""URL.createObjectURL = blob => { window.blob = blob; return "#"; };
        HTMLAnchorElement.prototype.click = function () { window.file = this.download; }""")
    page.browser.click("#download")
    size, name = page.browser.run("return [window.blob.size, window.file]")
    assert size == len("<b>") + 5_000_000 // 44 * 44 + len("the end")
    assert name == f"large-{page.id[:8]}.txt"


def test_ten_million_characters_without_a_space(page):
    """A word of 10 MB leaves the page usable: only its beginning is shown."""
    run(page, "word", size=10_000_000)
    page.matches("cut-text", r"^9,900,000 characters are not shown\.$")
    page.wait_for(state="completed")


def test_numbers_become_a_line(page):
    """Numbers are drawn as they arrive; NaN and infinity leave a gap."""
    run(page, "number")
    step_through(page, "number", 7)
    path = page.browser.read("#charts path", "attribute/d")
    assert re.sub("[^ML]", "", path) == "MLMML"
    assert page.browser.read("#charts svg", "attribute/role") == "img"
    assert page.browser.read("#result .value") == "2"


def test_each_named_number_has_a_chart(page):
    """Each named number is a line with a scale of its own, and stands only there."""
    run(page, "losses")
    step_through(page, "losses", 5)
    values = "return [...document.querySelectorAll('#charts p')].map(one => one.innerText)"
    assert page.browser.run(values) == ["loss\n0.2", "score\n4,000"]
    assert page.browser.run("return document.querySelectorAll('#charts path').length") == 2
    assert page.read("result") == "note\n<i>x</i>"


def test_a_hundred_thousand_points(page):
    """A long list of numbers becomes a line of few points, without losing a peak."""
    run(page, "many")
    wait_for(lambda: page.browser.run(
        "return document.querySelectorAll('#charts path').length") == 1)
    path = page.browser.read("#charts path", "attribute/d")
    assert 200 < path.count("L") < 2000
    assert "-5,000" in page.browser.read("#charts svg", "attribute/aria-label")


def test_pictures(page):
    """A picture is shown, and the next one takes its place."""
    run(page, "paint")
    wait_for(lambda: of_box(page, "box.querySelector('img')?.src") == RED)
    page.browser.run("window.image = document.querySelector('#result img')")
    page.server.tell("paint1")
    wait_for(lambda: of_box(page, "box.querySelector('img')?.src") == DOT)
    assert of_box(page, "window.image === box.querySelector('img')")
    assert page.browser.read("#result img", "attribute/alt") == "Result"
    assert page.read("copy", "property/hidden")
    page.server.tell("paint2")
    page.wait_for(state="completed")


def test_records_become_a_table(page):
    """A list of records is a table of at first 100 rows, with texts and pictures."""
    run(page, "records", n=250)
    wait_for(lambda: of_box(page, "box.querySelectorAll('tbody tr').length") == 100)
    assert page.read("cut-text") == "1 to 100 of 250"
    assert page.browser.run("return [...document.querySelectorAll('th')].map(h => h.textContent)"
                            ) == ["page", "<b>", "picture"]
    assert of_box(page, "box.querySelectorAll('td img').length") == 100
    page.browser.click("#show-all")
    assert of_box(page, "box.querySelectorAll('tbody tr').length") == 250
    assert page.read("cut", "property/hidden")


def test_a_table_grows_at_its_end_and_leaves_the_reader_alone(page):
    """New rows are in view as they come, unless the reader has scrolled up to others."""
    run(page, "rows")
    first, last = ("box.querySelector('tbody tr').innerText",
                   "box.querySelector('tbody tr:last-child').innerText")
    wait_for(lambda: of_box(page, last) == "199")
    assert of_box(page, AT_END)
    assert of_box(page, first) == "100"
    page.server.tell("rows0")
    wait_for(lambda: of_box(page, last) == "249")
    assert of_box(page, AT_END)
    assert of_box(page, first) == "150"
    of_box(page, "box.scrollTop = 500")
    page.server.tell("rows1")
    wait_for(lambda: of_box(page, last) == "299")
    assert of_box(page, "box.scrollTop") == 500
    assert of_box(page, first) == "150"
    assert page.read("cut-text") == "151 to 300 of 300"
    of_box(page, "box.scrollTop = 1e9")
    page.server.tell("rows2")
    wait_for(lambda: of_box(page, last) == "349")
    assert of_box(page, first) == "250"
    page.server.tell("rows3")
    page.wait_for(state="completed")


def is_unfolded(page, summary):
    """Return whether a value is unfolded; if not, click on it.

    A click comes to nothing if the page draws the value anew between its press and its release.
    """
    if page.browser.run("return document.querySelector(arguments[0])?.parentNode.open", summary):
        return True
    page.browser.click(summary)
    return False


def test_json_is_folded_and_stays_as_the_reader_left_it(page):
    """A nested value unfolds at a click, and stays unfolded and focused as it changes."""
    run(page, "tree")
    wait_for(lambda: of_box(page, "box.querySelectorAll('summary').length") == 1)
    for path in "/a", "/a/b", "/a/b/1":  # each is there once the one around it is open
        wait_for(functools.partial(is_unfolded, page, f"#result [data-path='{path}']"))
    page.matches("result", "c\\s+0")
    for step in 0, 1:
        page.server.tell(f"tree{step}")
        page.matches("result", f"c\\s+{step + 1}")
    assert page.browser.run("return document.activeElement.dataset.path") == "/a/b/1"
    page.server.tell("tree2")
    page.wait_for(state="completed")


def test_each_line_has_its_own_direction(page):
    """A line in Hebrew runs from right to left."""
    run(page, "hebrew")
    page.wait_for(state="completed", result="שלום\nhello")
    assert of_box(page, "getComputedStyle(box.querySelector('pre div')).direction") == "rtl"
    assert of_box(page, "getComputedStyle(box.querySelector('pre')).unicodeBidi") == "plaintext"


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_copy(page, has_clipboard):
    """The whole result is copied, also where the page may not use the clipboard."""
    run(page, "hebrew")
    page.wait_for(state="completed")
    page.browser.run("""navigator.clipboard.writeText = async words => {
            if (!arguments[0]) throw new Error("forbidden");
            window.copied = words;
        };
        document.execCommand = () => { window.copied = document.activeElement.value; }""",
                     has_clipboard)
    page.browser.click("#copy")
    page.wait_for(copy="Copied")
    assert page.browser.run("return window.copied") == "שלום\nhello"
    assert page.browser.run("return document.activeElement.id") == "copy"


def test_a_list_of_pictures_is_a_gallery(page):
    """Pictures in a list stand side by side, a hundred at first."""
    run(page, "gallery", n=120)
    wait_for(lambda: of_box(page, "box.querySelectorAll('.gallery img').length") == 100)
    assert page.read("cut-text") == "1 to 100 of 120"
    first, second = of_box(page, "[...box.querySelectorAll('img')].slice(0, 2)"
                                 ".map(one => one.getBoundingClientRect().top)")
    assert first == second
    page.browser.click("#show-all")
    assert of_box(page, "box.querySelectorAll('.gallery img').length") == 120


@pytest.mark.parametrize(("bare", "types"), [
    (True, ["png"]), (False, ["png", "gif", "webp", "jpeg"])])
def test_a_picture_in_base64_is_one(page, bare, types):
    """Base64 that begins as a picture does is a picture; what only looks a bit like it is text."""
    run(page, "adapter", bare=bare)
    page.wait_for(state="completed")
    of_box(page, "[...box.querySelectorAll('summary')].forEach(one => one.click())")
    images = "[...box.querySelectorAll('img')]"
    wait_for(lambda: of_box(page, f"{images}.filter(one => one.naturalWidth === 1).length")
             == len(types))
    assert of_box(page, f"{images}.map(one => one.src.slice(0, 16))") == [
        f"data:image/{kind};bas"[:16] for kind in types]
    page.browser.run("HTMLAnchorElement.prototype.click = function () {"
                     " window.named = this.download; }")
    page.browser.click("#download")
    assert page.browser.run("return window.named").endswith(".png" if bare else ".json")


def test_large_numbers_are_read_at_a_glance(page):
    """Steps of billions are in G, and so is the rate."""
    run(page, "bytes_done")
    page.wait_for(steps="1.98 G of 4.94 G")
    rate = """longop.state.shown.elapsed = 3;
        longop.draw();
        return document.getElementById("rate").textContent"""
    assert re.fullmatch(r"[\d.]+ [MG]/s", page.browser.run(rate))
    page.server.tell("bytes")
    page.wait_for(state="completed")


def test_the_axis_of_a_chart_can_be_read(page):
    """No label of an axis is cut off, however large its number."""
    run(page, "large_numbers")
    step_through(page, "large_numbers", 3)
    left = page.browser.run("""return [...document.querySelectorAll("#charts svg")].map(one =>
        [...one.querySelectorAll("text")].map(text => text.getBoundingClientRect().left
            - one.getBoundingClientRect().left))""")
    assert len(left) == 2
    assert all(number >= 0 for numbers in left for number in numbers)
    assert "400 M" in page.read("charts")


def test_a_chart_tells_its_values(page):
    """The pointer and the arrow keys read a value off a chart."""
    run(page, "few")
    page.wait_for(state="completed")
    value = "return document.querySelector('#charts strong').textContent"
    assert page.browser.run(value) == "0.2"
    page.browser.run("document.querySelector('#charts svg').focus(); longop.draw()")  # keeps focus
    left = page.browser.run("""document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
        const box = document.activeElement.getBoundingClientRect(); return [box.x + 40, box.y + 60]
        """)
    assert page.browser.run(value) == "2: 0.25"
    page.browser.run("document.activeElement.dispatchEvent(new PointerEvent('pointerleave'))")
    assert page.browser.run(value) == "2: 0.25"  # what the keyboard reads is not the pointer's
    page.browser.run("""document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }))""")
    assert page.browser.run(value) == "0.2"
    page.browser.tell("Input.dispatchMouseEvent", type="mouseMoved", x=left[0], y=left[1])
    wait_for(lambda: page.browser.run(value) == "0: 1")


def test_numbers_and_their_names_are_at_the_right(page):
    """A column of numbers has its name above it at the right, one of texts at the left."""
    run(page, "records", n=3)
    wait_for(lambda: of_box(page, "box.querySelectorAll('tbody tr').length") == 3)
    aligned = of_box(page, "[...box.querySelectorAll('th, tbody tr:first-child td')]"
                           ".map(one => getComputedStyle(one).textAlign)")
    assert aligned == ["end", "start", "start"] * 2


def test_showing_all_of_a_large_text_leaves_the_page_free(page):
    """All of 5 MB is drawn in slices: no task takes 50 ms."""
    run(page, "word", size=5_000_000)
    page.wait_for(state="completed")
    page.browser.run(test_page_watch.LONG)
    page.browser.click("#show-all")
    wait_for(lambda: of_box(page, "box.textContent.length") == 5_000_000)
    print(f"page: show all of 5 MB: tasks of over 50 ms: {page.browser.run('return longTasks')}")
    assert of_box(page, "box.querySelector('pre').childElementCount") > 100


def test_five_megabytes_that_arrive_leave_the_page_free(page):
    """A text of 5 MB arrives, grows and ends; the tasks that take 50 ms are measured."""
    for name in "large", "large-end":  # which another test may have left
        with contextlib.suppress(FileNotFoundError):
            (page.server.folder / name).unlink()
    script = page.browser.tell("Page.addScriptToEvaluateOnNewDocument",
                               source=test_page_watch.LONG)["identifier"]
    run(page, "large", size=5_000_000)
    page.browser.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    page.matches("cut-text", r"^4,899,987 characters are not shown\.$")
    page.server.tell("large")
    wait_for(lambda: of_box(page, "box.textContent.endsWith('the end')"))
    page.server.tell("large-end")
    page.wait_for(state="completed")
    print(f"page: 5 MB arrive: tasks of over 50 ms: {page.browser.run('return longTasks')}")


def test_what_was_printed_and_reported_outlives_a_reload(page):
    """The log and a chart of all reports are there in a run, after a reload and at the end."""
    run(page, "prints")
    printed = "return document.getElementById('printed').textContent"
    points = "return longop.state.lines.get('loss')?.xs.length"
    for _ in range(2):
        wait_for(lambda: page.browser.run(printed).endswith("line 39\n"))
        assert page.browser.run(printed).count("line 39") == 1
        wait_for(lambda: page.browser.run(points) == 40)
        page.browser.refresh()
    page.server.tell("prints")
    page.wait_for(state="completed", result="done")
    wait_for(lambda: page.browser.run(printed).endswith("the end\n"))
    page.browser.refresh()
    wait_for(lambda: page.browser.run(printed).endswith("the end\n"))
    wait_for(lambda: page.browser.run(points) == 40)
    charts = "return document.querySelectorAll('#charts svg').length"
    wait_for(lambda: page.browser.run(charts) == 1)

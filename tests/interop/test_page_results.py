"""How the page shows results: texts, numbers, pictures, tables, JSON, and large ones."""

from __future__ import annotations

import re

import pytest

from . import test_page
from .test_page import Page, Server
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
DOT = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
       "hgGAWjR9awAAAABJRU5ErkJggg==")
RED = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
FUNCTIONS = f'''
import time
from pathlib import Path

FOLDER = Path(__file__).parent
DOT, RED = {DOT!r}, {RED!r}
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


def tree(callback):
    """Report nested values."""
    for step in range(3):
        callback({{"a": {{"b": [1, {{"c": step}}]}}, "picture": DOT, "empty": []}})
        _wait_for(f"tree{{step}}")


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
    assert of_box(page, "box.textContent === longop.state.shown.result")
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
    path = page.browser.read("#result path", "attribute/d")
    assert re.sub("[^ML]", "", path) == "MLMML"
    assert page.browser.read("#result svg", "attribute/role") == "img"
    assert page.browser.read("#result .value") == "2"


def test_named_numbers_become_lines_with_a_legend(page):
    """Each named number is a line; lines of very different ranges have their own scales."""
    run(page, "losses")
    step_through(page, "losses", 5)
    page.matches("result", r"score 4000 \(")
    assert of_box(page, "box.querySelectorAll('path').length") == 2
    words = page.read("result")
    assert "loss 0.2 (" in words
    assert "<i>x</i>" in words


def test_a_hundred_thousand_points(page):
    """A long list of numbers becomes a line of few points, without losing a peak."""
    run(page, "many")
    wait_for(lambda: of_box(page, "box.querySelectorAll('path').length") == 1)
    path = page.browser.read("#result path", "attribute/d")
    assert 200 < path.count("L") < 2000
    assert "-5000" in page.browser.read("#result svg", "attribute/aria-label")


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


def test_json_is_folded_and_stays_as_the_reader_left_it(page):
    """A nested value unfolds at a click, and stays unfolded and focused as it changes."""
    run(page, "tree")
    wait_for(lambda: of_box(page, "box.querySelectorAll('summary').length") == 1)
    for path in "/a", "/a/b", "/a/b/1":  # each is there once the one around it is open
        wait_for(lambda: page.browser.click(f"#result [data-path='{path}']") is None)  # noqa: B023
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

"""The page for everyone: axe-core, keyboard, screen reader, phone, zoom, languages, motion.

``LONGOP_AXE`` is where axe-core's ``axe.min.js`` is, from npm's package ``axe-core``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from longop.web import page as page_of_server

from . import test_page, test_page_results
from .test_page import Page, Server
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
AXE = os.environ.get("LONGOP_AXE", "")
FUNCTIONS = test_page_results.FUNCTIONS + '''

def stay(callback, text: str = "", count: int = 1, upload: bytes = b"", flag: bool = False):
    """Report, end once there is a file, and notice a cancel only then."""
    callback("here", 1, 4, "working")
    _wait_for("stay")
    callback("here", 2, 4)
    _wait_for("stay2")


def slow(callback):
    """Report again and again."""
    for step in range(10_000):
        callback(None, step, 10_000)
        callback.wait(0.01)


def fail(callback):
    """Raise an error."""
    raise ValueError("no")
'''


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, functions=FUNCTIONS, options=["--limit", "100"])
    yield server
    server.kill()


@pytest.fixture
def page(browser, server):
    browser.forget()
    yield Page(browser, server)
    errors = browser.errors()
    browser.forget()
    assert errors == []


@pytest.fixture
def chinese(browser):
    agent = browser.run("return navigator.userAgent")
    browser.tell("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="zh-CN")
    yield
    browser.tell("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en-US")


def show_each_state(page):
    """Bring the page into one state after another; yield their names."""
    server = page.server
    wait_for(lambda: page.browser.run("return longop.state.operations.length"))
    yield "empty"
    for operation, values, state in (
            ("fail", {}, "failed"), ("number", {}, "running"), ("records", {"n": 120}, "completed"),
            ("tree", {}, "running"), ("paint", {}, "running"), ("stay", {}, "running")):
        page.open(server.start(operation, **values))
        page.matches("state", state)
        if operation == "number":
            for step in range(5):
                server.tell(f"number{step}")
            wait_for(lambda: page.browser.run("return longop.state.shown.step") == 5)
        yield operation
    page.browser.click("#cancel")
    page.matches("state", "cancelling")
    page.browser.run("longop.showTrouble(longop.text('lost'), true)")
    yield "cancelling and lost"


def axe():
    missing = not os.path.exists(AXE)
    assert not (missing and os.environ.get("LONGOP_INTEROP") == "1"), "LONGOP_AXE: no axe.min.js"
    return pytest.mark.skipif(missing, reason="needs axe-core: LONGOP_AXE=path/to/axe.min.js")


@axe()
@pytest.mark.parametrize("look", ["light", "dark", "phone", "print"])
def test_axe_finds_nothing(page, look):
    """axe-core finds nothing wrong in any state, in light and dark, on a phone and on paper."""
    for state in show_each_state(page):
        page.browser.show(320 if look == "phone" else 1280,
                          media="print" if look == "print" else "",
                          prefers_color_scheme="dark" if look in ("dark", "print") else "light")
        page.browser.run(Path(AXE).read_text(encoding="utf-8"))
        found = page.browser.run("""const done = axe.run(document, { runOnly: { type: "tag",
            values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } });
            return done.then(all => all.violations.map(one =>
                [one.id, one.help, one.nodes.map(node => node.html)]))""")
        page.browser.show()  # a click reaches nothing that paper does not have
        assert found == [], state


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_is_wider_than_the_window(page, width):
    """On a phone, and at 1280 pixels and 200 %, nothing scrolls sideways."""
    for state in show_each_state(page):
        page.browser.show(width, scale=2)
        wide = page.browser.run("""return [...document.querySelectorAll("body *")]
            .filter(one => one.getBoundingClientRect().right > innerWidth
                && !one.closest("#result, .spoken, #message, #error")).map(one => one.outerHTML)""")
        assert wide == [], state
        scrolls = "return document.documentElement.scrollWidth > innerWidth"
        assert not page.browser.run(scrolls), state


def test_the_keyboard_alone(page):
    """A job is started, seen and cancelled by Tab and Enter; the focus is never lost."""
    focused = "return document.activeElement.id || document.activeElement.name"
    page.choose("stay")
    page.browser.run("document.getElementById('operation').focus()")
    order = []
    while not order or order[-1] != "start":
        page.browser.press("Tab")
        order.append(page.browser.run(focused))
        assert len(order) < 9
    assert order == ["field-text", "field-count", "field-upload", "field-flag", "start"]
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.browser.run(outline) == "solid"
    page.browser.press("Enter")
    page.wait_for(state="running")
    wait_for(lambda: page.browser.run(focused) == "job-name")
    order = []
    while not order or order[-1] != "cancel":
        page.browser.press("Tab")
        order.append(page.browser.run(focused))
        assert len(order) < 3
    page.browser.press("Enter")
    page.matches("state", "cancelling")
    assert page.browser.run(focused) == "cancel"
    page.server.tell("stay")
    page.wait_for(state="cancelled")
    wait_for(lambda: page.browser.run(focused) == "job-name")
    assert page.browser.read("#job-name", "text") == "stay"
    page.browser.run("document.querySelector('#jobs a').focus()")
    page.wait_for_look()
    assert page.browser.run("return document.activeElement.hash") == "#" + page.id


def test_what_is_spoken(page):
    """A screen reader announces each state, and progress only now and then."""
    page.browser.run("""window.spoken = [];
        const spoken = document.getElementById("spoken");
        new MutationObserver(() => window.spoken.push(spoken.textContent))
            .observe(spoken, { childList: true })""")
    page.choose("slow")
    page.start()
    page.wait_for(state="running")
    wait_for(lambda: page.browser.run("return longop.state.shown.step > 50"))
    assert page.browser.run("return window.spoken") == ["slow: running"]
    page.browser.run("longop.state.spokenAt -= 10_000")
    wait_for(lambda: len(page.browser.run("return window.spoken")) == 2)
    page.browser.click("#cancel")
    page.wait_for(state="cancelled")
    _, progress, *ends = page.browser.run("return window.spoken")
    assert re.fullmatch(r"\d+ %, about \d+(:\d\d| s) left", progress)
    assert ends[-1] == "slow: cancelled"
    assert len(ends) <= 2  # "cancelling" may have been too short to be seen
    assert page.browser.read("#spoken", "attribute/role") == "status"
    live = "return document.querySelectorAll('[aria-live], [role=status], [role=alert]').length"
    assert page.browser.run(live) == 2  # the other one is the form's


def test_the_title_tells_how_far_it_is(page):
    """The title shows the percentage, then the final state."""
    page.open(page.server.start("stay"))
    wait_for(lambda: page.browser.run("return document.title") == "25 % \u2013 stay")
    for name in "stay", "stay2":
        page.server.tell(name)
    wait_for(lambda: page.browser.run("return document.title") == "completed \u2013 stay")


def test_chinese(chinese, page):
    """In a Chinese browser the whole page is in Chinese."""
    page.choose("stay")
    page.start()
    page.wait_for(state="运行中", cancel="取消", start="启动", steps="1 / 4")
    page.browser.click("#cancel")
    page.matches("state", r"^正在取消… \d 秒$")
    assert page.browser.run("return document.documentElement.lang") == "zh-Hans"


def test_no_text_is_unused():
    """Each text of the page's table is named by the page or the script."""
    files = Path(page_of_server.__file__).parent
    words = "".join(files.joinpath(name).read_text(encoding="utf-8")
                    for name in ("page.html", "page.js"))
    keys = re.findall(r"(?m)^  ([a-z]\w*): \[", words)
    assert len(keys) > 50
    assert [key for key in keys if len(re.findall(rf"\b{key}\b", words)) < 2] == []


def test_few_movements(page):
    """Nothing moves if the browser asks for reduced motion."""
    page.open(page.server.start("hebrew"))
    page.open(page.server.start("large", size=10))
    page.wait_for(state="running")
    name = "return getComputedStyle(document.getElementById('bar')).animationName"
    assert page.browser.run(name) == "slide"
    page.browser.show(prefers_reduced_motion="reduce")
    assert page.browser.run(name) == "none"
    image = "return getComputedStyle(document.getElementById('bar')).backgroundImage"
    assert "repeating" in page.browser.run(image)


def test_print(page):
    """On paper there is the job, dark on light, nothing to press, and no bar without a length."""
    page.open(page.server.start("records", n=3))
    page.wait_for(state="completed")
    page.browser.show(media="print", prefers_color_scheme="dark")
    shown = page.browser.run("""return [...document.querySelectorAll("button, input, select, a")]
        .filter(one => one.checkVisibility({ visibilityProperty: true })).map(one => one.id)""")
    color = page.browser.run("return getComputedStyle(document.body).color")
    page.browser.show()
    assert shown == []
    assert color == "rgb(27, 32, 39)"
    page.matches("result", "page")
    page.open(page.server.start("stay"))
    page.wait_for(state="running")
    bar = """longop.state.shown.progress = null;
        longop.draw();
        return document.getElementById("bar").checkVisibility()"""
    assert page.browser.run(bar)
    page.browser.show(media="print")
    assert not page.browser.run(bar)
    page.browser.show()


def test_a_notification_if_asked_for(page):
    """The end is notified if the reader asked for it; permission is requested only then."""
    page.browser.run("""window.asked = 0; window.notices = [];
        window.Notification = class {
            static requestPermission() { window.asked++; return Promise.resolve("granted"); }
            constructor(title) { window.notices.push(title); } };""")
    page.choose("stay")
    page.start()
    page.wait_for(state="running")
    assert page.browser.run("return window.asked") == 0
    page.browser.click("#notify")
    wait_for(lambda: page.read("notify", "property/ariaPressed") == "true")
    for name in "stay", "stay2":
        page.server.tell(name)
    page.wait_for(state="completed")
    wait_for(lambda: page.browser.run("return window.notices") == ["stay: completed"])
    assert page.browser.run("return window.asked") == 1

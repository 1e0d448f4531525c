"""What the server says, in the words and the language of who reads the page."""

# ruff: noqa: RUF001

from __future__ import annotations

import re
from pathlib import Path

import pytest

import longop
from longop.web import page as page_of_server

from . import test_page, test_page_access, test_page_form
from .test_page import Page, Server
from .test_page_form import TEXT, opened, status
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
stub = test_page_form.stub
chinese = test_page_access.chinese
A = "a" * 32

FUNCTIONS = '''
import dataclasses, fractions, os, threading, time, uuid
from datetime import date, datetime, time as clock, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Dict, List, Literal, Tuple

import longop


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


def take(callback, given: bytes, whole: int = 1, number: float = 1.0, flag: bool = True,
         day: date = None, when: datetime = None, at: clock = None, pause: timedelta = None,
         price: Decimal = None, key: uuid.UUID = None, part: fractions.Fraction = None,
         wave: complex = 1j, choice: Literal["one", "two", "three"] = "one",
         pair: Tuple[int, int] = (1, 2), where: Point = None, names: List[int] = [],
         record: Dict[str, int] = {}, photo: bytes = b""):
    """Take all kinds of values."""


def send(callback, photo: bytes):
    """Take a file."""


def stay(callback):
    """Report until told to stop."""
    while True:
        callback.wait(0.01)


def crash(callback):
    """End its process."""
    os._exit(3)


def stall(callback):
    """Report nothing."""
    threading.Event().wait(30)


take, send = longop.LongOperation(take), longop.LongOperation(send)
reject = longop.LongOperation(stay, name="reject", when_busy="reject")
full = longop.LongOperation(stay, name="full", max_queued=0)
lost = longop.LongOperation(crash, name="lost", executor="process")
late = longop.LongOperation(stay, name="late", timeout=0.1)
silent = longop.LongOperation(stall, name="silent", stall_timeout=0.1, grace=0.1,
                              executor="process")
'''
WRONG = {"whole": "ten", "number": "ten", "flag": "ten", "day": "ten", "when": "ten", "at": "ten",
         "pause": "ten", "price": "ten", "key": "ten", "part": "ten", "wave": "ten",
         "choice": "ten", "pair": "[1]", "where": '{"x": "ten", "z": 1}', "names": '["ten"]',
         "record": "ten", "photo": "ten!"}
# What may be in Latin letters: values, and the names of what is in them.
VALUES = re.compile(r"'[^']*'|true|false|JSON|UUID|1\+2j|x\b|y\b|PT1H30M|[0-9a-f-]{36}|"
                    r"one, two, three|\dT\d")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), functions=FUNCTIONS,
                    options=["--max-body", "100000"])
    yield server
    server.kill()


def errors_of(page, missing, file):
    """Let the form send wrong values past the browser's own checks; return what it shows."""
    file.write_text("x")
    page.choose("take")
    page.browser.run("""for (const field of longop.formFields()) {
            if (!(field.name in arguments[0])) continue;
            const text = document.createElement("textarea");
            text.name = field.name;
            text.value = arguments[0][field.name];
            text.dataset.required = "true";
            field.replaceWith(text);
        }
        document.getElementById("form").noValidate = true;""", WRONG)
    page.browser.click("#start")
    page.wait_for(**{"error-given": missing})
    page.browser.type("#field-given", str(file))
    page.browser.click("#start")
    wait_for(lambda: page.browser.read("#error-whole"))
    return page.browser.run("""return Object.fromEntries([...document.querySelectorAll(".bad")]
        .filter(one => one.textContent).map(one => [one.id.slice(6), one.textContent]))""")


def test_wrong_values_are_told_in_chinese(browser, chinese, server, tmp_path):
    """Every kind of wrong value is told in Chinese; only values are in Latin letters."""
    browser.forget()
    found = errors_of(Page(browser, server), "请填写。", tmp_path / "file")
    assert set(found) == set(WRONG)
    assert {name: text for name, text in found.items()
            if re.search("[A-Za-z]", VALUES.sub("", text))} == {}
    assert found["whole"] == "应为整数，而不是 'ten'"
    assert found["when"] == "应为日期和时间，例如 2026-11-28T14:30，而不是 'ten'"
    assert found["pair"] == "应为列表，项数为 2，而不是 '[1]'"
    assert found["where"] == "有误：'x' 应为整数，而不是 'ten', 'z' 不存在，可用的有：x, y"
    browser.errors()


def test_wrong_values_are_told_in_english(browser, server, tmp_path):
    """The same in English, with nothing of how the server calls things."""
    browser.forget()
    found = errors_of(Page(browser, server), "Please fill this in.", tmp_path / "file")
    assert set(found) == set(WRONG)
    assert found["photo"] == "must be a file, not 'ten!'"
    browser.errors()


@pytest.mark.parametrize(("operation", "words", "state"), [
    ("reject", "正忙: 已有任务正在运行", "运行中"), ("full", "太忙了: 0 个任务已在排队", "运行中")])
def test_busy_is_told_in_chinese(browser, chinese, server, operation, words, state):
    """A server that takes no more says so in Chinese, and so does the page in English."""
    browser.forget()
    page = Page(browser, server)
    page.choose(operation)
    page.start()
    page.wait_for(state=state)
    browser.click("#start")
    page.wait_for(**{"form-error": words})
    browser.click("#cancel")
    page.wait_for(state="已取消")
    browser.errors()


def test_too_large_is_told_in_chinese(browser, chinese, server, tmp_path):
    """A file over the limit is refused with the limit."""
    browser.forget()
    file = tmp_path / "large"
    file.write_bytes(bytes(200_000))
    page = Page(browser, server)
    page.choose("send", photo=str(file))
    browser.click("#start")
    page.wait_for(**{"form-error": "超出服务器允许的大小: 最多 100,000 字节"})
    browser.errors()


@pytest.mark.parametrize(("operation", "words"), [
    ("lost", "进程意外结束，退出码 3"), ("late", "运行时间超过 0.1 s"),
    ("silent", "没有报告已达 0.1 s；终止方式：SIGTERM")])
def test_how_a_job_ended_is_told_in_chinese(browser, chinese, server, operation, words):
    """What longop itself says of a job is in Chinese."""
    browser.forget()
    page = Page(browser, server, server.start(operation))
    page.matches("state", "失败")
    page.wait_for(error=words)
    browser.errors()


def test_what_a_function_raised_is_left_alone(browser, chinese, stub):
    """The words of a function's own error are not the page's to change."""
    error = "ValueError: a number is missing, must be a date"
    stub.serve_jobs(status(A, state="failed", stop_reason="error", error=error))
    page = opened(browser, stub, A)
    page.wait_for(error=error)
    browser.errors()


def test_what_is_quoted_is_left_alone(browser, chinese, stub):
    """A value that is quoted in an error is shown as it is."""
    stub.serve_operation({"one": TEXT})
    stub.answers["POST /v1/m/op"] = 400, {"errors": {
        "one": "must be a date, not 'a date such as must be '",
        "two": "is new here, must be a date"}}
    page = opened(browser, stub)
    browser.click("#start")
    page.wait_for(**{"error-one": "应为日期，而不是 'a date such as must be '",
                     "form-error": "two: is new here, 应为日期"})
    browser.errors()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_token_is_told_without_headers(browser, stub, request, language):
    """Who needs a token is told where it is, and nothing of headers."""
    if language == "zh":
        request.getfixturevalue("chinese")
    stub.answers["POST /v1/m/op"] = 401, {"detail": "a token is needed: Authorization: Bearer"}
    page = opened(browser, stub)
    browser.click("#start")
    words = {"en": "A token is needed: open the address that the server printed",
             "zh": "需要令牌：请用服务器打印的地址"}
    page.wait_for(**{"form-error": words[language]})
    browser.errors()


def test_each_piece_is_said_by_the_server():
    """What the page knows of the server's words is what the server really says."""
    script = Path(page_of_server.__file__).with_name("page.js").read_text(encoding="utf-8")
    pieces = re.findall(r'(?m)^  "([^"]+ [^"]*)": \[', script)
    assert len(pieces) > 30
    sources = "\n".join(path.read_text(encoding="utf-8")
                        for path in Path(longop.__file__).parent.rglob("*.py"))
    said = re.sub(r'"\n *f?"', "", sources)
    unknown = [piece for piece in pieces
               if re.sub("^(DeadlineExceeded: |WorkerLost: |must be )(?=.)", "", piece).strip(" :;")
               not in said]
    assert unknown == []

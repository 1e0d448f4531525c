"""What the page makes of deltas, of a job's numbers and of what its function printed."""

from __future__ import annotations

import json

import pytest

from . import test_page, test_page_form
from .test_page_form import opened, status
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
stub = test_page_form.stub
A = "a" * 32
JOB = f"GET /v1/jobs/{A}"


def events(*records):
    """Return a stream of events, as (name, data)."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in records)


@pytest.mark.parametrize(("result", "append", "more", "whole"), [
    ("ab", "cd", {}, "abcd"), ([1], [2, 3], {}, [1, 2, 3]),
    ("AQI=", "Aw==", {"encoding": "base64"}, "AQID")])
def test_what_is_new_is_added(browser, stub, result, append, more, whole):
    """An event that tells what was appended adds it to the result; other keys stay."""
    job = status(state="running", result=result, step=1)
    stub.serve_jobs(job)
    stub.answers[JOB + "/events"] = 200, events(
        ("status", job), ("status", {"version": 2, "append": append, **more}),
        ("status", {"version": 3, "state": "completed"}))
    page = opened(browser, stub, A)
    page.wait_for(state="completed", steps="step 1")
    assert page.result() == whole
    assert browser.run("return 'append' in longop.state.shown") is False
    browser.errors()


def test_a_result_that_does_not_grow_is_set_anew(browser, stub):
    """An event with a whole result replaces the one before."""
    job = status(state="running", result="first")
    stub.serve_jobs(job)
    stub.answers[JOB + "/events"] = 200, events(
        ("status", job), ("status", {"version": 2, "result": "other"}),
        ("status", {"version": 3, "append": "!", "state": "completed"}))
    page = opened(browser, stub, A)
    page.wait_for(state="completed", result="other!")
    browser.errors()


def test_a_growing_text_keeps_its_node(browser, stub):
    """New text is appended to the text that is shown; only that is drawn."""
    job = status(state="running", result="ab")
    stub.serve_jobs(job)
    page = opened(browser, stub, A)
    page.wait_for(result="ab")
    node = "document.querySelector('#result pre div').firstChild"
    browser.run(f"window.first = {node}")
    stub.answers[JOB + "/events"] = 200, events(
        ("status", job), ("status", {"version": 2, "append": "cd", "state": "completed"}))
    browser.run("dispatchEvent(new Event('online'))")
    page.wait_for(state="completed", result="abcd")
    assert browser.run(f"return window.first === {node} && window.first.data") == "ab"
    browser.errors()


def test_a_chart_is_there_after_a_reload(browser, stub):
    """The numbers of a whole run are drawn, though nobody watched it, whatever it returned."""
    stub.serve_jobs(status(result="done"))
    stub.answers[JOB + "/series"] = 200, {
        "reports": 900, "step": [None, None, None],
        "series": {"loss": [3, None, 1], "flat": [2, 2, 2], "result": [1, 2, 5]}}
    page = opened(browser, stub, A)
    page.wait_for(state="completed", result="done")
    names = "return [...document.querySelectorAll('#charts p span')].map(one => one.textContent)"
    wait_for(lambda: browser.run(names) == ["loss", "result"])
    path = browser.read("#charts path", "attribute/d")
    assert [part[0] for part in path.replace("L", " L").replace("M", " M").split()
            if part[0] in "LM"] == ["M", "M"]
    assert browser.run("return [...longop.state.lines.get('loss').xs]") == [0, 300, 600]
    browser.errors()


def test_what_is_in_a_chart_is_not_in_the_result(browser, stub):
    """A number that has a chart stands there only, also after a reload."""
    stub.serve_jobs(status(result={"loss": 1, "note": "x"}))
    stub.answers[JOB + "/series"] = 200, {
        "reports": 3, "step": [0, 1, 2], "series": {"loss": [3, 2, 1]}}
    page = opened(browser, stub, A)
    page.wait_for(state="completed", result="note\nx")
    assert browser.run("return document.querySelectorAll('#charts svg').length") == 1
    browser.errors()


def test_what_was_printed_is_there_folded_and_follows_its_end(browser, stub):
    """The log is folded; new lines are added, and its end is in view."""
    job = status(state="running")
    stub.serve_jobs(job)
    stub.answers[JOB + "/events"] = 200, events(
        ("log", {"text": "first\n"}), ("log", {"text": "line\n" * 500}), ("status", job))
    page = opened(browser, stub, A)
    wait_for(lambda: not browser.read("#log", "property/hidden"))
    assert not browser.read("#log", "property/open")
    browser.click("#log summary")
    at_end = ("const box = document.getElementById('printed');"
              "return box.scrollTop > 0 && box.scrollTop + box.clientHeight"
              " >= box.scrollHeight - 2 && box.textContent.endsWith(arguments[0])")
    wait_for(lambda: browser.run(at_end, "line\n"))
    stub.answers[JOB + "/log"] = 200, "line\n" * 500 + "<b>last</b>\n"
    stub.answers[JOB + "/events"] = 200, events(
        ("log", {"text": "line\n" * 500}), ("log", {"text": "<b>last</b>\n"}), ("status", job),
        ("status", {"version": 2, "state": "completed"}))
    browser.run("dispatchEvent(new Event('online'))")
    page.wait_for(state="completed")
    wait_for(lambda: browser.run(at_end, "<b>last</b>\n"))
    assert browser.run("return document.querySelectorAll('#printed b').length") == 0
    browser.errors()


def test_an_older_server_is_no_trouble(browser, stub):
    """Without the routes for the numbers and the log there is a job, and no complaint."""
    stub.serve_jobs(status(result="done"))
    page = opened(browser, stub, A)
    page.wait_for(state="completed", result="done", trouble="")
    assert browser.read("#log", "property/hidden")
    assert browser.read("#charts", "property/hidden")
    browser.errors()

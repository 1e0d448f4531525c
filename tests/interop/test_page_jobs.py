"""The page loses nobody's job: forgetting, running again, the list, and what is typed."""

from __future__ import annotations

import json

import pytest

from . import test_page, test_page_form
from .test_page import Page, Server
from .test_page_form import TEXT, opened, status
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
stub = test_page_form.stub
A, B, C = "a" * 32, "b" * 32, "c" * 32


def click_at(browser, x, y, clicks=1):
    """Press the mouse at a point, as often as a fast hand does."""
    for count in range(1, clicks + 1):
        for kind in "mousePressed", "mouseReleased":
            browser.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                         clickCount=count)


def middle_of(browser, css):
    return browser.run("""const box = document.querySelector(arguments[0]).getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2]""", css)


def sent(stub, method):
    return [key for key, _, _ in stub.requests if key.startswith(method)]


def end_of(stub, job):
    """Let a cancel of a running job end it."""
    ended = {**job, "state": "cancelled", "version": 9}
    stub.answers[f"POST /v1/jobs/{job['id']}/cancel"] = 200, ended
    return ended


@pytest.mark.parametrize("width", [1280, 390])
def test_a_second_click_on_cancel_does_nothing(browser, stub, width):
    """Where Cancel was there is nothing once the job has ended, in the panel and in the list."""
    job = status(A, state="running")
    stub.serve_jobs(job)
    page = opened(browser, stub, A)
    browser.show(width)
    page.wait_for(state="running")
    end_of(stub, job)
    for css in "#cancel", f"#row-{A} button:nth-child(2)":
        browser.run("document.querySelector(arguments[0]).scrollIntoView()", css)
        place = middle_of(browser, css)
        click_at(browser, *place)
        wait_for(lambda: browser.read("#state") == "cancelled")
        click_at(browser, *place)
        click_at(browser, *place)
        assert sent(stub, "DELETE") == []
        assert sent(stub, "POST /v1/m") == []
        assert browser.read("#undo", "property/hidden")
        browser.run("longop.state.shown = {...longop.state.shown, state: 'running'};"
                    "longop.state.jobs = longop.state.jobs.map(one => ({...one, version: 20}));")
        stub.requests.clear()
        if css == "#cancel":
            page.open(A)
            browser.show(width)
            page.wait_for(state="running")
            wait_for(page.jobs)
    browser.errors()


def test_forgetting_can_be_undone(browser, stub):
    """A forgotten job is hidden; Undo brings it back, and nothing was sent."""
    stub.serve_jobs(status(B), status(C, state="running"))
    page = opened(browser, stub, B)
    page.wait_for(state="completed")
    wait_for(page.jobs)
    browser.click("#forget")
    wait_for(lambda: page.jobs() == [C])
    page.wait_for(forgotten="Forgotten: 1.")
    assert (page.id, browser.read("#job", "property/hidden")) == ("", True)
    assert browser.run("return document.activeElement.id") == "jobs-name"
    browser.click("#restore")
    wait_for(lambda: page.jobs() == [B, C])
    page.wait_for(state="completed")
    assert page.id == B
    assert sent(stub, "DELETE") == []
    browser.errors()


def test_what_is_not_undone_is_forgotten(browser, stub):
    """After the time for Undo the jobs are forgotten; one that cannot be comes back."""
    stub.serve_jobs(status(A), status(B), status(C, state="running"))
    stub.answers["DELETE /v1/jobs/" + B] = 200, {}
    stub.answers["DELETE /v1/jobs/" + A] = 409, {"detail": "no"}
    page = opened(browser, stub)
    wait_for(page.jobs)
    browser.run("""window.late = []; window.setTimer = setTimeout;
        window.setTimeout = (act, time, ...more) =>
            time === 10000 ? window.late.push(act) : window.setTimer(act, time, ...more)""")
    assert browser.read("#forget-all") == "Forget 2 finished"
    browser.click("#forget-all")
    wait_for(lambda: page.jobs() == [C])
    assert sent(stub, "DELETE") == []
    browser.run("window.late.pop()()")
    wait_for(lambda: len(sent(stub, "DELETE")) == 2)
    wait_for(lambda: page.jobs() == [A, C])
    browser.errors()


def test_a_page_that_is_closed_forgets_nothing(browser, stub):
    """A page that is left before the time is over has sent nothing."""
    stub.serve_jobs(status(B))
    page = opened(browser, stub, B)
    page.wait_for(state="completed")
    browser.click("#forget")
    page.wait_for(forgotten="Forgotten: 1.")
    page.open(B)
    page.wait_for(state="completed")
    assert sent(stub, "DELETE") == []
    browser.errors()


def test_run_again_runs_again(browser, stub):
    """Run again starts a job with the same parameters, and Edit fills the form with them."""
    stub.serve_operation({"text": TEXT, "list": {"type": "array"}})
    stub.serve_jobs(status(B, parameters={"text": "words", "list": [1, 2]}))
    stub.answers["POST /v1/m/op"] = 202, status(A)
    page = opened(browser, stub, B)
    page.wait_for(state="completed")
    wait_for(page.jobs)
    page.wait_for(given="text\nwords\nlist\n[1,2]")
    wait_for(lambda: browser.click("#edit") is None)  # once the operations are known
    assert browser.run("return longop.formFields().map(longop.valueOf)") == ["words", "[1,2]"]
    assert sent(stub, "POST") == []
    browser.type("#field-text", "others")
    wait_for(lambda: browser.click("#again") is None)  # once the operations are known
    wait_for(lambda: page.id == A)
    [(_, headers, body)] = stub.requests
    assert json.loads(body) == {"text": "words", "list": [1, 2]}
    assert headers["Prefer"] == "respond-async"
    browser.errors()


@pytest.mark.parametrize("css", ["#start", "#again"])
def test_a_double_click_starts_one_job(browser, stub, css):
    """The second click of a double click presses no button."""
    stub.serve_operation({})
    stub.serve_jobs(status(A))
    stub.answers["POST /v1/m/op"] = 202, status(A)
    page = opened(browser, stub, A)
    page.wait_for(state="completed")
    wait_for(page.jobs)
    wait_for(lambda: not browser.read(css, "property/hidden"))
    x, y = middle_of(browser, css)
    for count in 1, 2:
        for kind in "mousePressed", "mouseReleased":
            browser.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                         clickCount=count)
        wait_for(lambda: browser.read("#start", "property/ariaDisabled") == "false")
    assert sent(stub, "POST") == ["POST /v1/m/op"]
    browser.errors()


def test_what_is_typed_outlives_a_reload(browser, stub):
    """Each operation's form has after a reload what was typed, and is the one that was chosen."""
    operations = stub.answers["GET /v1"][1]["operations"]
    schema = {"type": "object", "properties": {"text": TEXT, "flag": {"type": "boolean"}},
              "required": []}
    operations[:] = [{**operations[0], "name": name, "parameters": schema}
                     for name in ("one", "two")]
    page = opened(browser, stub)
    browser.type("#field-text", "first")
    browser.click("#operation option:nth-child(2)")
    browser.type("#field-text", "second")
    browser.click("#field-flag")
    page.open()
    values = "return [longop.formFields().map(longop.valueOf)]"
    wait_for(lambda: browser.run(values) == [["second", "true"]])
    browser.click("#operation option:nth-child(1)")
    assert browser.run(values) == [["first", "false"]]
    browser.errors()


def test_a_job_that_is_out_of_sight_comes_into_view(browser, stub):
    """A click in a long list, and Start of a long form, show the job and give it the focus."""
    stub.serve_operation({f"p{index}": TEXT for index in range(15)})
    stub.serve_jobs(*(status(f"{index:032x}") for index in range(60)))
    stub.answers["POST /v1/m/op"] = 202, status(f"{3:032x}")
    page = opened(browser, stub)
    wait_for(page.jobs)
    browser.click("#more")
    seen = """const { top } = document.getElementById("job").getBoundingClientRect();
        return top >= -1 && top < innerHeight / 2 && document.activeElement.id"""
    for width, id in (1280, 45), (390, 46):
        browser.show(width)
        link = f"#jobs li:nth-child({id}) a"
        browser.run("document.querySelector(arguments[0]).scrollIntoView()", link)
        browser.click(link)
        page.wait_for(state="completed")
        wait_for(lambda: browser.run(seen) == "job-name")
    browser.run("document.getElementById('field-p2').scrollIntoView()")
    top, bottom = browser.run("const box = document.getElementById('start')"
                              ".getBoundingClientRect(); return [box.top, box.bottom]")
    assert 0 < top < bottom <= 900
    browser.click("#start")
    wait_for(lambda: page.id.endswith("3"))
    wait_for(lambda: browser.run(seen) == "job-name")
    browser.errors()


def test_the_list_is_searched_filtered_and_paged(browser, stub):
    """The list shows what is looked for, and asks for older jobs."""
    newest = [status(f"{index:032x}", created_at=f"2026-01-02T03:04:{59 - index}.000Z")
              for index in range(3)]
    older = [status(f"{9:032x}", operation="rare", created_at="2026-01-01T03:04:05.000Z")]
    newest[1]["state"] = "failed"
    stub.serve_jobs(*newest)
    stub.answers["GET /v1/jobs"] = (*stub.answers["GET /v1/jobs"],
                                    {"Link": '</v1/jobs?before=2>; rel="next"'})
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 3)
    stub.answers["GET /v1/jobs"] = 200, {"jobs": older}
    browser.run("longop.state.sleepers.clear()")
    browser.click("#more")
    wait_for(lambda: len(page.jobs()) == 4)
    assert any("before=" + newest[-1]["id"] in url for url in page.requests())
    assert browser.read("#more", "property/hidden")
    browser.type("#find", "rare")
    wait_for(lambda: len(page.jobs()) == 1)
    browser.type("#find", "")
    browser.run("document.getElementById('find').dispatchEvent(new Event('input'))")
    stub.serve_jobs(*newest)
    browser.click("#of-state option[value=failed]")
    wait_for(lambda: page.jobs() == [newest[1]["id"]])
    assert any("state=failed" in url for url in page.requests())
    browser.errors()


class History:
    """A list of many jobs, newest first, in pages; tells which pages were asked for."""

    def __init__(self, stub, size, *rare):
        self.size, self.rare, self.asked = size, rare, []
        stub.answers["GET /v1/jobs"] = self

    def __call__(self, query):
        first = int(query["before"], 16) + 1 if "before" in query else 0
        limit = int(query.get("limit", 100))
        self.asked.append((first, limit))
        numbers = range(first, min(first + limit, self.size))
        more = {"Link": '<?>; rel="next"'} if first + limit < self.size else {}
        return 200, {"jobs": [self.job(number) for number in numbers]}, more

    def job(self, number):
        words = {"words": "a needle" if number in self.rare else "hay"}
        return status(f"{number:032x}", parameters=words, created_at=(
            f"2026-01-{28 - number // 10_000:02}T03:{59 - number // 200 % 50:02}:00.000Z"))


def search(browser, words):
    browser.run("""const field = document.getElementById("find"); field.value = arguments[0];
        field.dispatchEvent(new Event("input", { bubbles: true }))""", words)


def test_the_search_finds_what_is_in_a_history_of_100_000_jobs(browser, stub):
    """It says how far it has looked, and looks on, in large pages, until something is found."""
    history = History(stub, 100_000, 55_555, 99_999)
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 20)
    search(browser, "Needle")
    page.wait_for(none="No job matches. Searched: the newest 100.", more="Search older ones")
    del history.asked[:]
    browser.click("#more")
    wait_for(lambda: page.jobs() == [f"{number:032x}" for number in (55_555, 99_999)], 60)
    page.wait_for(none="")
    assert browser.read("#more", "property/hidden")
    older = [pair for pair in history.asked if pair[0]]
    assert older == [(first, 1000) for first in range(100, 100_000, 1000)]
    assert browser.run("return longop.state.jobs.length") == 102
    browser.errors()


def test_a_filter_takes_nothing_from_the_job_that_is_shown(browser, stub):
    """The panel of a job has its parameters and buttons also while the list has other jobs."""
    job = status(A, parameters={"text": "words"})
    stub.serve_operation({"text": TEXT})
    stub.serve_jobs(job)
    stub.answers[f"GET /v1/jobs/{A}"] = 200, status(A)  # the list alone tells the parameters
    page = opened(browser, stub, A)
    page.wait_for(state="completed", given="text\nwords")
    stub.answers["GET /v1/jobs"] = lambda query: (200, {"jobs": [] if "state" in query else [job]})
    browser.click("#of-state option[value=failed]")
    page.wait_for(none="No job matches.")
    browser.run("longop.draw()")
    page.wait_for(given="text\nwords", again="Run again", edit="Edit")
    browser.errors()


def test_other_words_look_from_the_beginning_again(browser, stub):
    """What was passed over for other words is not taken for looked through."""
    History(stub, 1500, 700)
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 20)
    search(browser, "nothing like it")
    browser.click("#more")
    page.wait_for(none="No job matches.")
    search(browser, "needle")
    page.wait_for(none="No job matches. Searched: the newest 100.")
    browser.click("#more")
    wait_for(lambda: page.jobs() == [f"{700:032x}"])
    search(browser, "")
    wait_for(lambda: len(page.jobs()) == 20)
    browser.errors()


def test_a_search_looks_at_what_is_shown(browser, stub):
    """Words are looked for in names and values, and not in how the protocol calls things."""
    stub.serve_jobs(status(A, operation="paint", state="failed", error="no brush"),
                    status(B, parameters={"size": "large"}), status(C, message="wet"))
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 3)
    for words, found in (("PAINT", [A]), ("brush", [A]), ("failed", [A]), ("size", [B]),
                         ("large", [B]), ("wet", [C]), ("bbbb", [B]), ("null", []),
                         ("queue_position", []), ("2026", []),
                         ("", [A, B, C])):
        search(browser, words)
        wait_for(lambda: page.jobs() == found)  # noqa: B023
    browser.errors()


def test_a_page_that_begins_at_a_forgotten_job_begins_again(browser, stub):
    """If the last job of the list was forgotten meanwhile, the list is made again."""
    history = History(stub, 300)
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 20)
    stub.answers["GET /v1/jobs"] = lambda query: (
        (400, {"detail": "gone"}) if "before" in query else history(query))
    browser.click("#more")
    sizes = "return [longop.state.jobs.length, longop.state.jobsShown]"
    wait_for(lambda: browser.run(sizes) == [100, 20] and len(page.jobs()) == 20)
    page.wait_for(trouble="")
    stub.answers["GET /v1/jobs"] = history
    browser.click("#more")
    wait_for(lambda: len(page.jobs()) == 120)
    browser.errors()


def test_another_tab_is_told_at_once(browser, stub):
    """A job that another tab of this browser started is listed before the next look."""
    page = opened(browser, stub)
    wait_for(lambda: browser.read("#none"))
    stub.serve_jobs(status(A))
    browser.run("longop.state.sleepers.add(() => { window.woken = true; });"
                "new BroadcastChannel('longop').postMessage('')")
    wait_for(lambda: browser.run("return window.woken"))
    wait_for(lambda: page.jobs() == [A])
    browser.errors()


def test_pages_and_filters_of_the_server(browser, tmp_path):
    """With a real server, older jobs come page by page, and a filter asks for what it shows."""
    options = ["--history", str(tmp_path / "jobs.sqlite3"), "--executor", "thread"]
    functions = "def one(callback):\n    pass\n\n\ndef two(callback):\n    pass\n"
    server = Server(tmp_path, functions=functions, options=options)
    try:
        ids = [server.start("one" if index else "two") for index in range(130)]
        page = Page(browser, server)
        wait_for(lambda: len(page.jobs()) == 20)
        browser.click("#more")
        wait_for(lambda: len(page.jobs()) == 120)
        browser.click("#more")
        wait_for(lambda: set(page.jobs()) == set(ids))
        assert browser.read("#more", "property/hidden")
        browser.click("#of-operation option[value='functions/two']")
        wait_for(lambda: page.jobs() == ids[:1])
        browser.click("#of-state option[value=failed]")
        wait_for(lambda: page.read("none") == "No job matches.")
        assert browser.errors() == []
    finally:
        server.kill()

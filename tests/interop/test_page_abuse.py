"""What impatient hands and unexpected results do to the page: nothing that hurts."""

from __future__ import annotations

import threading

import pytest

from . import test_page, test_page_form, test_page_jobs
from .test_page_form import TEXT, opened, status
from .test_page_jobs import click_at, end_of, middle_of, sent
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
stub = test_page_form.stub
A, B, C = test_page_jobs.A, test_page_jobs.B, test_page_jobs.C
SEEN = """return [...document.querySelectorAll("button, #jobs a, summary, [type=checkbox]")]
    .filter(one => one.checkVisibility({ visibilityProperty: true }))
    .map(one => one.id ? "#" + one.id : one.matches("#jobs *") ? `#${one.closest("li").id} `
        + `${one.localName}:nth-child(${[...one.parentNode.children].indexOf(one) + 1})`
        : "summary")"""
FOCUSED = "return document.activeElement.hash || document.activeElement.id"


def double_click(browser, css):
    browser.run("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", css)
    click_at(browser, *middle_of(browser, css), clicks=2)


def prepare(stub):
    """Serve a form and three jobs: one that runs, one that ended, one that cannot be repeated."""
    stub.serve_operation({"text": TEXT, "flag": {"type": "boolean"}},
                         documentation="Do it." + "\n\nAnd more." * 100)
    jobs = (status(A, state="running", parameters={"text": "x"}),
            status(B, result=[{"x": 1}] * 200, parameters={"text": "y"}), status(C))
    stub.serve_jobs(*jobs)
    stub.answers["POST /v1/m/op"] = 202, jobs[0]
    end_of(stub, jobs[0])


@pytest.mark.parametrize("id", [A, B])
def test_a_double_click_on_everything(browser, stub, id):
    """A double click does what one click does: one request at most, and none that destroys."""
    prepare(stub)
    page = opened(browser, stub, id)
    wait_for(lambda: len(page.jobs()) == 3)
    wait_for(lambda: browser.read("#state"))
    everything = browser.run(SEEN)
    assert {"#start", "#about", "#api"} - {one.replace("summary", "#about") for one in everything}
    assert len(everything) > 12
    for css in everything:
        prepare(stub)
        page.open(id)
        wait_for(lambda: len(page.jobs()) == 3)
        wait_for(lambda: browser.read("#state"))
        del stub.requests[:]
        double_click(browser, css)
        # A request that is still to be sent would come before this one.
        browser.run("return fetch('/v1/mark', { method: 'POST' }).then(() => 1)")
        wait_for(lambda: "POST /v1/mark" in sent(stub, "POST"))
        assert len(sent(stub, "POST")) <= 2, css
        assert sent(stub, "DELETE") == [], css
    browser.errors()


def test_back_in_the_middle_of_a_start(browser, stub):
    """Back while a start is on its way leads to its job all the same, and one more Back back."""
    answered = threading.Event()
    stub.serve_jobs(status(A), status(B))
    stub.answers["POST /v1/m/op"] = lambda query: answered.wait(10) and (202, status(B))
    page = opened(browser, stub, A)
    page.wait_for(state="completed")
    browser.run(f"location.hash = '{B}'")
    wait_for(lambda: page.id == B)
    browser.click("#start")
    wait_for(lambda: sent(stub, "POST"))
    browser.run("history.back()")
    wait_for(lambda: page.id == A)
    assert browser.read("#start", "property/ariaDisabled") == "true"
    answered.set()
    wait_for(lambda: page.id == B)
    wait_for(lambda: browser.read("#start", "property/ariaDisabled") == "false")
    assert sent(stub, "POST") == ["POST /v1/m/op"]
    browser.run("history.back()")
    wait_for(lambda: page.id == A)
    browser.errors()


def test_the_page_is_left_in_the_middle_of_a_start(browser, stub):
    """Whoever leaves the page in the middle of a start finds the job in the list, and the form."""
    answered = threading.Event()
    stub.serve_operation({"text": TEXT})
    stub.answers["POST /v1/m/op"] = lambda query: answered.wait(10) and (202, status(B))
    page = opened(browser, stub)
    browser.type("#field-text", "typed")
    browser.click("#start")
    wait_for(lambda: sent(stub, "POST"))
    browser.get("about:blank")
    answered.set()
    stub.serve_jobs(status(B))
    browser.run("history.back()")
    wait_for(lambda: page.jobs() == [B])
    assert browser.run("return longop.formFields().map(longop.valueOf)") == ["typed"]
    assert browser.read("#start", "property/ariaDisabled") == "false"
    assert sent(stub, "POST") == ["POST /v1/m/op"]
    browser.errors()


@pytest.mark.parametrize("end", ["ended", "forgotten"])
@pytest.mark.parametrize("css", ["#cancel", f"#row-{A} button:nth-child(2)"])
def test_a_job_ends_between_two_clicks(browser, stub, css, end):
    """A cancel that comes too late shows what became of the job, and complains of nothing."""
    job = status(A, state="running", parameters={})
    stub.serve_jobs(job, status(B))
    page = opened(browser, stub, A)
    page.wait_for(state="running")
    wait_for(lambda: len(page.jobs()) == 2)
    done = {**job, "state": "completed", "version": 2, "result": "done"}
    if end == "ended":
        stub.serve_jobs(done, status(B))
        stub.answers[f"POST /v1/jobs/{A}/cancel"] = 200, done
    else:
        stub.serve_jobs(status(B))
        for key in f"POST /v1/jobs/{A}/cancel", f"GET /v1/jobs/{A}":
            stub.answers[key] = 410, {"detail": "gone"}
    browser.run("document.querySelector(arguments[0]).click()", css)
    page.wait_for(state="completed" if end == "ended" else "gone", trouble="")
    if end == "forgotten":
        wait_for(lambda: page.jobs() == [B])
    browser.errors()


def test_a_cancel_in_the_list_leaves_another_job_alone(browser, stub):
    """The Cancel of a job in the list does not disable that of the job that is shown."""
    stub.serve_jobs(status(A, state="running"), status(B, state="running"))
    stub.answers[f"POST /v1/jobs/{B}/cancel"] = 200, status(B, state="cancelled", version=2)
    page = opened(browser, stub, A)
    page.wait_for(state="running")
    wait_for(lambda: len(page.jobs()) == 2)
    disabled = browser.run("""document.querySelector(arguments[0]).click();
        return document.getElementById("cancel").ariaDisabled""", f"#row-{B} button:nth-child(2)")
    assert disabled == "false"
    wait_for(lambda: sent(stub, "POST"))
    browser.errors()


def rename(stub):
    """Let the server be started again with another name of its operation."""
    stub.serve_operation({"other": TEXT}, name="new", start="/v1/m/new")
    del stub.answers["POST /v1/m/op"]


def test_an_operation_is_renamed_meanwhile(browser, stub):
    """A start of what is no longer there says so, and the form is that of what there is."""
    prepare(stub)
    page = opened(browser, stub, B)
    page.wait_for(state="completed")
    wait_for(lambda: not browser.read("#edit", "property/hidden"))
    rename(stub)
    browser.click("#start")
    wait_for(lambda: browser.run("return longop.formFields().map(one => one.name)") == ["other"])
    page.wait_for(**{"form-error": "This is no longer there", "start-name": "new"})
    wait_for(lambda: browser.read("#edit", "property/hidden"))
    assert browser.read("#again", "property/hidden")
    page.wait_for(state="completed")
    browser.errors()


def test_a_table_of_300_columns(browser, stub):
    """Of very many columns fifty are shown at first, and the page says so; then all of them."""
    stub.serve_jobs(status(A, result=[{f"c{index}": index for index in range(300)}] * 3))
    page = opened(browser, stub, A)
    page.wait_for(state="completed")
    page.wait_for(**{"cut-text": "250 columns are not shown."})
    columns = "return document.querySelectorAll('#result th').length"
    assert browser.run(columns) == 50
    browser.click("#show-all")
    wait_for(lambda: browser.run(columns) == 300)
    assert browser.read("#cut", "property/hidden")
    assert not browser.run("return document.documentElement.scrollWidth > innerWidth")
    browser.errors()


@pytest.mark.parametrize(("result", "charts", "label"), [
    ([1, None, 3], 1, "1 \u2013 3"), ([None, None], 0, ""), ([None, 5], 0, ""), ([7], 0, ""),
    ([2, 2, 2], 0, ""), ([], 0, ""), ([1e308, -1e308], 0, ""), ([5e-324, 0], 0, ""),
    ([1e308, 0], 1, "1.00e+308"),
    ([0.1, 0.1 + 1e-17, 0.2], 1, "0.1 \u2013 0.2")])
def test_charts_of_odd_numbers(browser, stub, result, charts, label):
    """NaN (a null), one point, equal points and extreme ones are drawn or not, without an error."""
    stub.serve_jobs(status(A, result=result))
    page = opened(browser, stub, A)
    page.wait_for(state="completed")
    wait_for(lambda: browser.run("return longop.state.view.words !== null"))
    drawn = browser.run("""return [...document.querySelectorAll("#charts svg")]
        .map(one => [one.getAttribute("aria-label"), one.innerHTML])""")
    assert len(drawn) == charts
    for words, drawing in drawn:
        assert label in words
        assert "NaN" not in drawing
        assert "Infinity" not in drawing + words
    browser.errors()


def test_a_chart_of_a_million_numbers_is_made_once(browser, stub):
    """A million numbers become few points, and time that passes does not draw them again."""
    numbers = [index % 1000 for index in range(1_000_000)]
    stub.serve_jobs(status(A, state="running", result=numbers))
    page = opened(browser, stub, A)
    page.wait_for(state="running")
    path = "return document.querySelector('#charts path')"
    wait_for(lambda: browser.run(path))
    assert browser.run(path + ".getAttribute('d').length") < 40_000
    assert browser.run("""longop.draw();  // what may have arrived
        const first = document.querySelector("#charts svg");
        longop.draw();
        return first === document.querySelector("#charts svg")""")
    browser.errors()


def test_a_chart_is_drawn_for_the_width_there_is(browser, stub):
    """When the window changes its width, the chart does, and the pointer reads what it is at."""
    stub.serve_jobs(status(A, result=[1, 0.5, 0.25, 0.2]))
    page = opened(browser, stub, A)
    browser.show(1280)
    page.wait_for(state="completed")
    wait_for(lambda: browser.run("return document.querySelector('#charts svg')"))
    browser.show(390)
    scale = """const svg = document.querySelector("#charts svg");
        return svg.viewBox.baseVal.width / svg.getBoundingClientRect().width"""
    wait_for(lambda: abs(browser.run(scale) - 1) < 0.02)
    browser.errors()


def test_the_focus_stays_in_the_list(browser, stub):
    """A row keeps the focus when those around it come and go; a button that goes hands it on."""
    job = status(A, state="running")
    stub.serve_jobs(status(C), job, status(B))
    page = opened(browser, stub)
    wait_for(lambda: len(page.jobs()) == 3)
    browser.run(f"document.querySelector('#row-{A} a').focus()")
    stub.serve_jobs(job, status(B))
    browser.run("dispatchEvent(new Event('online'))")
    wait_for(lambda: page.jobs() == [A, B])
    assert browser.run(FOCUSED) == "#" + A
    stub.serve_jobs(status("d" * 32), job, status(B))
    browser.run("dispatchEvent(new Event('online'))")
    wait_for(lambda: len(page.jobs()) == 3)
    assert browser.run(FOCUSED) == "#" + A
    browser.run(f"document.querySelector('#row-{A} button:nth-child(2)').focus()")
    stub.serve_jobs({**job, "state": "completed", "version": 2})
    browser.run("dispatchEvent(new Event('online'))")
    wait_for(lambda: browser.run(FOCUSED) == "#" + A)
    browser.errors()

"""The pages of modules, served by `longop.serve` with their adapters, in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ..codeproject.adapters import ARTICLE, LONG_PROCESS, SETTINGS
from ..codeproject.test_scaffold import new
from ..serve.test_main import get, served
from . import test_page
from .webdriver import wait_for

ROOT = Path(__file__).resolve().parents[2]
pytestmark = test_page.pytestmark
browser = test_page.browser
FAILING = LONG_PROCESS.replace("callback(result, step)", "callback(result, step)\n"
                               "        if step == 2: raise ValueError('it is <b>broken</b>')")
PARAMETERS = '''
import time

def parts(callback, word: str = "<i>w</i>", times: int = 2, loud: bool = True, file: bytes = b""):
    """Say a word."""
    for i in range(times):
        time.sleep(0.5)
        callback(f"{i} {word}")
    return {"word": word, "times": times, "loud": loud, "file": file.decode()}
'''


@pytest.fixture(autouse=True)
def _no_errors(browser):
    """Nothing that a page does is refused or fails."""
    browser.forget()
    yield
    browser.get("about:blank")
    assert browser.errors() == []


@pytest.fixture
def example(browser):
    """The example's page, served as its adapter's docstring says."""
    file = "examples/PythonLongProcess/a_long_process_adapter.py"
    with served(file, "--stall-timeout", "30") as (_, _, url):
        browser.url_of_server = url
        browser.get(url + "PythonLongProcess/explore.html")
        yield browser
        browser.get("about:blank")


@pytest.fixture
def article(tmp_path):
    """Return a function that writes the article's module."""
    def article(long_process=LONG_PROCESS):
        (tmp_path / "long_process.py").write_text(long_process)
        (tmp_path / "adapter.py").write_text(ARTICLE)
        (tmp_path / "modulesettings.json").write_text(json.dumps(SETTINGS))
        shutil.copy(ROOT / "tests" / "interop" / "explore" / "long_process.html",
                    tmp_path / "explore.html")
        return str(tmp_path / "adapter.py")

    return article


#: What the example shows, step by step. A busy machine may show only some of it.
STEPS = [" ".join(map(str, range(1, last + 1))) for last in range(1, 11)]


def results(browser):
    return browser.read("#results")


def wait_for_results(browser, *texts, seconds=20):
    return wait_for(lambda: results(browser) in texts and results(browser), seconds)


def test_the_example_starts_and_grows(example):
    """Start shows the numbers as they come, up to the last."""
    example.click("#PythonLongProcess_start")
    first = wait_for_results(example, *STEPS[:-1])
    wait_for_results(example, *STEPS[STEPS.index(first) + 1:])
    wait_for_results(example, STEPS[-1])
    (job,) = get(example.url_of_server + "v1/jobs")["jobs"]
    assert job["state"] == "completed"
    assert example.run("return PythonLongProcess_params") is None


def test_the_example_is_cancelled(example):
    """Cancel stops the code, the page says so, and it can be started again."""
    example.click("#PythonLongProcess_start")
    wait_for_results(example, *STEPS[:-1])
    example.click("#PythonLongProcess_cancel")
    wait_for_results(example, "The command has been cancelled")
    (job,) = get(example.url_of_server + "v1/jobs")["jobs"]
    assert job["state"] == "cancelled"
    example.click("#PythonLongProcess_start")
    wait_for_results(example, *STEPS[:-1])


def test_the_example_is_started_twice(example):
    """A second click on Start does not start it twice."""
    example.click("#PythonLongProcess_start")
    wait_for_results(example, *STEPS[:-1])
    example.click("#PythonLongProcess_start")
    wait_for(lambda: len(get(example.url_of_server + "v1/jobs")["jobs"]) == 1)


def test_the_example_when_the_server_has_gone(browser):
    """When the server has gone, Start says that there is no answer, and can be tried again."""
    file = "examples/PythonLongProcess/a_long_process_adapter.py"
    with served(file) as (process, _, url):
        browser.get(url + "PythonLongProcess/explore.html")
        process.kill()
        process.wait()
        browser.click("#PythonLongProcess_start")
        # The page may have been told of the end by another request too.
        wait_for(lambda: any("/a-long-process" in text for text in browser.errors()))
        wait_for(lambda: results(browser) not in ("", "Starting..."), 3)
    assert browser.run("return PythonLongProcess_params") is None


def test_parameters(browser, tmp_path):
    """The fields of a page that was written are the function's parameters."""
    (tmp_path / "parting.py").write_text(PARAMETERS)
    assert new(tmp_path, "Parts", "parting.py")[0] == 0
    (tmp_path / "file.txt").write_text("in the file")
    with served("parts_adapter.py", cwd=tmp_path / "Parts", PYTHONPATH="") as (_, _, url):
        browser.get(url + "Parts/explore.html")
        browser.click("[data-input='Parts_loud']")
        browser.type("[data-input='Parts_times']", "3")
        browser.type("[data-input='Parts_file']", str(tmp_path / "file.txt"))
        browser.click("#Parts_start")
        wait_for(lambda: "in the file" in results(browser))
        (job,) = get(url + "v1/jobs")["jobs"]
        assert get(f"{url}v1/jobs/{job['id']}")["result"] == {
            "word": "<i>w</i>", "times": 3, "loud": False, "file": "in the file"}
        assert '"<i>w</i>"' in results(browser)
        browser.type("[data-input='Parts_times']", "1.5")
        browser.click("#Parts_start")
        wait_for(lambda: "times" in results(browser) and "whole number" in results(browser))
        assert [text for text in browser.errors() if "400" not in text] == []


def test_the_articles_page_grows(browser, article):
    """The article's page and adapter, unmodified, start and show what comes."""
    with served(article()) as (_, _, url):
        browser.get(url + "PythonLongProcess/explore.html")
        browser.click("#PythonLongProcess_things")
        wait_for_results(browser, "1", "1 2")
        wait_for_results(browser, "1 2 3 4 5 6 7 8 9 10")
        assert browser.run("return PythonLongProcess_params") is None


def test_the_articles_page_cancels(browser, article):
    """The article's Cancel really stops its code, and its Start starts it again."""
    with served(article()) as (_, _, url):
        browser.get(url + "PythonLongProcess/explore.html")
        browser.click("#PythonLongProcess_things")
        wait_for_results(browser, "1", "1 2")
        browser.click("#PythonLongProcess_cancel")
        wait_for_results(browser, "Command stopped")
        wait_for(lambda: get(url + "v1/jobs")["jobs"][0]["state"] == "cancelled")
        browser.click("#PythonLongProcess_things")
        wait_for_results(browser, "1", "1 2")
        assert len(get(url + "v1/jobs")["jobs"]) == 2


def test_the_articles_page_starts_again_at_once(browser, article):
    """Start, Cancel, Start without a pause: the second start is one, and its steps are shown."""
    with served(article()) as (_, _, url):
        browser.get(url + "PythonLongProcess/explore.html")
        browser.click("#PythonLongProcess_things")
        wait_for_results(browser, "1 2 3")
        browser.click("#PythonLongProcess_cancel")
        wait_for_results(browser, "Command stopped")
        browser.click("#PythonLongProcess_things")
        wait_for_results(browser, "1", "1 2")
        newest, first = get(url + "v1/jobs")["jobs"]
        assert (newest["state"], first["state"]) == ("running", "cancelled")
        assert browser.run("return PythonLongProcess_params[0][1]") == newest["id"]


def test_the_example_is_started_while_it_stops(example):
    """A Start while the last command still stops says so, and starts nothing."""
    example.click("#PythonLongProcess_start")
    wait_for_results(example, *STEPS[:-1])
    said = example.run("""
        PythonLongProcess_onCancel();
        PythonLongProcess_onStart();
        return document.getElementById("results").textContent;
        """)
    assert said == "It is still stopping: start it again in a moment"
    wait_for_results(example, "The command has been cancelled")
    assert len(get(example.url_of_server + "v1/jobs")["jobs"]) == 1


def test_the_articles_page_tells_a_failure(browser, article):
    """What the article's code raises is shown, and not as markup."""
    with served(article(FAILING)) as (_, _, url):
        browser.get(url + "PythonLongProcess/explore.html")
        browser.click("#PythonLongProcess_things")
        wait_for(lambda: "broken" in results(browser), 20)
        assert get(url + "v1/jobs")["jobs"][0]["state"] == "failed"
        assert browser.run("return PythonLongProcess_params") is None

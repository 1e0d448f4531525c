"""`longop.web.listing`: the list of jobs, page by page."""

import re

import pytest

from longop import History, LongOperation
from longop.web.api import Api

from .api_operations import finish, paint, send, start


def test_newest_job_first():
    """The jobs are listed newest first."""
    operation = LongOperation(paint)
    api = Api([operation])
    ids = [start(api, "paint", "?n=1") for _ in range(5)]
    for id in ids:
        finish(api, id)
    assert [job["id"] for job in send(api, "GET /v1/jobs")[1]["jobs"]] == ids[::-1]


def walk(api, query):
    """Return the ids of all pages, by the links between them, and the sizes of the pages."""
    found, sizes = [], []
    while query is not None:
        status, value, headers = send(api, "GET /v1/jobs" + query)
        assert status == 200
        found += [job["id"] for job in value["jobs"]]
        sizes.append(len(value["jobs"]))
        link = headers.get("Link")
        match = link and re.fullmatch(r'<(\?[^>]+)>; rel="next"', link)
        query = match[1] if link else None
    return found, sizes


def test_pages(gate):
    """The pages of the list, linked to each other, have each job once, live ones first."""
    operations = [LongOperation(paint), LongOperation(paint, name="other", history=History()),
                  LongOperation(gate, limit=3)]
    api = Api(operations)
    ids = []
    for n in range(12):
        ids.append(operations[n % 2].start(n=n).id)
        finish(api, ids[-1])
    ids += [operations[2].start().id for _ in range(3)]
    whole, _ = walk(api, "")
    assert sorted(whole) == sorted(ids)
    for limit in (1, 4, 5, 15, 16):
        found, sizes = walk(api, f"?limit={limit}")
        assert found == whole
        assert set(sizes[:-1]) <= {limit}
    paints = [id for id in whole if id in ids[:12:2]]
    for name in ("paint", "api_operations/paint"):
        assert walk(api, f"?operation={name}&limit=4") == (paints, [4, 2])
    assert walk(api, "?state=running&limit=2")[1] == [2, 1]
    assert walk(api, "?state=failed") == ([], [0])
    gate.open.set()
    for id in ids[12:]:
        finish(api, id)


def test_a_hundred_jobs_unless_more_are_asked_for(monkeypatch):
    """A page has 100 jobs by default."""
    operation = LongOperation(paint, history=History(max_jobs=1_000))
    api = Api([operation])
    for n in range(101):
        finish(api, operation.start(n=n).id)
    assert walk(api, "")[1] == [100, 1]
    assert walk(api, "?limit=1000")[1] == [101]


@pytest.mark.parametrize("query", [
    "limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5", "state=lost", "state=",
    "operation=nope", "operation=", "operation=other/paint", "before=nope", "before="])
def test_a_page_that_is_not_there(query):
    """A wrong value is a 400 that names it."""
    status, value, _ = send(Api([LongOperation(paint)]), f"GET /v1/jobs?{query}")
    assert (status, [*value["errors"]]) == (400, [query.partition("=")[0]])


def test_all_that_is_wrong_with_a_page():
    """All wrong values are named at once."""
    status, value, _ = send(Api([LongOperation(paint)]), "GET /v1/jobs?limit=0&state=x&operation=y")
    assert (status, sorted(value["errors"])) == (400, ["limit", "operation", "state"])

"""`longop.web.problem`: an error as an answer."""

import json

import pytest

from longop.errors import BadParameters, Busy, ForgottenJob, RequestError
from longop.web.problem import problem

USUAL = ["type", "title", "status", "detail"]


@pytest.mark.parametrize(("error", "status", "more"), [
    (ForgottenJob("it was forgotten"), 410, {}),
    (BadParameters({"n": "is missing"}), 400, {"errors": {"n": "is missing"}}),
    (Busy("one runs", "a1"), 409, {"job_id": "a1"}),
    (Busy("it is closed", "", 5), 429, {"job_id": None}),
    (RequestError(413, "too large"), 413, {})])
def test_members(error, status, more):
    """A problem has RFC 9457's members, and what its kind of error knows beyond them."""
    response = problem(error)
    value = json.loads(response.body)
    assert response.content_type == "application/problem+json"
    assert [*value] == [*USUAL, *more]
    assert value["type"] == f"/openapi.json#/components/responses/{type(error).__name__}"
    assert response.status == value["status"] == status
    assert value["detail"] == str(error)
    assert {key: value[key] for key in more} == more


def test_headers():
    """What the error tells in headers is told."""
    assert problem(Busy("full", "a1", 5)).headers == {"Retry-After": "5"}
    assert problem(RequestError(405, "no", Allow="GET")).headers == {"Allow": "GET"}

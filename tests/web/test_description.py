"""`longop.web.description`: what the server says of itself."""

import functools
import json
import re

import pytest

from longop import LongOperation, LongOperationError, State, Status, __version__
from longop.values.jsontext import dumps
from longop.web.api import Api
from longop.web.description import describe

from .api_operations import ID, fail, paint, send


def test_operations_are_described():
    """GET /v1 tells the operations with their parameters as JSON Schema."""
    status, value, _ = send(Api([LongOperation(paint)]), "GET /v1")
    assert status == 200
    assert value == {"operations": [{
        "module": "api_operations", "name": "paint", "description": "Paint.",
        "documentation": "Paint.\n\nAt length.", "cancel": "callback",
        "start": "/v1/api_operations/paint",
        "parameters": {
            "type": "object",
            "properties": {
                "n": {"type": "integer"},
                "colour": {"enum": ["red"], "default": "red"},
                "note": {"type": "string", "default": "none"},
                "photo": {"type": "string", "contentEncoding": "base64", "default": ""},
                "size": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            },
            "required": ["n"], "additionalProperties": False}}]}


def quiet():
    """Do it."""


def yielding():
    yield 1


@pytest.mark.parametrize(("function", "options", "hears"), [
    (paint, {}, "callback"), (yielding, {}, "callback"), (quiet, {}, None),
    (quiet, {"cancel": quiet}, "companion"), (quiet, {"executor": "process"}, "process"),
    (paint, {"executor": "process", "cancel": quiet}, "callback")])
def test_what_hears_a_cancel_is_told(function, options, hears):
    """GET /v1 promises a cancel only where something hears it."""
    if "executor" in options:
        pytest.importorskip("longop.workers")
    operation = LongOperation(function, **options)
    [described] = describe([operation], [])["operations"]
    assert described["cancel"] == operation.hears_cancel == hears
    operation.close()


def test_openapi():
    """The description has every route, every operation, and every kind of problem."""
    api = Api([LongOperation(paint), LongOperation(fail)])
    status, document, _ = send(api, "GET /openapi.json")
    assert (status, document["openapi"], document["info"]["version"]) == (
        200, "3.1.0", __version__)
    paths = document["paths"]
    start = paths["/v1/api_operations/paint"]["post"]
    assert start["summary"] == "Paint."
    schema = start["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema == json.loads(dumps(api._operations[0].signature.schema()))
    assert start["requestBody"]["required"] is True
    assert paths["/v1/api_operations/fail"]["post"]["requestBody"]["required"] is False
    for path, methods in paths.items():
        assert {method.upper() for method in methods} == set(
            api._find_route(path.replace("{id}", ID)).views)
    for kind in LongOperationError.__subclasses__():
        if kind.__module__ == "longop.errors" and kind.__name__ not in (
                "DeadlineExceeded", "WorkerLost"):  # which are of jobs, not of requests
            assert kind.__name__ in document["components"]["responses"]
    references = set(re.findall('"#(/[^"]*)"', json.dumps(document)))
    for reference in references:
        functools.reduce(lambda value, key: value[key], reference[1:].split("/"), document)
    properties = document["components"]["schemas"]["Status"]["properties"]
    assert [*properties] == [*Status.__dataclass_fields__]
    assert properties["state"]["enum"] == [state.value for state in State]

"""`longop.codeproject.openapi`: CodeProject's routes in the OpenAPI document."""

import functools
import json
import re

from longop import LongOperation, LongOperationError, State, Status, __version__
from longop.values.jsontext import dumps
from longop.web.api import Api
from longop.web.description import openapi
from longop.web.routes import extensions

from ..web.api_operations import ID, fail, paint, send

OPERATIONS = [LongOperation(lambda callback, to: None, name=name) for name in "ab"]


def test_its_commands_are_described():
    """The document has CodeProject's commands for each module, and its starts."""
    document = openapi(OPERATIONS, extensions())
    paths = document["paths"]
    assert {"get", "post"} <= set(paths["/v1/test_openapi/get_command_status"])
    assert set(paths["/v1/test_openapi/cancel_command"]) == {"post"}
    assert "get" in paths["/v1/status/ping"]
    for name in "ab":
        start = paths[f"/v1/test_openapi/{name}"]["post"]
        assert start["operationId"] == f"start_test_openapi_{name}"
        assert {"200", "202"} <= set(start["responses"])
        assert "requestBody" in start
    assert "Command" in document["components"]["schemas"]


def test_what_is_described_is_there():
    """The server answers at each path in the document."""
    api = Api(OPERATIONS)
    for path, methods in openapi(OPERATIONS, extensions())["paths"].items():
        views = api._find_route(path.replace("{id}", "x")).views
        assert {method.upper() for method in methods if method != "parameters"} <= set(views), path


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

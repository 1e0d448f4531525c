"""`longop.codeproject.openapi`: that server's routes in the OpenAPI document."""

from longop import LongOperation
from longop.web.api import Api
from longop.web.description import openapi
from longop.web.routes import extensions

OPERATIONS = [LongOperation(lambda callback, to: None, name=name) for name in "ab"]


def test_its_commands_are_described():
    """The document has that server's commands for each module, and its start of each operation."""
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
    """Each path in the document is one that the server answers at."""
    api = Api(OPERATIONS)
    for path, methods in openapi(OPERATIONS, extensions())["paths"].items():
        views = api._find_views(path.replace("{id}", "x"))
        assert {method.upper() for method in methods if method != "parameters"} <= set(views), path

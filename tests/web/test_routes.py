"""`longop.web.routes`: routes that a wing adds."""

import types

import pytest

from longop import LongOperation
from longop.web import routes
from longop.web.api import Api
from longop.web.routes import Route, key_of
from longop.web.wire import json_response

from .api_operations import fail, paint, send


def view(request):
    return json_response({"path": request.path})


def extension(*found):
    """An extension with some routes."""
    return types.SimpleNamespace(
        routes=lambda operations: [*found],
        describe=lambda operation: {"more": operation.name},
        document=lambda document, operations: document["info"].update(title="more"))


@pytest.fixture
def extend(monkeypatch):
    """Have these extensions alone."""
    def extend(*extensions):
        modules = {str(number): one for number, one in enumerate(extensions)}
        monkeypatch.setattr(routes, "EXTENSIONS", [*modules, "none"])
        monkeypatch.setattr(routes.wings, "find", modules.get)

    return extend


def test_key():
    """Paths are compared without their case, and ``-`` is ``_``."""
    assert key_of("/V1/My-Module/x_y") == "/v1/my_module/x_y"


@pytest.mark.parametrize(("path", "is_open", "status"), [
    ("/X/a-b", False, 200), ("/x/A_B/", False, 200), ("/x/a-b/more", False, 404),
    ("/x/a-b/more", True, 200), ("/x", True, 404), ("/x/a-bc", True, 404)])
def test_route(extend, path, is_open, status):
    """An extension's route is found at its path; an open one at longer paths too."""
    extend(extension(Route("/x/a-b", {"GET": view}, is_open=is_open)))
    assert send(Api([]), f"GET {path}")[0] == status


def test_start_of_its_own(extend):
    """An operation that an extension starts has no plain start beside it; the others have."""
    painting, failing = LongOperation(paint), LongOperation(fail)
    extend(extension(Route("/v1/api_operations/paint", {"POST": view}, painting)))
    api = Api([painting, failing])
    assert send(api, "POST /v1/api_operations/paint")[1] == {"path": "/v1/api_operations/paint"}
    assert send(api, "POST /v1/api_operations/fail")[1]["operation"] == "fail"


def test_without_extensions(extend):
    """Without any a start is answered with the status, and so is what is wrong with it."""
    extend()
    api = Api([LongOperation(paint)])
    status, value, headers = send(api, "POST /v1/api_operations/paint?n=1")
    assert status in (200, 202)
    assert (value["operation"], headers["Location"]) == ("paint", f"/v1/jobs/{value['id']}")
    assert send(api, "POST /v1/api_operations/paint")[1]["errors"] == {"n": "is missing"}
    assert send(api, "GET /v1/status/ping")[0] == 404
    assert "Command" not in str(send(api, "GET /openapi.json")[1])


def test_a_route_that_is_taken(extend):
    """Two routes with one path are an error."""
    extend(extension(Route("/v1/Jobs", {"GET": view})))
    with pytest.raises(ValueError, match="/v1/Jobs"):
        Api([])


def test_descriptions(extend):
    """An extension adds to what is said of an operation, and to the OpenAPI document."""
    extend(extension())
    api = Api([LongOperation(paint)])
    assert send(api, "GET /v1")[1]["operations"][0]["more"] == "paint"
    assert send(api, "GET /openapi.json")[1]["info"]["title"] == "more"


def test_an_extension_that_is_left_out(extend):
    """An extension that is not wanted adds nothing."""
    extend(extension(Route("/v1/one", {"GET": view})), extension(Route("/v1/two", {"GET": view})))
    api = Api([], left_out=["0"])
    assert send(api, "GET /v1/one")[0] == 404
    assert send(api, "GET /v1/two")[0] == 200

"""`longop.codeproject.routes`: what a request over HTTP brings, and how an adapter gets it."""

import base64
import json

import pytest

from longop.cli.target import load
from longop.web.held import wait

from ..waiting import wait_until
from .adapters import HEAD, Door

VALUES = HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        self.data = data
        return {"text": data.get_value("text"), "number": data.get_float("number"),
                "yes": data.get_bool("yes"), "segments": data.segments, "command": data.command,
                "file": (data.get_file_bytes(0) or b"").decode(),
                "files": [[one["name"], one["filename"], one["contentType"]]
                          for one in data.files]}
'''
FILE = (b'--B\r\nContent-Disposition: form-data; name="image1"; filename="a b.png"\r\n'
        b"Content-Type: image/png\r\n\r\nthe bytes\r\n"
        b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xc3\xa9\r\n'
        b'--B\r\nContent-Disposition: form-data; name="number"\r\n\r\n0.5\r\n'
        b'--B\r\nContent-Disposition: form-data; name="yes"\r\n\r\nTrue\r\n--B--\r\n')
FLAT = {"text": "\u00e9", "number": 0.5, "yes": True}
PAYLOAD = {"values": [{"key": "text", "value": ["\u00e9"]}, {"key": "number", "value": ["0.5"]},
                      {"key": "yes", "value": ["true"]}],
           "files": [{"name": "image1", "filename": "a b.png", "contentType": "image/png",
                      "data": base64.b64encode(b"the bytes").decode()}]}


@pytest.mark.parametrize(("kind", "body", "query", "has_file"), [
    ("application/json", json.dumps(FLAT).encode(), "", False),
    ("application/x-www-form-urlencoded", b"text=%C3%A9&number=0.5&yes=on", "", False),
    (None, b"", "?text=%C3%A9&number=0.5&yes=1", False),
    ("multipart/form-data; boundary=B", FILE, "", True),
    ("application/json", json.dumps(PAYLOAD).encode(), "", True)],
    ids=["flat JSON", "urlencoded", "query", "multipart", "CodeProject's JSON"])
def test_values_reach_the_getters(made, kind, body, query, has_file):
    """In whatever form values and files come, the SDK's getters return them."""
    door, _ = made(VALUES)
    answer = door.post(door.path + query, body, kind=kind)
    assert [answer.get(key) for key in ("text", "number", "yes")] == ["\u00e9", 0.5, True]
    assert answer["command"] == "run"
    if has_file:
        assert answer["file"] == "the bytes"
        assert answer["files"] == [["image1", "a b.png", "image/png"]]


@pytest.mark.parametrize("payload", [
    {"values": [{"key": 5, "value": [1]}]}, {"values": [{"key": None, "value": []}]},
    {**PAYLOAD, "files": [{"name": 5, "data": "AAAA"}]}, {**PAYLOAD, "files": [5]},
    {**PAYLOAD, "files": 5}, {**PAYLOAD, "files": [{"name": "a", "data": 5}]}])
@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}])
def test_a_payload_that_is_wrong(made, payload, headers):
    """A payload whose names are no texts, or whose files are no files, is refused."""
    door, _ = made(VALUES)
    answer = door.post(door.path, json.dumps(payload).encode(), kind="application/json",
                       **headers)
    assert "are not as CodeProject.AI Server has them" in json.dumps(answer)


def test_values_that_are_no_payload(made):
    """A list called ``values`` whose items have no values is a parameter like any other."""
    door, _ = made(VALUES)
    body = json.dumps({"values": [{"key": 5}], "text": "a"}).encode()
    assert door.post(door.path, body, kind="application/json")["text"] == "a"


@pytest.mark.parametrize(("rest", "segments"), [
    ("", []), ("/", []), ("/a", ["a"]), ("/a/B", ["a", "B"]), ("/caf%C3%A9/x%20y", ["caf\u00e9",
                                                                                     "x y"]),
    ("/a%2Fb", ["a%2Fb"]), ("/a//b", ["a", "", "b"])])
@pytest.mark.parametrize("route", ["mod/run", "mod/deep/er", "run"])
def test_segments(made, route, rest, segments):
    """What follows a route in the path is in data.segments, decoded as CodeProject does."""
    settings = {"Modules": {"Mod": {"RouteMaps": [{"Route": route, "Command": "run"}]}}}
    door, _ = made(VALUES, settings)
    code, answer = door.ask("POST", f"/v1/{route}{rest}")
    assert (code, answer["segments"]) == (200, segments)


def test_routes_with_the_same_last_part(made):
    """``a/list`` and ``b/list`` are two routes, each with its command."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": "vision/face/list", "Command": "faces"},
        {"Route": "vision/custom/list", "Command": "models"}]}}}
    door, _ = made(HEAD + '''
class Two(ModuleRunner):
    def process(self, data):
        return {"x": data.command}
''', settings)
    assert door.post("/v1/vision/face/list")["x"] == "faces"
    assert door.post("/v1/vision/custom/list")["x"] == "models"


def test_names_that_are_ours(made):
    """A value may be called callback, request_data or more, in every way of starting."""
    door, _ = made(HEAD + '''
class Names(ModuleRunner):
    def process(self, data):
        return {"x": [data.get_value(name) for name in ("callback", "request_data", "more")]}
''')
    values = {"callback": "a", "request_data": "b", "more": "c"}
    assert door.post(body=values).get("x") == ["a", "b", "c"]
    code, answer = door.ask("POST", door.path, values, Prefer="wait=10")
    assert (code, answer["result"]) == (200, {"x": ["a", "b", "c"]})


@pytest.mark.parametrize("body", [
    {"values": 5}, {"values": ["x"]}, {"values": [{"key": "a"}]}, {"values": [{"value": ["x"]}]},
    {"values": [{"key": "a", "value": "x"}]}, {"values": [{"key": "a", "value": None}]},
    {"values": [], "files": [{"name": "f", "data": "?"}]}, {"values": [], "files": ["x"]},
    {"values": [{"key": ["a"], "value": ["x"]}]}, {"values": None, "files": None}, {"values": {}}],
    ids=str)
def test_what_only_looks_like_that_servers_json(made, body):
    """A body that only resembles CodeProject's is a value, or refused, and no error of ours."""
    door, _ = made(VALUES)
    assert door.ask("POST", door.path, body)[0] in (200, 400)


def test_a_list_that_is_called_values(write):
    """A function's own parameter ``values`` may be any list, the empty one too."""
    door = Door(load(write("def f(callback, values: list): return values\n")))
    for values in [1, 2], [], [{"key": 1}], [{"key": "a", "value": "xyz"}]:
        code, status = door.ask("POST", "/v1/an_adapter/f", {"values": values}, Prefer="wait=10")
        assert (code, status.get("result")) == (200, values)


def test_a_command_id_of_the_adapters_own(made):
    """An adapter's commandId cannot add a header to the answer."""
    door, _ = made(HEAD + '''
class Own(ModuleRunner):
    def process(self, data):
        return {"commandId": "x\\r\\nSet-Cookie: a=b \\u4e2d"}
''')
    request = door.api.read_head(
        f"POST {door.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).with_body(b"")
    (response,) = wait(door.api.answer(request))
    assert b"\r\nSet-Cookie" not in response.render().partition(b"\r\n\r\n")[0]


def test_status_by_the_functions_module(write):
    """The commands of a module answer under its id, and under the name in ``/v1``."""
    door = Door(load(write("def f(callback): return 1\n", {"Modules": {"Mod": {}}})))
    started = door.post("/v1/an_adapter/f")
    for root in "mod", "an_adapter":
        wait_until(lambda root=root: door.post(
            f"/v1/{root}/get_command_status?commandId={started['commandId']}")["result"] == 1)


@pytest.mark.parametrize(("body", "kind", "decoded"), [
    (FILE, "multipart/form-data; boundary=B", 0),
    (json.dumps(PAYLOAD).encode(), "application/json", 1)], ids=["multipart", "CodeProject's JSON"])
def test_an_upload_costs_no_base64(made, counted, body, kind, decoded):
    """An upload reaches a command as it came; a file in CodeProject's JSON is decoded once."""
    door, _ = made(HEAD + '''
class Long(ModuleRunner):
    def process(self, data):
        return self.long

    def long(self, data):
        return {"file": (data.get_file_bytes(0) or b"").decode()}
''')
    id = door.post(body=body, kind=kind)["commandId"]
    wait_until(lambda: not door.live)
    assert door.status(id)["file"] == "the bytes"
    assert counted() == (0, decoded)


def test_a_start_that_must_be_a_job(made):
    """With a preference there is a job, even if the adapter answers at once."""
    door, _ = made(VALUES)
    code, status = door.ask("POST", door.path + "?text=x", Prefer="wait=10")
    assert (code, status["state"], status["result"]["text"]) == (200, "completed", "x")
    code, status = door.ask("POST", door.path, Prefer="respond-async")
    assert code in (200, 202)  # it may have ended
    assert status["operation"] == "run"
    wait_until(lambda: not door.live)


def test_the_command_of_a_start(made):
    """A start is answered with the command of its route, whether it takes long or not."""
    settings = {"Modules": {"Mod": {"RouteMaps": [{"Route": "mod/go", "Command": "begin"}]}}}
    door, _ = made(HEAD + '''
class Both(ModuleRunner):
    def process(self, data):
        return {"x": 1} if data.get_value("quick") else lambda data: {"x": 1}
''', settings)
    for path in "/v1/mod/go", "/v1/mod/go?quick=1":
        assert door.post(path)["command"] == "begin"
        wait_until(lambda: not door.live)


def test_two_operations_of_one_route(write):
    """Two operations with the same path cannot be served together."""
    settings = {"Modules": {"Mod": {"RouteMaps": [{"Route": "mod/go", "Command": "f"},
                                                  {"Route": "Mod/GO", "Command": "g"}]}}}
    place = write("def f(callback): pass\ndef g(callback): pass\n", settings)
    with pytest.raises(ValueError, match="its route is taken"):
        Door(load(place))


def test_descriptions_name_the_page(made, tmp_path):
    """``/v1`` names the page of a module that has one."""
    door, _ = made(VALUES)
    assert "page" not in door.ask("GET", "/v1")[1]["operations"][0]
    (tmp_path / "explore.html").write_text("")
    assert door.ask("GET", "/v1")[1]["operations"][0]["page"] == (
        f"/{door.module.id}/explore.html")

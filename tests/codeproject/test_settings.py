"""`longop.codeproject.settings`: modulesettings.json, as CodeProject.AI Server reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from longop import TargetError
from longop.cli.target import load
from longop.codeproject.settings import read, read_identity

from ..serve.test_main import served
from ..waiting import WAIT
from .adapters import HEAD, Door

ROOT = Path(__file__).parent.parent.parent
TEXT = ('{"Modules": {"Mod": {"Name": "A module", "RouteMaps": [{"Route": "mod/run", '
        '"Command": "run"}]}}}')
ECHO = HEAD + '''
class Echo(ModuleRunner):
    def process(self, data):
        return {"x": [[one["key"], one["value"]] for one in data.value_list]}
'''


@pytest.fixture
def reads(tmp_path):
    """Return a function that reads a text, or bytes, as the file."""
    def reads(text):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "modulesettings.json").write_bytes(data)
        return read(str(tmp_path))

    return reads


@pytest.fixture
def door(write):
    """Return a function that serves an adapter whose route has some inputs."""
    def door(*inputs):
        settings = {"Modules": {"Mod": {"RouteMaps": [
            {"Route": "mod/run", "Command": "run", "Inputs": list(inputs)}]}}}
        return Door(load(write(ECHO, settings)))

    return door


# What is accepted


@pytest.mark.parametrize("text", [
    TEXT, "\ufeff" + TEXT,
    "// the settings\n" + TEXT, "/* the\nsettings */" + TEXT, "# the settings\n" + TEXT,
    TEXT.replace("{", "{ // why\n").replace("[", "[ /* , ] } */").replace("]", "# so\n]"),
    TEXT.replace("}", ",}").replace("]", ", ]"), TEXT.replace("}", ", // the last\n }"),
    TEXT.replace("}", ",/* , */}"), TEXT.replace("\n", "\r\n").replace("{", "{//\r\n"),
    TEXT.lower().replace('"mod"', '"Mod"').replace("a module", "A module"), TEXT.replace(
        "Name", "nAME").replace("RouteMaps", "ROUTEMAPS").replace("Command", "command")],
    ids=lambda text: ascii(text[:15]))
def test_what_that_server_reads(reads, text):
    """Comments of three kinds, trailing commas, a BOM and any case of the keys do no harm."""
    settings = reads(text)
    assert (settings.id, settings.name) == ("Mod", "A module")
    assert [(one.path, one.command) for one in settings.routes] == [("mod/run", "run")]


@pytest.mark.parametrize("name", ["http://x//y", "/* no comment */", "a # b", "x,}", "y, ]",
                                  ",]}//", 'say \\"//\\" , }', "back\\\\", "\\u002f/", "/*", "*/",
                                  "#"])
def test_texts_stay_as_they_are(reads, name):
    """What looks like a comment or a trailing comma within a text is text."""
    text = TEXT.replace("]}", "], /* x */}").replace("A module", name)
    assert reads(text).name == json.loads(f'"{name}"')


def test_no_file(tmp_path):
    """Without the file, a module is named after its folder."""
    folder = tmp_path / "TheModule"
    folder.mkdir()
    settings = read(str(folder))
    assert (settings.id, settings.name, settings.routes) == ("TheModule", "TheModule", [])


def test_first_module_counts(reads):
    """If the file has several modules, the first one counts."""
    assert reads('{"Modules": {"B": {"Name": "b"}, "A": {"Name": 5}}}').id == "B"


def test_what_is_left_out(reads):
    """Only the module's name in the file has to be there."""
    settings = reads('{"Modules": {"Mod": {"Name": null, "RouteMaps": null}}}')
    assert (settings.id, settings.name, settings.version, settings.routes) == ("Mod", "Mod", "", [])


def test_macros(reads, tmp_path):
    """%MODULE_ID% and %CURRENT_MODULE_PATH% are what they stand for."""
    settings = reads('''{"Modules": {"Mod": {"EnvironmentVariables": {
        "models_dir": "%CURRENT_MODULE_PATH%/models", "ID": "%MODULE_ID%", "N": 5, "B": true},
        "RouteMaps": [{"Route": "/x/%MODULE_ID%/run/", "Command": "%MODULE_ID%_run"}]}}}''')
    assert settings.environment == {"MODELS_DIR": f"{tmp_path}/models", "ID": "Mod", "N": "5",
                                    "B": "True"}
    assert (settings.routes[0].path, settings.routes[0].command) == ("x/Mod/run", "Mod_run")


def test_a_variable_that_is_null(reads):
    """A variable that is null is not set, rather than to ``None``."""
    assert reads('{"Modules": {"Mod": {"EnvironmentVariables": {"A": null}}}}').environment == {}


def test_identity(reads, tmp_path, monkeypatch):
    """The environment that CodeProject sets takes precedence over the file."""
    for name in "CPAI_MODULE_ID", "CPAI_MODULE_NAME":
        monkeypatch.delenv(name, raising=False)
    reads(TEXT)
    assert read_identity(str(tmp_path)) == ("Mod", "A module")
    monkeypatch.setenv("CPAI_MODULE_ID", "Other")
    assert read_identity(str(tmp_path)) == ("Other", "A module")
    monkeypatch.setenv("CPAI_MODULE_NAME", "Another")
    assert read_identity(str(tmp_path / "nowhere")) == ("Other", "Another")


# What is wrong


WRONG = {
    "empty": (b"", "line 1"), "no JSON": (b"{", "line 1"), "text": (b"hello", "line 1"),
    "bad line": (TEXT.encode().replace(b'"A module"', b'\n\n  A module'), "line 3 column 3"),
    "in a comment": (b"{ /* never ended", "line 1"), "no text": (b'{"Modules', "line 1"),
    "NaN": (b'{"Modules": {"Mod": {"Name": NaN}}}', "NaN"),
    "latin-1": (b'{"Modules": {"Mod": {"Name": "\xe9"}}}', "utf-8"),
    "utf-16": (TEXT.encode("utf-16"), "utf-8"), "deep": (b"[" * 100_000, "nested"),
    "list": (b"[]", "object"), "null": (b"null", "object"), "number": (b"5", "object"),
    "string": (b'"Modules"', "object"),
    "no Modules": (b"{}", "Modules is missing"), "Modules list": (b'{"Modules": []}', "Modules"),
    "no module": (b'{"Modules": {}}', "Modules has no module"),
    "module text": (b'{"Modules": {"Mod": "x"}}', "Modules.Mod must be an object"),
    "module null": (b'{"Modules": {"Mod": null}}', "Modules.Mod"),
    "no id": (b'{"Modules": {"": {}}}', "Modules"),
    "Name": (b'{"Modules": {"Mod": {"Name": 5}}}', "Modules.Mod.Name must be a text"),
    "RouteMaps": (b'{"Modules": {"Mod": {"RouteMaps": {}}}}', "Modules.Mod.RouteMaps must be"),
    "route": (b'{"Modules": {"Mod": {"RouteMaps": ["x"]}}}', "Modules.Mod.RouteMaps[0] must be"),
    "no Route": (b'{"Modules": {"Mod": {"RouteMaps": [{}]}}}', "RouteMaps[0].Route is missing"),
    "empty Route": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "/"}]}}}', "RouteMaps[0].Route"),
    "Command": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Command": []}]}}}',
                "RouteMaps[0].Command must be a text"),
    "Inputs": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Inputs": 5}]}}}',
               "RouteMaps[0].Inputs must be a list"),
    "input": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Inputs": [5]}]}}}',
              "RouteMaps[0].Inputs[0] must be an object"),
    "no input Name": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Inputs": [{}]}]}}}',
                      "RouteMaps[0].Inputs[0].Name is missing"),
    "input Type": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Inputs": [{"Name": "a", '
                   b'"Type": 5}]}]}}}', "RouteMaps[0].Inputs[0].Type must be a text"),
    "MinValue": (b'{"Modules": {"Mod": {"RouteMaps": [{"Route": "x", "Inputs": [{"Name": "a", '
                 b'"MinValue": "low"}]}]}}}', "RouteMaps[0].Inputs[0].MinValue must be a number"),
    "EnvironmentVariables": (b'{"Modules": {"Mod": {"EnvironmentVariables": []}}}',
                             "Modules.Mod.EnvironmentVariables must be an object"),
    "variable": (b'{"Modules": {"Mod": {"EnvironmentVariables": {"A": {"b": 1}}}}}',
                 "Modules.Mod.EnvironmentVariables.A"),
    "variable's name": (b'{"Modules": {"Mod": {"EnvironmentVariables": {"A=B": "1"}}}}', "A=B"),
    "line in a name": (b'{"Modules": {"M\\nod": {"Name": 5}}}', "od.Name must be a text"),
}


@pytest.mark.parametrize(("data", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(reads, tmp_path, data, said):
    """The error of an invalid file is one line that names the file and the place in it."""
    with pytest.raises(TargetError) as caught:
        reads(data)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'modulesettings.json'}: ")
    assert said in text
    assert len(text.splitlines()) == 1
    assert len(text) < 400


@pytest.mark.parametrize("kind", ["adapter", "function"])
@pytest.mark.parametrize("wrong", ["no JSON", "list", "no Modules", "latin-1", "input Type",
                                   "MinValue", "variable's name"])
def test_serve_says_what_is_wrong(write, tmp_path, kind, wrong):
    """`longop.serve` prints that line and exits with 2."""
    place = write(ECHO if kind == "adapter" else "def f(callback): pass\n")
    data, said = WRONG[wrong]
    (tmp_path / "modulesettings.json").write_bytes(data)
    with served(place) as (process, line, _):
        error = process.stderr.read() if not line else ""
    assert line == ""
    assert process.wait(WAIT) == 2
    assert error.startswith(f"longop.serve: {tmp_path / 'modulesettings.json'}: ")
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_module_says_what_is_wrong(write, tmp_path):
    """An adapter that is started by itself prints it too."""
    place = write(ECHO + '\nif __name__ == "__main__":\n    Echo().start_loop()\n')
    (tmp_path / "modulesettings.json").write_bytes(b"[")
    done = subprocess.run([sys.executable, place, "--selftest"], stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_two_routes_that_are_one(write, tmp_path):
    """If a file has a route twice, the last one counts, or the file is refused by its name."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": "mod/run", "Command": "a"}, {"Route": "Mod/RUN", "Command": "b"}]}}}
    with served(write(ECHO, settings)) as (process, line, _):
        error = process.stderr.read() if not line else ""
    assert line or "modulesettings.json" in error


# Inputs


@pytest.mark.parametrize(("kind", "schema", "good", "bad"), [
    ("Integer", {"type": "integer"}, ["5", 5, "-1"], ["x", "1.5", 1.5]),
    ("int", {"type": "integer"}, ["5"], ["x"]),
    ("Float", {"type": "number"}, ["0.5", 1, "2"], ["x", "nan"]),
    ("number", {"type": "number"}, ["0.5"], ["x"]), ("double", {"type": "number"}, ["1"], ["x"]),
    ("Boolean", {"type": "boolean"}, ["true", "no", True], ["maybe", 5]),
    ("bool", {"type": "boolean"}, ["on"], ["maybe"]),
    ("Text", {"type": "string"}, ["x", "", "5"], []), ("Object", {"type": "string"}, ["x"], []),
    ("File", {"type": "string", "contentEncoding": "base64"}, ["AAE="], ["?"])])
def test_types(door, kind, schema, good, bad):
    """Each type of input is in the schema, and a value of another type is refused."""
    one = door({"Name": "a", "Type": kind, "Description": "It is."})
    found = one.operations[0].signature.schema()["properties"]["a"]
    kinds = [part for part in found.get("anyOf", [found]) if part.get("type") != "null"]
    assert kinds == [schema]
    for value in good:
        assert one.ask("POST", "/v1/mod/run", {"a": value})[0] == 200
    for value in bad:
        code, answer = one.ask("POST", "/v1/mod/run", {"a": value})
        assert (code, answer["success"], [*answer["errors"]]) == (400, False, ["a"])


@pytest.mark.parametrize("name", ["a", "min_confidence", "min-confidence", "lambda", "class",
                                  "more", "callback", "request_data", "self", "image 1", "1"])
def test_names(door, name):
    """An input may have any name, and is checked whatever it is."""
    one = door({"Name": name, "Type": "Integer", "MinValue": 1})
    assert one.post("/v1/mod/run", {name: 5})["x"] == [[name, [5]]]
    for bad in "x", 0:
        code, answer = one.ask("POST", "/v1/mod/run", {name: bad})
        assert (code, [*answer["errors"]]) == (400, [name])


def test_an_input_twice(door):
    """An input that is listed twice does no harm."""
    one = door({"Name": "a", "Type": "Integer"}, {"Name": "a", "Type": "Integer"})
    assert one.post("/v1/mod/run", {"a": 5})["x"] == [["a", [5]]]


@pytest.mark.parametrize(("low", "high"), [(1, 10), (1.0, 10.0), ("1", "10"), ("1.0", "10.0")])
def test_bounds(door, low, high):
    """A value below MinValue or above MaxValue, whether number or text, is refused."""
    one = door({"Name": "a", "Type": "Float", "MinValue": low, "MaxValue": high})
    for value in 1, 10, "5.5":
        assert one.ask("POST", "/v1/mod/run", {"a": value})[0] == 200
    for value, said in ((0.9, "1"), ("11", "10")):
        code, answer = one.ask("POST", "/v1/mod/run", {"a": value})
        assert code == 400
        assert said in answer["errors"]["a"]


def test_bounds_with_prefer(door):
    """They hold however the command is started."""
    one = door({"Name": "a", "Type": "Integer", "MinValue": 1})
    assert one.ask("POST", "/v1/mod/run", {"a": 0}, Prefer="wait=10")[0] == 400


@pytest.mark.parametrize(("kind", "default"), [
    ("Integer", 5), ("Integer", "5"), ("Float", "0.4"), ("Boolean", "true"), ("Text", "x"),
    ("File", ""), ("Integer", "many"), ("Text", {"a": []})])
def test_defaults(door, kind, default):
    """A default is in the schema, even if it does not fit the type."""
    one = door({"Name": "a", "Type": kind, "DefaultValue": default})
    schema = one.operations[0].signature.schema()["properties"]["a"]
    assert schema["default"] == default
    assert one.ask("POST", "/v1/mod/run")[0] == 200


def test_what_is_no_input(door):
    """A value that the file does not name reaches the adapter as well."""
    assert door({"Name": "a"}).post("/v1/mod/run", {"b": "x"})["x"] == [["b", ["x"]]]


def test_no_inputs_given(door):
    """An input that was not given is not made up."""
    assert door({"Name": "a", "Type": "Integer"}).post("/v1/mod/run")["x"] == []


def test_documents_name_the_inputs(door):
    """The inputs, with their descriptions, are what ``/v1`` says of an operation."""
    one = door({"Name": "a", "Type": "Integer", "Description": "how many", "MinValue": 1,
                "MaxValue": 3})
    found = one.ask("GET", "/v1")[1]["operations"][0]["parameters"]["properties"]["a"]
    assert "integer" in json.dumps(found)

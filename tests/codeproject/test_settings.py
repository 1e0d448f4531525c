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
from ..windows import HOME
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
    assert settings.environment == {"MODELS_DIR": str(tmp_path / "models"), "ID": "Mod", "N": "5",
                                    "B": "True"}
    assert (settings.routes[0].path, settings.routes[0].command) == ("x/Mod/run", "Mod_run")


def variables(reads, text):
    """Return what becomes of a variable."""
    settings = {"Modules": {"Mod": {"EnvironmentVariables": {"A": text}}}}
    return reads(json.dumps(settings)).environment["A"]


def test_macros_of_folders(reads, tmp_path, monkeypatch):
    """The server's folders are where it says, or as they lie around the module's folder."""
    monkeypatch.delenv("CPAI_APPROOTPATH", raising=False)
    modules = tmp_path.parent
    assert variables(reads, "%MODULES_PATH%") == str(modules)
    assert variables(reads, "%ROOT_PATH%") == str(modules.parent)
    assert variables(reads, "%RUNTIMES_PATH%") == str(modules.parent / "runtimes")
    monkeypatch.setenv("CPAI_APPROOTPATH", "/app")
    assert variables(reads, "%RUNTIMES_PATH%") == str(Path("/app/runtimes"))


def test_a_folder_for_data(reads, monkeypatch, tmp_path):
    """%DATA_DIR% is a folder that is there, because modules open files in it at once."""
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda folder, mode: False)  # nor is the server's
    folder = variables(reads, "%DATA_DIR%")
    assert folder.startswith(str(tmp_path / "home"))
    assert os.path.isdir(folder)


@pytest.mark.parametrize(("platform", "machine", "text"), [
    ("linux", "x86_64", "linux linux"), ("linux", "aarch64", "linux linux-arm64"),
    ("darwin", "arm64", "macos macos-arm64"), ("win32", "AMD64", "windows windows")])
def test_macros_of_the_machine(reads, monkeypatch, platform, machine, text):
    """%OS% and %PLATFORM% name the system as that server does."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert variables(reads, "%OS% %PLATFORM%") == text


@pytest.mark.parametrize(("text", "value"), [
    ("@a/model", "a/model"), ("@%MODULE_ID%\\x", "%MODULE_ID%\\x"), ("@", ""),
    ("%CURRENT_MODULE_PATH%\\assets", "{folder}/assets"), ("a\\b/c", "a/b/c")])
def test_a_variable_is_a_path(reads, tmp_path, text, value):
    """Slashes become this system's, and @ keeps a text as it is."""
    value = value.format(folder=tmp_path)
    assert variables(reads, text) == (value if text.startswith("@") else str(Path(value)))


def test_a_variable_that_is_a_url(reads, monkeypatch):
    """The slashes of a URL stay as they are, on Windows too."""
    monkeypatch.setattr("longop.codeproject.settings.os.sep", "\\")
    assert variables(reads, "http://localhost:32168/v1/%MODULE_ID%") == (
        "http://localhost:32168/v1/Mod")
    assert variables(reads, "C:/models") == "C:\\models"


def test_what_else_becomes_a_variable(reads):
    """The other settings become the variables that CodeProject sets for a module."""
    text = '''{"Modules": {"Mod": {
        "LaunchSettings": {"FilePath": "layer\\\\face.py", "Queue": "%MODULE_ID%_q",
            "Parallelism": 3, "RequiredMb": "5000", "LogVerbosity": "Loud"},
        "GpuOptions": {"InstallGPU": false, "EnableGPU": true, "HalfPrecision": "force",
            "AcceleratorDeviceName": "cuda:1"},
        "EnvironmentVariables": {"CPAI_LOG_VERBOSITY": "Info"}}}}'''
    settings = reads(text)
    assert settings.entry == "layer/face.py"
    assert settings.environment == {
        "CPAI_MODULE_QUEUENAME": "Mod_q", "CPAI_MODULE_PARALLELISM": "3",
        "CPAI_MODULE_REQUIRED_MB": "5000", "CPAI_LOG_VERBOSITY": "Info",
        "CPAI_HALF_PRECISION": "force", "CPAI_ACCEL_DEVICE_NAME": "cuda:1",
        "CPAI_MODULE_ENABLE_GPU": "False"}


@pytest.mark.parametrize("number", ["0", "null", "-2", '"0"'])
def test_no_parallelism(reads, number):
    """A Parallelism of 0 means the default, as null does."""
    text = '{"Modules": {"Mod": {"LaunchSettings": {"Queue": null, "Parallelism": %s}}}}'
    assert reads(text % number).environment == {}


def test_settings_of_older_modules(reads):
    """Before there were LaunchSettings, their parts stood in the module itself."""
    settings = reads('{"Modules": {"Mod": {"FilePath": "a.py", "Parallelism": 2}}}')
    assert (settings.entry, settings.environment) == (
        "a.py", {"CPAI_MODULE_PARALLELISM": "2"})


def test_a_gpu_of_older_modules(reads):
    """Before there were GpuOptions, their parts stood in the module itself."""
    text = '{"Modules": {"Mod": {"HalfPrecision": "force", "AcceleratorDeviceName": "cuda:1", %s}}}'
    for key in "InstallGPU", "EnableGPU", "SupportGPU":
        assert reads(text % f'"{key}": false').environment == {
            "CPAI_HALF_PRECISION": "force", "CPAI_ACCEL_DEVICE_NAME": "cuda:1",
            "CPAI_MODULE_ENABLE_GPU": "False"}
        assert "CPAI_MODULE_ENABLE_GPU" not in reads(text % f'"{key}": true').environment


def test_a_category(reads):
    """It stands in PublishingInfo, or as it did before in the module itself."""
    for part in {"PublishingInfo": {"Category": "Sound"}}, {"Category": "Sound"}:
        assert reads(json.dumps({"Modules": {"Mod": part}})).category == "Sound"


def test_routes_of_older_modules(reads):
    """A Route was called Path."""
    text = '{"Modules": {"Mod": {"RouteMaps": [{"Path": "text/summary", "Command": "run"}]}}}'
    assert [(one.path, one.command) for one in reads(text).routes] == [("text/summary", "run")]
    both = text.replace('"Path"', '"Path": "old", "Route"')
    assert [one.path for one in reads(both).routes] == ["text/summary"]


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
    "Parallelism": (b'{"Modules": {"Mod": {"LaunchSettings": {"Parallelism": "many"}}}}',
                    "Modules.Mod.LaunchSettings.Parallelism must be a number, not 'many'"),
    "no number": (b'{"Modules": {"Mod": {"LaunchSettings": {"RequiredMb": "nan"}}}}',
                  "Modules.Mod.LaunchSettings.RequiredMb must be a number, not 'nan'"),
    "LaunchSettings": (b'{"Modules": {"Mod": {"LaunchSettings": []}}}',
                       "Modules.Mod.LaunchSettings must be an object"),
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


@pytest.mark.parametrize(("kind", "schema"), [
    ("Integer", {"type": "integer"}), ("int", {"type": "integer"}), ("Float", {"type": "number"}),
    ("number", {"type": "number"}), ("double", {"type": "number"}),
    ("Boolean", {"type": "boolean"}), ("bool", {"type": "boolean"}), ("Text", {"type": "string"}),
    ("Object", {"type": "string"}), ("File", {"type": "string", "contentEncoding": "base64"})])
def test_types(door, kind, schema):
    """Each type of input is in the schema, and a value of any type reaches the adapter."""
    one = door({"Name": "a", "Type": kind, "Description": "It is."})
    found = one.operations[0].signature.schema()["properties"]["a"]
    kinds = [part for part in found.get("anyOf", [found]) if part.get("type") != "null"]
    assert kinds == [schema]
    for value in "x", "1.5", "nan", "perhaps", 1.5, True, None, "?", {"b": [1]}:
        assert one.post("/v1/mod/run", {"a": value})["x"] == [["a", [value]]]


def test_nothing_is_checked(door):
    """Values are passed on as they came, as that server does, however the command is started."""
    one = door({"Name": "seed", "Type": "Integer"},
               {"Name": "width", "Type": "Integer", "MaxValue": 1024},
               {"Name": "num_steps", "Type": "Integer", "MinValue": 1, "MaxValue": 100})
    given = {"seed": None, "width": "512.0", "num_steps": 150}
    expected = [["seed", [None]], ["width", ["512.0"]], ["num_steps", [150]]]
    assert one.post("/v1/mod/run", given)["x"] == expected
    code, status = one.ask("POST", "/v1/mod/run", given, Prefer="wait=10")
    assert (code, status["result"]["x"]) == (200, expected)
    assert one.post("/v1/mod/run?seed=null&width=512.0&num_steps=150")["x"] == [
        ["seed", ["null"]], ["width", ["512.0"]], ["num_steps", ["150"]]]


def test_a_file_in_base64(door):
    """Base64 for an input that is a file becomes the file; any other text stays a value."""
    one = door({"Name": "image", "Type": "File"})
    for prefer in {}, {"Prefer": "wait=10"}:
        for text, values in ("AAE=", []), ("?", [["image", ["?"]]]), ("", [["image", [""]]]):
            answer = one.post("/v1/mod/run", {"image": text}, **prefer)
            assert answer.get("result", answer)["x"] == values


@pytest.mark.parametrize("name", ["a", "min_confidence", "min-confidence", "lambda", "class",
                                  "more", "callback", "request_data", "self", "image 1", "1"])
def test_names(door, name):
    """An input may have any name."""
    one = door({"Name": name, "Type": "Integer", "MinValue": 1})
    assert one.post("/v1/mod/run", {name: 5})["x"] == [[name, [5]]]


def test_an_input_twice(door):
    """An input that is listed twice does no harm."""
    one = door({"Name": "a", "Type": "Integer"}, {"Name": "a", "Type": "Integer"})
    assert one.post("/v1/mod/run", {"a": 5})["x"] == [["a", [5]]]


@pytest.mark.parametrize(("low", "high"), [(1, 10), (1.0, 10.0), ("1", "10"), ("1.0", "10.0")])
def test_bounds(door, low, high):
    """MinValue and MaxValue, whether number or text, are in the schema."""
    one = door({"Name": "a", "Type": "Float", "MinValue": low, "MaxValue": high})
    schema = one.operations[0].signature.schema()["properties"]["a"]
    assert (schema["minimum"], schema["maximum"]) == (1, 10)


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

"""`longop.codeproject.loader`: adapters, and functions with settings, as targets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from longop.cli.target import load

from ..serve.test_main import get, served
from ..waiting import WAIT, wait_until
from ..windows import NEWLINE
from .adapters import ANSWERS, HEAD, SETTINGS, Door

ROOT = Path(__file__).parents[2]

PLAIN = '''
def count(callback, to: int = 3):
    for i in range(to):
        callback(i)
'''
ANOTHER = '''
class Another(ModuleRunner):
    def process(self, data):
        return {"x": "another"}
'''


def test_a_plain_function_beside_it(write):
    """A file with an adapter stands for the adapter; its functions must be named."""
    place = write(ANSWERS + PLAIN)
    assert [one.name for one in load(place)] == ["run"]
    assert [one.name for one in load(place + ":count")] == ["count"]
    assert [one.name for one in load(place + ":Answers")] == ["run"]


def test_two_adapters_in_a_file(write):
    """If there are two adapters, the error says to name one."""
    place = write(ANSWERS + ANOTHER)
    for name in "Answers", "Another":
        assert type(load(f"{place}:{name}")[0].owner.runner).__name__ == name
    with served(place) as (process, line, _):
        assert line == ""
        said = process.stderr.read()
        assert process.wait(WAIT) == 2
        assert len(said.splitlines()) == 1
        assert "an_adapter.py:Answers" in said or "an_adapter.py:Another" in said


def test_a_named_adapter_is_served(write):
    """``adapter.py:ClassName`` loads that adapter, and does not begin the other one."""
    place = write(ANSWERS + ANOTHER + "    def initialise(self): raise ValueError\n")
    with served(place + ":Answers") as (_, _, url):
        start = get(url + "v1")["operations"][0]["start"]
        assert get(url + start[1:], b"how=dict")["x"] == 1


def test_an_adapter_with_two_names(write):
    """An adapter with two names in its file is served once."""
    place = write(ANSWERS + "Adapter = Answers\n")
    assert [one.name for one in load(place)] == ["run"]


def test_an_adapter_that_derives_from_one_beside_it(write):
    """A base class of another adapter in the file is not served itself."""
    place = write(HEAD + '''
class Base(ModuleRunner):
    def initialise(self):
        SEEN.append(type(self).__name__)

class Real(Base):
    def process(self, data):
        return {"x": 1}
''')
    assert [type(one.owner.runner).__name__ for one in load(place)] == ["Real"]
    assert sys.modules["an_adapter"].SEEN == ["Real"]


def test_an_adapter_of_another_file(write):
    """An adapter that a file imports can be named there."""
    write(ANSWERS)
    place = write("from an_adapter import Answers\n", name="main.py")
    assert [type(one.owner).__name__ for one in load(place + ":Answers")] == ["Adapter"]


@pytest.mark.parametrize("name", ["longop_adapter.py", "longopper.py"])
def test_an_adapter_whose_name_begins_like_ours(write, name, tmp_path):
    """The folder of an adapter is that of its file, even if its name begins like ours."""
    operations = load(write(ANSWERS, SETTINGS, name=name))
    assert operations[0].owner.runner.module_path == str(tmp_path)
    assert operations[0].owner.id == "PythonLongProcess"


def test_an_adapter_that_is_imported(write):
    """A file that imports an adapter, and defines none, stands for that adapter."""
    write(ANSWERS)
    place = write("from an_adapter import Answers\nfrom longop.codeproject import ModuleRunner\n",
                  name="main.py")
    assert [type(one.owner.runner).__name__ for one in load(place)] == ["Answers"]
    place = write("from an_adapter import Answers\n" + HEAD + ANOTHER, name="own.py")
    assert [type(one.owner.runner).__name__ for one in load(place)] == ["Another"]


FACE = {"Modules": {"Face": {
    "LaunchSettings": {"FilePath": "layer\\face.py"},
    "EnvironmentVariables": {"LONGOP_MODELS": "%CURRENT_MODULE_PATH%\\models"},
    "RouteMaps": [{"Route": "vision/face", "Command": "detect"}]}}}
IN_LAYER = HEAD + '''
import os
import shared
AT_IMPORT = os.getcwd(), os.environ.get("LONGOP_MODELS")
class Face(ModuleRunner):
    def process(self, data):
        return {"x": [AT_IMPORT, data.command, self.module_id, self.module_path]}
'''


@pytest.fixture
def in_layer(tmp_path, clean_imports):
    """Write a module whose adapter is in a folder below it; return the module's folder."""
    module = tmp_path / "FaceProcessing"
    (module / "layer").mkdir(parents=True)
    (module / "modulesettings.json").write_text(json.dumps(FACE))
    (module / "layer" / "face.py").write_text(IN_LAYER)
    (module / "layer" / "shared.py").write_text("")
    return module


def test_an_adapter_below_its_module(in_layer):
    """An adapter in a sub-folder of its module has the module's settings, and its folder."""
    (operation,) = load(str(in_layer / "layer" / "face.py"))
    found = Door([operation]).post("/v1/vision/face")["x"]
    folder = str(in_layer)
    assert found == [[folder, os.path.join(folder, "models")], "detect", "Face", folder]


def test_an_entry_that_imports_from_below(in_layer):
    """So it has if the file that is started only imports it."""
    (in_layer / "layer" / "__init__.py").write_text("")
    (in_layer / "layer" / "face.py").write_text(IN_LAYER.replace("import shared\n", ""))
    (in_layer / "main.py").write_text("from layer.face import Face\n")
    (operation,) = load(str(in_layer / "main.py"))
    assert Door([operation]).post("/v1/vision/face")["x"][1:] == ["detect", "Face", str(in_layer)]


def test_a_function_below_a_module(in_layer):
    """A plain function in a folder below a module is no part of it."""
    before = os.getcwd()
    (in_layer / "layer" / "work.py").write_text("def f(callback): pass\n")
    (operation,) = load(str(in_layer / "layer" / "work.py"))
    assert (operation.owner, os.getcwd(), os.environ.get("LONGOP_MODELS")) == (None, before, None)


# The working directory


WHERE = HEAD + '''
import os
SEEN.append(os.getcwd())
class Where(ModuleRunner):
    def __init__(self):
        super().__init__()
        SEEN.append(os.getcwd())
    def initialise(self):
        SEEN.append(os.getcwd())
    def process(self, data):
        SEEN.append(os.getcwd())
        return self.long
    def long(self, data):
        SEEN.append(os.getcwd())
        with open("models/small") as file:
            return {"x": file.read()}
'''


def test_the_working_directory(write, tmp_path, monkeypatch):
    """From its import on, an adapter works in its module's folder, where its models are."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small").write_text("the model")
    place = write(WHERE, {"Modules": {"Mod": {}}})
    monkeypatch.chdir("/")
    door = Door(load(place))
    id = door.post()["commandId"]
    wait_until(lambda: not door.live)
    assert door.status(id)["x"] == "the model"
    assert [str(tmp_path)] * 5 == sys.modules["an_adapter"].SEEN


def test_the_working_directory_without_settings(write, tmp_path, monkeypatch):
    """Without settings an adapter works in the folder of its file, once it has been imported."""
    place = write(WHERE)
    monkeypatch.chdir("/")
    root = os.getcwd()  # on Windows with its drive
    load(place)
    assert [root, str(tmp_path), str(tmp_path)] == sys.modules["an_adapter"].SEEN


def test_functions_work_where_they_are_started(write, monkeypatch):
    """Plain functions have the working directory of the command line."""
    place = write("def f(callback): pass\n")
    monkeypatch.chdir("/")
    root = os.getcwd()  # on Windows with its drive
    load(place)
    assert os.getcwd() == root


def test_paths_of_a_command_line(tmp_path):
    """A path on the command line is meant from where the command was given, after a module too."""
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "adapter.py").write_text(ANSWERS)
    (tmp_path / "module" / "modulesettings.json").write_text(json.dumps(SETTINGS))
    (tmp_path / "work.py").write_text(PLAIN)
    with served("module/adapter.py", "work.py", "--history", "jobs.sqlite3",
                cwd=str(tmp_path)) as (_, line, _):
        assert line.startswith("PythonLongProcess/long-process, work/count at ")
        wait_until(lambda: (tmp_path / "jobs.sqlite3").exists())


def test_files_of_a_command_line(tmp_path):
    """So is a file that is a parameter."""
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "adapter.py").write_text(HEAD + '''
class Reads(ModuleRunner):
    def process(self, data):
        return {"x": data.get_file_bytes(0).decode()}
''')
    (tmp_path / "module" / "modulesettings.json").write_text(json.dumps({"Modules": {"Mod": {
        "RouteMaps": [{"Route": "mod/read", "Inputs": [{"Name": "a", "Type": "File"}]}]}}}))
    (tmp_path / "text").write_text("the text")
    done = subprocess.run([sys.executable, "-m", "longop.run", "module/adapter.py", "a=@text"],
                          stdout=subprocess.PIPE, cwd=str(tmp_path), timeout=WAIT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (0, b'{"x":"the text"}' + NEWLINE)


def test_nothing_is_written_into_a_modules_folder(write, tmp_path):
    """A module's folder may be read-only: nothing is written there."""
    place = write(ANSWERS, SETTINGS)
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    door = Door(load(place))
    assert door.post(body={"how": "dict"})["x"] == 1
    door.module.close()
    assert before == {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}


# The environment


ENVIRONMENT = {"Modules": {"Mod": {"EnvironmentVariables": {"Longop_Model": "small"}}}}
READS = HEAD + '''
import os
AT_IMPORT = os.environ.get("LONGOP_MODEL")
class Reads(ModuleRunner):
    at_class = os.environ.get("LONGOP_MODEL")
    def __init__(self):
        super().__init__()
        self.at_init = os.environ.get("LONGOP_MODEL")
    def initialise(self):
        self.at_begin = os.environ.get("LONGOP_MODEL")
    def process(self, data):
        return {"x": [AT_IMPORT, self.at_class, self.at_init, self.at_begin]}
'''


def test_variables_are_there_before_the_adapter(write):
    """An adapter's variables are set before it is imported, as in CodeProject."""
    assert Door(load(write(READS, ENVIRONMENT))).post()["x"] == ["small"] * 4


def test_variables_of_the_outside_go_first(write, monkeypatch):
    """Variables that are set already are kept."""
    monkeypatch.setenv("LONGOP_MODEL", "large")
    assert Door(load(write(READS, ENVIRONMENT))).post()["x"] == ["large"] * 4


def test_variables_of_a_function(write):
    """A plain function has its variables as well."""
    place = write("import os\ndef f(callback):\n    return os.environ['LONGOP_MODEL']\n",
                  ENVIRONMENT)
    job = load(place)[0].start()
    assert job.result(WAIT) == "small"


# What is loaded

HEAVY = {"ssl", "http.client", "email", "argparse"}


def test_little_is_loaded():
    """Neither the adapter's names nor the loader load what only the queue needs."""
    script = ("import sys, longop.codeproject, longop.codeproject.loader;"
              f"print(*{HEAVY!r} & {{*sys.modules}})")
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True,
                          text=True, cwd=str(ROOT))
    assert done.stdout == "\n"


def test_little_is_loaded_by_a_server(write):
    """Under ``longop.serve`` an adapter loads none of them either, nor the queue."""
    place = write('''
import sys
from longop.codeproject import ModuleRunner

class Loaded(ModuleRunner):
    def process(self, data):
        return {"x": sorted(sys.modules)}
''')
    with served(place) as (_, _, url):
        start = get(url + "v1")["operations"][0]["start"]
        loaded = set(get(url + start[1:], b"a=1")["x"])
    assert "longop.codeproject.adapter" in loaded
    assert not loaded & (HEAVY - {"argparse"})
    assert not loaded & {"longop.codeproject.__main__", "longop.codeproject.queue",
                         "longop.codeproject.scaffold"}


def test_functions_become_the_modules_own(write):
    """Functions with settings beside them become a module's own; others stay as they are."""
    place = write("import longop\n@longop.LongOperation\ndef f(callback): pass\n")
    (operation,) = load(place)
    assert operation.owner is None
    assert operation is sys.modules["an_adapter"].f
    del sys.modules["an_adapter"]
    place = write("def f(callback): pass\ndef g(callback): pass\n", {"Modules": {"Mod": {}}})
    owners = {operation.owner for operation in load(place)}
    assert [owner.id for owner in owners] == ["Mod"]

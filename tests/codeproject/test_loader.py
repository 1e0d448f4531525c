"""`longop.codeproject.loader`: adapters, and functions with settings, as targets."""

import subprocess
import sys
from pathlib import Path

import pytest

from longop.cli.target import load

from ..serve.test_main import get, served
from ..waiting import WAIT
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

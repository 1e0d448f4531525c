"""`longop.codeproject.scaffold`: the folder of a module of CodeProject.AI Server."""

import functools
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from longop.codeproject import scaffold
from longop.codeproject.settings import read

from ..serve.test_main import get, served
from ..waiting import WAIT, wait_until

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "PythonLongProcess"
COUNT = '''
from typing import Optional
def count(callback, to: int = 3, rate: float = 0.5, loud: bool = False, quiet: bool = True,
          word: str = "x", image: bytes = b"", one: Optional[int] = None, plain=None):
    """Count, and say so.

    At length.
    """
    for i in range(to):
        callback(f"{word} {i}", i + 1, to)
    return [to, rate, loud, quiet, word, len(image), one, plain]
'''
SHORT = "def f(callback):\n    callback(1)\n"


def new(tmp_path, folder, target, path=ROOT, **environment):
    """Run the command; return its exit code and what it printed."""
    env = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1",
           "PYTHONIOENCODING": "utf-8", **environment}
    done = subprocess.run([sys.executable, "-m", "longop.codeproject", "new", str(folder), target],
                          cwd=str(tmp_path), env=env, capture_output=True, text=True,
                          encoding="utf-8")
    return done.returncode, done.stdout, done.stderr


def made(place, source, name="count", folder="Counter"):
    """Make a module of some source in a place; return the module's folder."""
    (place / "counting.py").write_text(source, encoding="utf-8")
    code, said, wrong = new(place, folder, f"counting.py:{name}")
    assert (code, wrong) == (0, "")
    assert str(place / folder) in said
    return place / folder


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a module of some source, and returns the module's folder."""
    return functools.partial(made, tmp_path)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """The folder of a module of `COUNT`, made once: it is only read."""
    return made(tmp_path_factory.mktemp("counter"), COUNT)


def refused(tmp_path, folder, target, path=ROOT):
    """Return what is said of something that cannot be done, which is one line."""
    code, said, wrong = new(tmp_path, folder, target, path)
    assert (code, said) == (2, ""), (said, wrong)
    assert len(wrong.splitlines()) == 1, wrong
    assert wrong.startswith("longop.codeproject: ")
    return wrong


def files(folder):
    """Return what is in a folder, but for longop and what Python leaves behind."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not {"longop", "__pycache__"} & {*path.parts[len(
                folder.parts):]}}


# What is written


def test_the_example_is_what_is_written(tmp_path):
    """examples/PythonLongProcess is what is written for its own function."""
    shutil.copy(EXAMPLE / "long_process.py", tmp_path)
    code, _, wrong = new(tmp_path, "PythonLongProcess", "long_process.py")
    assert (code, wrong) == (0, "")
    assert files(tmp_path / "PythonLongProcess") == files(EXAMPLE)


@pytest.mark.parametrize(("system", "adapter", "command"), [
    ("posix", "My Folder/count_adapter.py", "python3 -m longop.serve 'My Folder/count_adapter.py'"),
    ("posix", "Counter/count_adapter.py", "python3 -m longop.serve Counter/count_adapter.py"),
    ("nt", r"C:\My Folder\count_adapter.py",
     r'python -m longop.serve "C:\My Folder\count_adapter.py"'),
    ("nt", r"C:\R&D\count_adapter.py", r'python -m longop.serve "C:\R&D\count_adapter.py"'),
    ("nt", r"Counter\count_adapter.py", r"python -m longop.serve Counter\count_adapter.py")])
def test_the_hint_is_for_the_shell_of_the_system(monkeypatch, system, adapter, command):
    """The command to try it with is quoted as the shell there needs it."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", system)
        said = scaffold._command(adapter)
    assert said == command


def test_all_of_longop_is_in_it(counter):
    """The module contains all of longop, without compiled files."""

    def names(place):
        return {str(path.relative_to(place)) for path in place.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts}

    assert names(counter / "longop") == names(ROOT / "longop")
    assert not list(counter.rglob("longop/**/__pycache__"))
    for script in "install", "package":
        assert b"\r\n" in (counter / f"{script}.bat").read_bytes()
        assert b"\r" not in (counter / f"{script}.sh").read_bytes()
    assert (counter / "counting.py").read_text() == COUNT


def test_settings_have_what_that_server_needs(counter):
    """The settings have all that CodeProject requires, and our reader accepts them."""
    settings = json.loads((counter / "modulesettings.json").read_text())["Modules"]["Counter"]
    assert settings["Name"] == "Count"
    assert settings["PublishingInfo"]["Category"]
    assert settings["PublishingInfo"]["Description"] == "Count, and say so."
    launch, install = settings["LaunchSettings"], settings["InstallOptions"]
    assert launch["FilePath"] == "count_adapter.py"
    assert (counter / launch["FilePath"]).is_file()
    # A Runtime, because a Windows server has no command python3.
    assert "Command" not in launch
    assert (launch["Runtime"], launch["RuntimeLocation"]) == ("python3.9", "Shared")
    assert install["Platforms"] == ["all"]
    (release,) = install["ModuleReleases"]
    assert release["ModuleVersion"] == settings["Version"]
    assert len(release["ServerVersionRange"]) == 2
    assert isinstance(settings["GpuOptions"], dict)
    (route,) = settings["RouteMaps"]
    assert (route["Route"], route["Method"], route["Command"]) == ("counter/count", "POST", "count")
    assert not route["Route"].startswith(("/", "v1/"))
    assert [(one.path, one.command) for one in read(str(counter)).routes] == [
        ("counter/count", "count")]


def test_parameters_are_inputs(counter):
    """The function's parameters are the route's inputs, with types and defaults."""
    inputs = json.loads((counter / "modulesettings.json").read_text())[
        "Modules"]["Counter"]["RouteMaps"][0]["Inputs"]
    assert [(one["Name"], one["Type"], one.get("DefaultValue")) for one in inputs] == [
        ("to", "Integer", 3), ("rate", "Float", 0.5), ("loud", "Boolean", False),
        ("quiet", "Boolean", True), ("word", "Text", "x"), ("image", "File", None),
        ("one", "Integer", None), ("plain", "Text", None)]


OPTIONS = """
import longop
STOPPED = []
def stop(): STOPPED.append(1)
def grind(callback, to: int = 3):
    'Grind.'
    for i in range(to):
        callback(i)
job = longop.LongOperation(grind, name="mill", cancel=stop, grace=.5, timeout=9, limit=2,
                           report=longop.done_total)
other = longop.LongOperation(grind, name="other")
operation = job.replace(name="whole")
"""


def adapter_of(folder):
    """Return the lines of a module's adapter that make its operation."""
    (file,) = folder.glob("*_adapter.py")
    return file.read_text().partition("import sys\n\n")[2].partition("\n\nif ")[0]


@pytest.mark.parametrize(("target", "line"), [
    ("mill.py:job", "from mill import job as operation"),
    ("mill:job", "from mill import job as operation"),
    ("mill.py:operation", "from mill import operation"),
    ("mill.py:other", "from mill import other as operation")])
def test_an_operation_keeps_its_options(tmp_path, target, line):
    """An operation is imported as it is, by the name in the target, with all its options."""
    (tmp_path / "mill.py").write_text(OPTIONS)
    code, _, wrong = new(tmp_path, "Mill", target, f"{ROOT}{os.pathsep}{tmp_path}")
    assert (code, wrong) == (0, "")
    assert adapter_of(tmp_path / "Mill") == line
    script = ("from longop.cli.target import load; import glob;"
              "(one,) = load(glob.glob('*_adapter.py')[0]);"
              "print(one.name, one.companion, {k: one._options[k] for k in "
              "('grace', 'timeout', 'limit', 'report')})")
    done = subprocess.run([sys.executable, "-c", script], cwd=str(tmp_path / "Mill"), text=True,
                          stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONPATH": ""})
    if target == "mill.py:job":
        assert re.match(r"mill <function stop.*'grace': 0.5, 'timeout': 9, 'limit': 2, 'report': "
                        "<function done_total", done.stdout)


@pytest.mark.parametrize(("source", "name", "lines"), [
    ("def f(callback): pass\ndef cancel_f(): pass\n", "f",
     "import longop\nfrom counting import f, cancel_f\n\n"
     "operation = longop.LongOperation(f, cancel=cancel_f)"),
    ("import longop\n@longop.long_operation(limit=2)\ndef f(callback): pass\n"
     "def cancel_f(): pass\n", "f",
     "from counting import f, cancel_f\n\noperation = f.replace(cancel=cancel_f)"),
    (SHORT, "f", "import longop\nfrom counting import f\n\noperation = longop.LongOperation(f)"),
    ("import functools, longop\ndef g(callback, n): pass\n"
     "f = longop.LongOperation(functools.partial(g, n=1))\n", "f",
     "from counting import f as operation")])
def test_the_companion_comes_along(make, source, name, lines):
    """A companion that is found beside the function is its companion in the module too."""
    assert adapter_of(make(source, name)) == lines


def test_an_operation_of_a_function_elsewhere(tmp_path):
    """An operation whose function stands in another file is refused, and the error names that."""
    (tmp_path / "work.py").write_text(SHORT)
    (tmp_path / "ops.py").write_text("import longop\nfrom work import f\n"
                                     "job = longop.LongOperation(f)\n")
    assert "No module named 'work'" in refused(tmp_path, "Mod", "ops.py:job")


class Fields(html.parser.HTMLParser):
    """Collects the fields of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "input" and "data-input" in attributes:
            self.found[attributes.pop("data-input")] = attributes

    def handle_data(self, data):
        self.text += data


def test_parameters_are_fields(counter):
    """The function's parameters are fields of the page."""
    found = Fields((counter / "explore.html").read_text()).found
    assert {name: (one["type"], one.get("value"), "checked" in one)
            for name, one in found.items()} == {
        "_MID_to": ("number", "3", False), "_MID_rate": ("number", "0.5", False),
        "_MID_loud": ("checkbox", None, False), "_MID_quiet": ("checkbox", None, True),
        "_MID_word": ("text", "x", False), "_MID_image": ("file", None, False),
        "_MID_one": ("number", None, False), "_MID_plain": ("text", None, False)}


def test_fields_are_laid_out_as_the_servers_own(counter):
    """Each field is in a row, named by a label; the buttons look like buttons in Bootstrap."""
    page = (counter / "explore.html").read_text()
    found = Fields(page).found
    assert page.count('<div class="row mb-2">') == len(found)
    for name, one in found.items():
        is_box = one["type"] == "checkbox"
        assert one["class"] == ("form-check-input" if is_box else "form-control")
        assert one["id"] == f"_MID_in_{name[5:]}"
        assert re.search(f'<label class="[^"]*" for="{one["id"]}">{name[5:]}</label>', page)
        assert ("step" in one) == (name == "_MID_rate")
    assert re.findall(r'<input id="_MID_(\w+)" class="btn (btn-\w+)', page) == [
        ("start", "btn-success"), ("cancel", "btn-danger")]


def test_a_default_of_nought_is_shown(make):
    """A field shows a default of 0, but not one of False."""
    found = Fields((make("def f(callback, to: int = 0, loud: bool = False): pass\n", "f")
                    / "explore.html").read_text()).found
    assert found["_MID_to"]["value"] == "0"
    assert "value" not in found["_MID_loud"]


def test_default_that_is_no_text(make):
    """A field shows a default as the text that is taken for it again."""
    source = """
from dataclasses import dataclass
from datetime import date, timedelta
@dataclass
class Point:
    x: int = 1
def f(callback, where=Point(), day=date(2026, 11, 28), pause=timedelta(hours=1.5), many=["a"]):
    pass
"""
    folder = make(source, "f")
    found = Fields((folder / "explore.html").read_text()).found
    assert [one["value"] for one in found.values()] == [
        '{"x":1}', "2026-11-28", "PT1H30M", '["a"]']
    [route] = read(str(folder)).routes
    assert route.inputs.by_name["where"].default == {"x": 1}


def test_no_word_is_left(counter):
    """No placeholder of a template is left."""
    for name, data in files(counter).items():
        assert b"{{" not in data, name


def test_it_runs_anywhere(counter, tmp_path):
    """A copy of the folder runs without longop on the path."""
    elsewhere = tmp_path / "a b" / "else"
    shutil.copytree(counter, elsewhere)
    done = subprocess.run([sys.executable, str(elsewhere / "count_adapter.py"), "--selftest"],
                          cwd="/", stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": ""})
    assert (done.returncode, done.stderr) == (0, "")
    with served("count_adapter.py", cwd=elsewhere, PYTHONPATH="") as (_, line, url):
        assert line.startswith("counting/count at")
        id = get(url + "v1/counter/count?to=2&image=AAA%3D", b"")["commandId"]
        done = wait_until(lambda: get(f"{url}v1/counter/get_command_status?commandId={id}")
                          .get("stop_reason") and get(f"{url}v1/jobs/{id}"))
        assert done["result"] == [2, 0.5, False, True, "x", 2, None, None]
        assert b"counter" in _page(url + "Counter/explore.html")


def _page(url):
    import urllib.request

    with urllib.request.urlopen(url, timeout=WAIT) as response:
        return response.read()


@pytest.mark.parametrize("decorated", [
    "import longop\n@longop.LongOperation\ndef f(callback): callback(1)\n",
    "import longop\n@longop.long_operation(name='g', limit=2)\ndef f(callback): callback(1)\n",
    "import functools\ndef d(f):\n    @functools.wraps(f)\n    def g(callback): f(callback)\n"
    "    return g\n@d\ndef f(callback): callback(1)\n",
    "import longop\ndef f(callback): callback(1)\nf.__doc__ = None\n",
    "def f(callback):\n    yield 1\n", "async def f(callback): callback(1)\n"])
def test_functions_of_every_kind(make, decorated):
    """An operation, a decorated function, a generator or a coroutine function will do."""
    folder = make(decorated, "f")
    assert list(folder.glob("*_adapter.py"))


HOSTILE = '''
def f(callback, word: str = "<b>\\"'&</b>", other: str = "{{id}}"):
    """Say \\"hello\\", 'there' <script>alert(1)</script> \\\\ & {{inputs}} {{name}} {{fields}}."""
'''


def test_what_is_in_a_docstring_is_text(make):
    """Quotes, markup and placeholders in a docstring or a default are text."""
    folder = make(HOSTILE, "f")
    settings = read(str(folder))
    (route,) = settings.routes
    said = ("Say \"hello\", 'there' <script>alert(1)</script> \\ & {{inputs}} {{name}} {{fields}}.")
    assert route.description == said
    fields = route.inputs.schema()["properties"].values()
    assert [one["default"] for one in fields] == ["<b>\"'&</b>", "{{id}}"]
    page = Fields((folder / "explore.html").read_text())
    assert page.found["_MID_word"]["value"] == "<b>\"'&</b>"
    assert page.found["_MID_other"]["value"] == "{{id}}"
    assert "alert(1)" not in (folder / "explore.html").read_text()


@pytest.mark.parametrize("name", ["say it", "a/b", "../up", "<b>x</b>", "it's", 'a"b', "\u00e9",
                                  "a\\b", "{{id}}"])
def test_an_operation_of_any_name(tmp_path, name):
    """An operation with an odd name makes a module that works, or is refused."""
    (tmp_path / "odd.py").write_text(f"import longop\n@longop.long_operation(name={name!r})\n"
                                     "def f(callback):\n    callback(1)\n", encoding="utf-8")
    code, _, wrong = new(tmp_path, "Mod", "odd.py")
    if code:
        assert code == 2
        assert len(wrong.splitlines()) == 1
        assert not (tmp_path / "Mod").exists()
        return
    folder = tmp_path / "Mod"
    assert not [path for path in tmp_path.iterdir() if path.name not in ("odd.py", "Mod",
                                                                        "__pycache__")]
    settings = json.loads((folder / "modulesettings.json").read_text(encoding="utf-8"))
    (route,) = settings["Modules"]["Mod"]["RouteMaps"]
    assert re.fullmatch("mod/[^/]+", route["Route"])
    page = (folder / "explore.html").read_text(encoding="utf-8")
    assert "<b>x</b>" not in page.lower()
    (address,) = re.findall(r'fetch\("([^\n]*)", \{ method', page)
    assert json.loads(f'"{address}"') == f"../v1/{route['Route']}"


# What cannot be done


def test_a_folder_that_is_not_empty(tmp_path):
    """A folder that is not empty is left alone; an empty one is used."""
    (tmp_path / "f.py").write_text(SHORT)
    (tmp_path / "Mod").mkdir()
    (tmp_path / "Mod" / "mine").write_text("x")
    assert "not empty" in refused(tmp_path, "Mod", "f.py")
    assert [path.name for path in (tmp_path / "Mod").iterdir()] == ["mine"]
    (tmp_path / "Mod" / "mine").unlink()
    assert new(tmp_path, "Mod", "f.py")[0] == 0


def test_a_folder_that_is_a_file(tmp_path):
    """A file with the folder's name is left alone."""
    (tmp_path / "f.py").write_text(SHORT)
    (tmp_path / "Mod").write_text("x")
    assert "Mod exists, and is not a folder" in refused(tmp_path, "Mod", "f.py")
    assert (tmp_path / "Mod").read_text() == "x"


@pytest.mark.parametrize("folder", ["./---", "\u00e9\u00e9", "_"])
def test_a_folder_without_a_name(tmp_path, folder):
    """A folder whose name makes no id is refused, and not created."""
    (tmp_path / "f.py").write_text(SHORT)
    refused(tmp_path, folder, "f.py")
    assert not [path for path in tmp_path.iterdir() if path.name not in ("f.py", "__pycache__")]


@pytest.mark.parametrize("folder", ["3DModel", "123"])
def test_a_folder_whose_name_begins_with_a_digit(tmp_path, folder):
    """The names in the page's script are names of JavaScript, or the folder is refused."""
    (tmp_path / "f.py").write_text(SHORT)
    code, _, _ = new(tmp_path, folder, "f.py")
    if code == 0:
        page = (tmp_path / folder / "explore.html").read_text()
        id = re.sub("[^A-Za-z0-9]", "", folder)
        assert not re.search(r"let \d", page.replace("_MID_", f"{id}_"))


@pytest.mark.parametrize(("source", "target", "said"), [
    (SHORT + "def g(callback): pass\n", "f.py", "f.py:f"),
    ("f = lambda callback: callback(1)\n", "f.py:f", "f.py"),
    ("x = 5\n", "f.py:x", "not a function"), ("x = 5\n", "f.py", "f.py"),
    ("x = 5\n", "f.py:nothing", "nothing"), ("import math\n", "math:sqrt", "sqrt"),
    ("import math\nf = math.sqrt\n", "f.py:f", "sqrt"),
    ("class C:\n    def __call__(self, callback): pass\nf = C()\n", "f.py:f", "f.py"),
    ("class C:\n    @staticmethod\n    def f(callback): pass\n", "f.py:C.f", "f.py"),
    ("import functools\ndef g(callback, n): pass\nf = functools.partial(g, n=1)\n", "f.py:f",
     "f.py"),
    ("def make():\n    def inner(callback): pass\n    return inner\nf = make()\n", "f.py:f",
     "f.py"),
    ("exec('def f(callback): pass')\n", "f.py:f", "f.py"),
    ("def f(callback:\n", "f.py", "SyntaxError"), ("raise ValueError('no')\n", "f.py", "no"),
    ("from longop.codeproject import ModuleRunner\nclass A(ModuleRunner):\n"
     "    def process(self, data): pass\n", "f.py", "adapter"),
    (SHORT, "nothing.py", "nothing.py"), (SHORT, "no.such.module:f", "no.such.module")],
    ids=["several", "lambda", "no function", "none", "unknown", "builtin", "renamed builtin",
         "instance", "method", "partial", "inner", "exec", "syntax", "raises", "adapter", "no file",
         "no module"])
def test_targets_that_will_not_do(tmp_path, source, target, said):
    """A target that cannot become a module is refused on one line; nothing is written."""
    (tmp_path / "f.py").write_text(source)
    assert said in refused(tmp_path, "Mod", target)
    assert not (tmp_path / "Mod").exists()


@pytest.mark.parametrize("body", ["from .other import x", "from pkg.other import x",
                                  "import other"])
def test_a_function_that_needs_what_is_beside_it(tmp_path, body):
    """A function that imports a file beside its own is refused, and the error names the file."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    for folder in tmp_path, tmp_path / "pkg":
        (folder / "other.py").write_text("x = 1\n")
    (tmp_path / "pkg" / "mod.py").write_text(f"{body}\n{SHORT}")
    said = refused(tmp_path, "Mod", "pkg.mod:f")
    assert "Error" in said
    assert "['" not in said
    code, _, again = new(tmp_path, "Mod", "pkg.mod:f")
    assert (code, "not empty" in again) == (2, False)  # nothing is left that is in the way


@pytest.mark.parametrize("name", ["f_adapter.py", "longop.py", "my-file.py", "class.py"])
def test_a_file_whose_name_is_in_the_way(tmp_path, name):
    """A file whose name cannot be imported, or is the adapter's, is refused."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / name).write_text(SHORT)
    assert Path(name).stem in refused(tmp_path, "Mod", f"src/{name}:f")
    assert (tmp_path / "src" / name).read_text() == SHORT


def test_longop_in_a_zip(tmp_path):
    """If longop is in a zip, the module is written, or the error says why not."""
    archive = tmp_path / "longop.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (ROOT / "longop").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                zipped.write(path, str(path.relative_to(ROOT)))
    (tmp_path / "f.py").write_text(SHORT)
    code, _, wrong = new(tmp_path, "Mod", "f.py", archive)
    if code:
        assert (code, len(wrong.splitlines())) == (2, 1)
        assert "zip" in wrong
        assert "Errno" not in wrong
        assert not (tmp_path / "Mod").exists()
    else:
        assert (tmp_path / "Mod" / "longop" / "__init__.py").is_file()


@pytest.mark.parametrize("arguments", [["new"], ["new", "Mod"], ["new", "Mod", "f.py", "more"]])
def test_arguments(tmp_path, arguments):
    """Too few or too many arguments print the usage."""
    done = subprocess.run([sys.executable, "-m", "longop.codeproject", *arguments],
                          cwd=str(tmp_path), stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert "usage: python -m longop.codeproject new" in done.stderr

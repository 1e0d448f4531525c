"""`longop.cli.target`: a target on a command line, and the operations that are found there."""

import importlib
import ntpath
import os
import re
import sys
import threading

import pytest

from longop import State, TargetError
from longop.cli.target import _spelled, load, split

from ..windows import LINKS

from ..pythons import has_c_signatures

WAIT = 10  # seconds after which a test has failed; nothing waits for so long


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch):
    """Leave sys.path and sys.modules as they were."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file of some lines, and returns its path."""
    def write(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        importlib.invalidate_caches()
        return str(path)

    return write


def companions(place):
    """Return the names of the companions of the operations there, by the operations' names."""
    return {operation.name: getattr(operation.companion, "__name__", None)
            for operation in load(place)}


def names(place):
    return [operation.name for operation in load(place)]


def error(place):
    """Return what is wrong with a target, which is said on one line."""
    with pytest.raises(TargetError) as caught:
        load(place)
    text = str(caught.value)
    assert text == text.strip() != ""
    assert len(text.splitlines()) == 1
    return text


REPORTING = ("def paint(callback):", "    return 'painted'")


# What is found


def test_module():
    """The example's function is found, and its companion; module:name is just that function."""
    found = load("examples.long_process")
    assert [operation.name for operation in found] == ["a_long_process"]
    assert found[0].module == "long_process"
    assert found[0].signature.callback == "callback"
    assert found[0].companion.__name__ == "cancel_process"
    found = load("examples.long_process:a_long_process")
    assert [operation.name for operation in found] == ["a_long_process"]
    assert found[0].function is sys.modules["examples.long_process"].a_long_process


def test_file(write):
    """A file is found by its path, and what it defines, with what is beside it, is run."""
    write("longop_beside.py", "COLOUR = 'red'")
    path = write("longop_file.py", "from longop_beside import COLOUR", "def paint(callback):",
                 "    return COLOUR", "def cancel():", "    pass")
    found = load(path)
    assert [operation.name for operation in found] == ["paint"]
    assert found[0].module == "longop_file"
    assert found[0].start().result(WAIT) == "red"
    assert found[0].companion.__name__ == "cancel"


def test_name_in_a_file(write):
    """path:name is that function, also a partial or one that nothing says is an operation."""
    path = write("longop_named.py", *REPORTING, "def count(n: int, m: int):", "    return n + m",
                 "class Shop:", "    @staticmethod", "    def sell(callback):", "        pass",
                 "import functools", "add_three = functools.partial(count, 3, m=4)")
    for name in ("paint", "count", "Shop.sell"):
        assert names(f"{path}:{name}") == [name.rpartition(".")[2]]
    assert load(path + ":add_three")[0].start().result(WAIT) == 7


def test_method_of_an_object(write):
    """path:object.method is the operation, bound to the object."""
    path = write("longop_method.py", "import longop", "class Shop:", "    @longop.long_operation",
                 "    def sell(self, n: int, callback):", "        return self, n",
                 "shop = Shop()")
    [operation] = load(f"{path}:shop.sell")
    shop = sys.modules["longop_method"].shop
    assert operation.start(n=1).result(WAIT) == (shop, 1)


@pytest.mark.parametrize("file", [
    "longop_here.py", "./longop_here.py", "longop-my script.py",
    pytest.param("a:b/longop_colon.py", marks=pytest.mark.skipif(
        os.name == "nt", reason="no such name on Windows"))])
def test_relative_path(write, monkeypatch, tmp_path, file):
    """A path is relative to the current folder; its name may have spaces and colons in it."""
    write(file, *REPORTING)
    monkeypatch.chdir(tmp_path)
    assert names(file) == names(file + ":paint") == ["paint"]


@pytest.mark.parametrize(("target", "place", "name"), [
    (r"C:\work.py", r"C:\work.py", ""), ("Z:work.py", "Z:work.py", ""),
    ("Z:WORK.PY", "Z:WORK.PY", ""), (r"Z:folder\work.py:steps", r"Z:folder\work.py", "steps"),
    ("Z:work.py:steps", "Z:work.py", "steps"), ("m:steps", "m", "steps"), ("m", "m", ""),
    ("m:shop.sell", "m", "shop.sell"), ("package.module:steps", "package.module", "steps")])
def test_drive(monkeypatch, target, place, name):
    """On Windows a path may begin with a drive, and a module may have a single letter."""
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)
    assert split(target) == (place, name)


def test_other_case(write):
    """Where the system finds a file by its name in another case, so does a TARGET."""
    path = write("longop_case.py", *REPORTING)
    other = path.replace("longop_case.py", "LONGOP_CASE.PY")
    if os.name != "nt" or not os.path.exists(other):
        pytest.skip("the file system tells upper from lower case")
    assert names(other) == names(f"{other}:paint") == ["paint"]


def test_spelling(tmp_path):
    """A name is taken as its folder spells it, and as it was given where that is there."""
    (tmp_path / "Work.py").touch()
    assert _spelled(str(tmp_path), "WORK.PY") == "Work.py"
    assert _spelled(str(tmp_path), "other.py") == "other.py"
    (tmp_path / "WORK.PY").touch()
    assert _spelled(str(tmp_path), "Work.py") == "Work.py"


def test_ending_in_upper_case(write, monkeypatch):
    """A file whose name ends in upper case cannot be imported, which is said."""
    path = write("longop_upper.PY", *REPORTING)
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)
    with pytest.raises(TargetError, match=r"ends with \.PY: rename it to longop_upper\.py"):
        load(path)


def test_path_from_elsewhere(write, monkeypatch, tmp_path):
    """A path is meant from the folder that is named, whatever the working directory is now."""
    write("package/works.py", "def steps(callback): pass")
    monkeypatch.chdir("/")
    (operation,) = load("package/works.py:steps", str(tmp_path))
    assert operation.name == "steps"
    with pytest.raises(TargetError, match=r"there is no Python file package/other\.py"):
        load("package/other.py", str(tmp_path))


def test_module_that_is_beside(write, monkeypatch):
    """A module is found where Python finds it."""
    path = write("longop_package/inner.py", *REPORTING)
    write("longop_package/__init__.py", "from .inner import paint")
    monkeypatch.syspath_prepend(os.path.dirname(os.path.dirname(path)))
    assert names("longop_package.inner") == ["paint"]
    assert names("longop_package:paint") == ["paint"]
    assert names("longop_package:inner.paint") == ["paint"]


def test_functions_that_count(write):
    """Of a module these are its own public functions that surely take a callback, each once."""
    path = write(
        "longop_many.py", "from typing import Callable", "from urllib.request import urlretrieve",
        "def second(n: int, progress): pass", "def first(tell: Callable[[int], None]): pass",
        "async def third(callback): pass", "def guess(path): pass", "def number(n: int): pass",
        "def flag(progress: bool = True): pass", "def _hidden(callback): pass",
        "def nothing(): pass", "def steps(n):", "    yield n",
        "class Machine:", "    def __init__(self, callback): pass", "again = second")
    assert names(path) == ["second", "first", "third"]


def test_operations_win_over_functions(write):
    """Where there are LongOperations it is these, each once, and no functions."""
    path = write("longop_wins.py", "from longop import LongOperation, long_operation", *REPORTING,
                 "operation = LongOperation(paint, name='wins')", "again = operation",
                 "@long_operation(limit=2)", "def decorated(callback): pass",
                 "def cancel(): pass")
    found = load(path)
    assert [operation.name for operation in found] == ["wins", "decorated"]
    assert found[0] is sys.modules["longop_wins"].operation
    assert found[1].limit == 2
    assert load(path + ":operation") == found[:1]
    assert names(write("longop_second.py", "from longop_wins import decorated")) == ["decorated"]


@pytest.mark.parametrize(("lines", "expected"), [
    (["def cancel(): pass"], "cancel"), (["def cancel_paint(): pass"], "cancel_paint"),
    (["def cancel(callback): pass"], None), (["def cancel(now=True): pass"], None),
    (["def cancel_a(): pass", "def cancel_b(): pass"], None), (["def stop(): pass"], None),
    (["cancel = 3"], None), (["def _cancel(): pass"], None),
    (["from os import abort as cancel"], None)])
def test_companion(write, lines, expected):
    """The only cancel... function without parameters is the companion of the only function."""
    path = write("longop_companion.py", *REPORTING, *lines)
    assert companions(path)["paint"] == companions(path + ":paint")["paint"] == expected
    two = write("longop_two.py", *REPORTING, "def print_it(callback): pass", *lines)
    assert set(companions(two).values()) == set(companions(two + ":paint").values()) == {None}
    decorated = write("longop_decorated.py", "from longop import LongOperation",
                      "@LongOperation", *REPORTING, *lines)
    assert companions(decorated)["paint"] == expected


def test_companion_is_called(write):
    """The companion stops a function that takes no callback."""
    path = write("longop_stops.py", "import threading", "started = threading.Event()",
                 "stopped = threading.Event()", "def work():", "    started.set()",
                 f"    assert stopped.wait({WAIT})", "def cancel_work():", "    stopped.set()")
    job = load(path + ":work")[0].start()
    module = sys.modules["longop_stops"]
    assert module.started.wait(WAIT)
    ended = threading.Event()
    job.add_done_callback(lambda _: ended.set())
    job.cancel()
    assert module.stopped.wait(WAIT)
    assert ended.wait(WAIT)
    assert job.status().state in (State.COMPLETED, State.CANCELLED)


def test_companion_of_itself():
    """A function is not its own companion."""
    assert companions("examples.long_process:cancel_process") == {"cancel_process": None}


# What is wrong


def test_nothing_to_run(write):
    """A module in which nothing takes a callback says so, and names what could be meant."""
    path = write("longop_guess.py", "def guess(path): pass")
    assert error(path) == (f"{path} has no LongOperation and no function with a callback: "
                           f"name one, such as {path}:guess")
    assert error("examples") == "examples has no LongOperation and no function with a callback"


@pytest.mark.parametrize("place", ["longop_no_such_module", "examples.longop_no_such", "",
                                   "longop_no_such_module:name", "a b", ".", "..x", "a..b",
                                   "longop_no:", ":name", ":", "json.decoder.nothing"])
def test_no_such_module(place):
    """A module that is not there is said to be not there, and how to come to it."""
    text = error(place)
    assert "cannot import" in text
    if place == "longop_no_such_module":
        assert "No module named 'longop_no_such_module'" in text
        assert text.endswith("run this in the folder that holds it, or give path/to/file.py")


@pytest.mark.parametrize("place", [
    "no/such/file.py", "longop_no_such.py", "no/such/file.py:name", "examples/long_process",
    "examples/", "README/x:y", "longop_folder.py"])
def test_no_such_file(place, tmp_path, monkeypatch):
    """A file that is not there, or is no Python file, is said to be not there."""
    if place == "longop_folder.py":
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path)
    assert error(place) == f"there is no Python file {place.partition(':')[0]}"


def test_no_such_name(write):
    """A name that is not there is said with those that are."""
    text = error("examples.long_process:a_short_process")
    assert text.startswith("examples.long_process has no a_short_process; it has ")
    assert "a_long_process" in text
    assert "__name__" not in text
    path = write("longop_bare.py")
    assert error(path + ":x") == f"{path} has no x; it has no function"
    assert "has no time.x" in error("examples.long_process:time.x")


def test_name_that_is_no_function(write):
    """What cannot be called is said to be no function."""
    path = write("longop_odd_ones.py", "three = 3")
    assert error(path + ":three") == "3 is not a function"


@has_c_signatures
def test_function_that_does_not_tell(write):
    """For a function that does not tell its parameters, it is said what to do."""
    path = write("longop_odd_ones.py", "biggest = max")
    assert "callback=False" in error(path + ":biggest")


@pytest.mark.parametrize(("lines", "what"), [
    (["x = 1", "y = x / 0"], "ZeroDivisionError: division by zero ("),
    (["", "raise ValueError('one\\n  two\\r\\n\\tthree')"], "ValueError: one two three ("),
    (["", "import longop_not_there"], "ModuleNotFoundError: No module named 'longop_not_there' ("),
    (["x = 1", "def f(:", "    pass"], "SyntaxError: "),
    (["import sys", "sys.exit('bye')"], "SystemExit: bye ("),
    (["", "raise SystemExit"], "SystemExit: (")])
def test_module_that_raises(write, lines, what):
    """A module that raises, or exits, is said on one line with the error, the file and the line."""
    path = write("longop_raises.py", *lines)
    text = error(path)
    assert text.startswith(f"cannot import {path}: {what}")
    assert re.search("longop_raises.py, lines? 2", text)


def test_interrupt_is_no_error_of_the_module(write):
    """Ctrl-C during an import is Ctrl-C still."""
    with pytest.raises(KeyboardInterrupt):
        load(write("longop_interrupted.py", "raise KeyboardInterrupt"))


@pytest.mark.parametrize(("name", "better"), [
    ("my.up.py", "my_up.py"), ("longop.v1.2.py", "longop_v1_2.py")])
def test_file_with_dots_in_its_name(write, name, better):
    """A file that no import can name, because of its dots, is to be renamed."""
    path = write(name, *REPORTING)
    expected = (f"{path} cannot be imported, because of the dots in its name: rename it, "
                f"such as to {better}")
    assert error(path) == expected
    assert error(f"{path}:function") == expected


@pytest.mark.parametrize("name", ["json", "sys", "builtins"])
def test_file_with_the_name_of_another_module(write, name):
    """A file that has the name of a module that is loaded, or built in, is to be renamed."""
    other = importlib.import_module(name)
    path = write(name + ".py", *REPORTING)
    found = getattr(other, "__file__", "a part of Python")
    assert error(path) == f"{path} has the name of another module, {found}: rename it"
    assert sys.modules[name] is other


def test_two_files_of_the_same_name(write):
    """The same file may be loaded twice; a second file of the same name is to be renamed."""
    first = write("one/longop_same.py", *REPORTING)
    second = write("two/longop_same.py", "def other(callback): pass")
    assert load(first)[0].function is load(first)[0].function
    assert "rename it" in error(second)


@LINKS
def test_link_to_a_file_is_the_file(write, tmp_path):
    """A path through a link is the file it leads to."""
    path = write("real/longop_linked.py", *REPORTING)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert names(path) == names(str(tmp_path / "link" / "longop_linked.py")) == ["paint"]


def test_module_with_objects_that_are_odd(write):
    """Objects that compare or act strangely, and odd annotations, are left alone."""
    path = write("longop_odd.py", *REPORTING, "class Odd:",
                 "    def __eq__(self, other): raise ValueError('eq')",
                 "    def __getattr__(self, name): raise ValueError(name)",
                 "    __hash__ = None", "odd = Odd()", "def helper(x: [int]): pass")
    assert names(path) == ["paint"]

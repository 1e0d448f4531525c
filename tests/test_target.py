"""`longop.target`: what is written on a command line, to the operations that are found there."""

import functools
import importlib
import os
import sys
import threading

import pytest

from longop import LongOperation, State, TargetError, target
from longop.target import load

WAIT = 10  # seconds after which a test has failed; nothing waits for so long


def broken(reason):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(strict=True, reason=reason)


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


@pytest.fixture
def companions(monkeypatch):
    """Return the names of the companions of the operations that are made, by their names."""
    found = {}

    class Recorder(LongOperation):
        def __init__(self, function, **options):
            super().__init__(function, **options)
            found[self.name] = getattr(options.get("cancel"), "__name__", None)

    monkeypatch.setattr(target, "LongOperation", Recorder)
    return found


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


def test_module(companions):
    """The example's function is found, and its companion."""
    found = load("examples.long_process")
    assert [operation.name for operation in found] == ["a_long_process"]
    assert found[0].module == "long_process"
    assert found[0].signature.callback == "callback"
    assert companions == {"a_long_process": "cancel_process"}


def test_name_in_a_module():
    """module:name is just that function, and others are not."""
    found = load("examples.long_process:a_long_process")
    assert names("examples.long_process:a_long_process") == ["a_long_process"]
    assert found[0].function is sys.modules["examples.long_process"].a_long_process


def test_file(write, companions):
    """A file is found by its path, and what it defines is run."""
    path = write("longop_file.py", *REPORTING, "def cancel():", "    pass")
    found = load(path)
    assert [operation.name for operation in found] == ["paint"]
    assert found[0].module == "longop_file"
    assert found[0].start().result(WAIT) == "painted"
    assert companions == {"paint": "cancel"}


def test_name_in_a_file(write):
    """path:name is that function, also one that nothing says is an operation."""
    path = write("longop_named.py", *REPORTING, "def count(n: int):", "    return n",
                 "class Shop:", "    @staticmethod", "    def sell(callback):", "        pass")
    assert names(f"{path}:paint") == ["paint"]
    assert names(f"{path}:count") == ["count"]
    assert names(f"{path}:Shop.sell") == ["sell"]


def test_relative_path(write, monkeypatch):
    """A path is relative to the current folder, with and without a folder in it."""
    path = write("longop_here.py", *REPORTING)
    monkeypatch.chdir(os.path.dirname(path))
    assert names("longop_here.py") == ["paint"]
    assert names("./longop_here.py:paint") == ["paint"]


def test_file_with_a_colon_in_its_path(write):
    """A colon in a path that is followed by no name belongs to the path."""
    if os.name == "nt":
        pytest.skip("no such name on Windows")
    assert names(write("a:b/longop_colon.py", *REPORTING)) == ["paint"]
    assert names(write("a:b/longop_colon.py", *REPORTING) + ":paint") == ["paint"]


def test_file_whose_name_is_no_identifier(write):
    """A file need not have a name that a module can have."""
    assert names(write("longop-my script.py", *REPORTING)) == ["paint"]


def test_what_is_beside_a_file_can_be_imported(write):
    """A file may import what is beside it."""
    write("longop_beside.py", "COLOUR = 'red'")
    path = write("longop_imports.py", "from longop_beside import COLOUR",
                 "def paint(callback):", "    return COLOUR")
    assert load(path)[0].start().result(WAIT) == "red"


def test_module_that_is_beside(write, monkeypatch):
    """A module is found where Python finds it."""
    path = write("longop_package/inner.py", *REPORTING)
    write("longop_package/__init__.py", "from .inner import paint")
    monkeypatch.syspath_prepend(os.path.dirname(os.path.dirname(path)))
    assert names("longop_package.inner") == ["paint"]
    assert names("longop_package:paint") == ["paint"]
    assert names("longop_package:inner.paint") == ["paint"]


def test_functions_that_count(write):
    """Of a module these are its own public functions that surely take a callback, in its order."""
    path = write(
        "longop_many.py", "from typing import Callable", "from urllib.request import urlretrieve",
        "def second(n: int, progress): pass", "def first(tell: Callable[[int], None]): pass",
        "async def third(callback): pass", "def guess(path): pass", "def number(n: int): pass",
        "def flag(progress: bool = True): pass", "def _hidden(callback): pass",
        "def nothing(): pass", "def steps(n):", "    yield n",
        "class Machine:", "    def __init__(self, callback): pass",
        "again = second")
    assert names(path) in (["second", "first", "third"], ["second", "first", "third", "second"])


@broken("a function that has two names in a module is found twice")
def test_function_with_two_names(write):
    """A function that has two names in its module is one operation, as a LongOperation is."""
    assert names(write("longop_alias.py", *REPORTING, "brush = paint")) == ["paint"]


def test_operations_win_over_functions(write):
    """Where there are LongOperations it is these, each once, and no functions."""
    path = write("longop_wins.py", "from longop import LongOperation", *REPORTING,
                 "operation = LongOperation(paint, name='wins')", "again = operation",
                 "@LongOperation(limit=2)", "def decorated(callback): pass",
                 "def cancel(): pass")
    assert names(path) == ["wins", "decorated"]
    found = load(path)
    assert found[0] is sys.modules["longop_wins"].operation
    assert found[1].limit == 2


def test_imported_operation_counts(write):
    """A LongOperation that was imported is one of the module's, as it was meant to be shown."""
    write("longop_first.py", "import longop", "@longop.LongOperation", *REPORTING)
    assert names(write("longop_second.py", "from longop_first import paint")) == ["paint"]


def test_operation_by_name(write):
    """A LongOperation that is named is taken as it is."""
    path = write("longop_byname.py", "from longop import LongOperation", *REPORTING,
                 "operation = LongOperation(paint, name='mine')", "def cancel(): pass")
    found = load(path + ":operation")
    assert [operation.name for operation in found] == ["mine"]
    assert found[0] is sys.modules["longop_byname"].operation


@pytest.mark.parametrize(("lines", "expected"), [
    (["def cancel(): pass"], "cancel"), (["def cancel_paint(): pass"], "cancel_paint"),
    (["def cancel(callback): pass"], None), (["def cancel(now=True): pass"], None),
    (["def cancel_a(): pass", "def cancel_b(): pass"], None), (["def stop(): pass"], None),
    (["cancel = 3"], None), (["def _cancel(): pass"], None),
    (["from os import abort as cancel"], None)])
def test_companion(write, companions, lines, expected):
    """The only cancel... function without parameters is the companion."""
    name = f"longop_companion_{abs(hash(tuple(lines)))}.py"
    load(write(name, *REPORTING, *lines) + ":paint")
    assert companions == {"paint": expected}


def test_companion_of_two(write, companions):
    """Beside two functions a cancel function is nobody's companion."""
    load(write("longop_two.py", *REPORTING, "def print_it(callback): pass", "def cancel(): pass"))
    assert companions == {"paint": None, "print_it": None}


def test_companion_is_called(write):
    """The companion stops a function that takes no callback."""
    path = write("longop_stops.py", "import threading", "started = threading.Event()",
                 "stopped = threading.Event()", "def work():", "    started.set()",
                 f"    assert stopped.wait({WAIT})", "def cancel_work():", "    stopped.set()")
    job = load(path + ":work")[0].start()
    module = sys.modules["longop_stops"]
    assert module.started.wait(WAIT)
    job.cancel()
    assert module.stopped.wait(WAIT)
    ended = threading.Event()
    job.add_done_callback(lambda _: ended.set())
    assert ended.wait(WAIT)
    assert job.status().state in (State.COMPLETED, State.CANCELLED)


@broken("a cancel function that is named itself is its own companion")
def test_companion_of_itself(companions):
    """A function is not its own companion."""
    load("examples.long_process:cancel_process")
    assert companions == {"cancel_process": None}


# What is wrong


def test_nothing_to_run(write):
    """A module in which nothing takes a callback says so, and names what could be meant."""
    path = write("longop_guess.py", "def guess(path): pass")
    assert error(path) == (f"{path} has no LongOperation and no function with a callback: "
                           f"name one, such as {path}:guess")
    path = write("longop_empty.py")
    assert error(path) == f"{path} has no LongOperation and no function with a callback"


@pytest.mark.parametrize("place", ["longop_no_such_module", "examples.longop_no_such", "",
                                   "longop_no_such_module:name", "a b", ".", "..x", "a..b",
                                   "longop_no:", ":name", ":", "json.decoder.nothing"])
def test_no_such_module(place):
    """A module that is not there is said to be not there."""
    assert "cannot import" in error(place)


def test_no_such_module_says_what_to_do():
    """Whoever is in the wrong folder is told how to come to the file."""
    text = error("longop_no_such_module")
    assert "No module named 'longop_no_such_module'" in text
    assert text.endswith("run this in the folder that holds it, or give path/to/file.py")


@pytest.mark.parametrize("place", [
    "no/such/file.py", "longop_no_such.py", "no/such/file.py:name", "examples/long_process",
    "examples/", "examples", "README/x:y"])
def test_no_such_file(place, monkeypatch):
    """A file that is not there, or is no Python file, is said to be not there."""
    if place == "examples":  # a package, and so a module
        assert "no function with a callback" in error(place)
        return
    assert error(place) == f"there is no Python file {place.partition(':')[0]}"


def test_folder_with_the_name_of_a_file(tmp_path):
    """A folder is no file, whatever its name."""
    (tmp_path / "longop_folder.py").mkdir()
    assert "there is no Python file" in error(str(tmp_path / "longop_folder.py"))


def test_no_such_name(write):
    """A name that is not there is said with those that are."""
    text = error("examples.long_process:a_short_process")
    assert text.startswith("examples.long_process has no a_short_process; it has ")
    assert "a_long_process" in text
    assert "__name__" not in text
    path = write("longop_bare.py")
    assert error(path + ":x") == f"{path} has no x; it has nothing"
    assert "has no time.x" in error("examples.long_process:time.x")


def test_name_that_is_no_function(write):
    """A name of something that cannot be called is said to be no function."""
    assert error(write("longop_three.py", "three = 3") + ":three") == "3 is not a function"


def test_function_that_does_not_tell(write):
    """A function in C that does not tell its parameters says what to do."""
    path = write("longop_c.py", "biggest = max")
    assert "callback=False" in error(path + ":biggest")


def test_module_that_raises(write):
    """A module that raises is said with the error, the file and the line."""
    path = write("longop_raises.py", "x = 1", "y = x / 0")
    text = error(path)
    assert text.startswith(f"cannot import {path}: ZeroDivisionError: division by zero (")
    assert text.endswith("longop_raises.py, line 2)")


def test_error_of_several_lines(write):
    """An error of several lines is told on one."""
    path = write("longop_lines.py", "raise ValueError('one\\n  two\\r\\n\\tthree')")
    assert "ValueError: one two three (" in error(path)


def test_module_that_imports_what_is_not_there(write):
    """A module in which something else is missing says what, and where."""
    text = error(write("longop_needs.py", "", "import longop_not_installed"))
    assert "No module named 'longop_not_installed'" in text
    assert text.endswith("longop_needs.py, line 2)")


def test_syntax_error(write):
    """A file with a syntax error says so, with its line."""
    text = error(write("longop_syntax.py", "x = 1", "def f(:", "    pass"))
    assert "SyntaxError" in text
    assert "longop_syntax.py, line 2" in text


def test_module_that_exits(write):
    """A module that calls sys.exit does not take longop with it."""
    text = error(write("longop_exits.py", "import sys", "sys.exit('bye')"))
    assert "SystemExit: bye" in text
    assert "longop_exits.py, line 2" in text
    assert "SystemExit" in error(write("longop_exits_mutely.py", "raise SystemExit"))


def test_interrupt_is_no_error_of_the_module(write):
    """Ctrl-C during an import is Ctrl-C still."""
    with pytest.raises(KeyboardInterrupt):
        load(write("longop_interrupted.py", "raise KeyboardInterrupt"))


def test_file_with_the_name_of_another_module(write):
    """A file that has the name of a module that is loaded is told to be renamed."""
    import json

    path = write("json.py", *REPORTING)
    text = error(path)
    assert text == f"{path} has the name of another module, {json.__file__}: rename it"
    assert sys.modules["json"] is json


@broken("a module that is built in has no __file__: an AttributeError gets out of load")
@pytest.mark.parametrize("name", ["sys.py", "builtins.py"])
def test_file_with_the_name_of_a_builtin_module(write, name):
    """A file that has the name of a module that is built in is told to be renamed."""
    assert "rename it" in error(write(name, *REPORTING))


@broken("the dot is taken for a package: the text says there is no module, and to give a path")
def test_file_with_a_dot_in_its_name(write):
    """A file with a dot in its name is loaded, or told to be renamed."""
    path = write("longop.v2.py", *REPORTING)
    try:
        found = load(path)[0].name
    except TargetError as wrong:
        found = str(wrong)
    assert found == "paint" or "rename" in found


def test_two_files_of_the_same_name(write):
    """A second file of the same name is told to be renamed, and is not taken for the first."""
    assert names(write("one/longop_same.py", *REPORTING)) == ["paint"]
    second = write("two/longop_same.py", "def other(callback): pass")
    assert "rename it" in error(second)


def test_same_file_twice(write):
    """The same file may be loaded twice."""
    path = write("longop_twice.py", *REPORTING)
    assert load(path)[0].function is load(path)[0].function


def test_link_to_a_file_is_the_file(write, tmp_path):
    """A path through a link is the file it leads to."""
    write("real/longop_linked.py", *REPORTING)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert names(str(tmp_path / "real" / "longop_linked.py")) == ["paint"]
    assert names(str(tmp_path / "link" / "longop_linked.py")) == ["paint"]


@broken("each path that cannot be loaded stays on sys.path all the same")
def test_failing_leaves_the_path_alone(write):
    """A file that cannot be loaded leaves sys.path as it was."""
    before = sys.path[:]
    error(write("longop_leaves.py", "raise ValueError('x')"))
    assert sys.path == before


def test_odd_helper_does_not_matter(write):
    """A helper with odd annotations does not keep a function beside it from being found."""
    path = write("longop_helper.py", "def helper(x: [int]): pass", *REPORTING)
    assert names(path) == ["paint"]


def test_module_with_objects_that_are_odd(write):
    """Objects in a module that compare or act strangely are left alone."""
    path = write("longop_odd.py", *REPORTING, "class Odd:",
                 "    def __eq__(self, other): raise ValueError('eq')",
                 "    def __getattr__(self, name): raise ValueError(name)",
                 "    __hash__ = None", "odd = Odd()")
    assert names(path) == ["paint"]


def test_partial_by_name(write):
    """A partial can be named."""
    path = write("longop_partial.py", "import functools", "def add(n: int, callback):",
                 "    return n", "add_three = functools.partial(add, 3)")
    found = load(path + ":add_three")[0]
    assert isinstance(found.function, functools.partial)
    assert found.start().result(WAIT) == 3

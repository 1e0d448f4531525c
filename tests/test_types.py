"""The types of longop's names, as mypy and pyright see them."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "typing_cases.py"
# What says only that a package is not installed here, or that a decorator comes from one.
MISSING = re.compile(r"import-not-found|import-untyped|reportMissing(Imports|ModuleSource)|"
                     "Untyped decorator makes function")


def run(command, folder):
    environment = {**os.environ, "MYPYPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=str(folder), env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stdout
    return done.stdout


class Mypy:
    """Checks files with mypy."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *files, strict=True):
        """Return the messages about files, and none about other files."""
        options = ["--strict"] if strict else []
        output = run([sys.executable, "-m", "mypy", "--config-file=", "--show-absolute-path",
                      *options, *map(str, files)], self.folder)
        return messages_of(output.splitlines(), files)


class Pyright:
    """Checks files with pyright, in its standard mode."""

    def __init__(self, folder, command):
        self.folder = folder
        self.command = command

    def __call__(self, *files, strict=True):
        """Return the messages about files, and none about other files."""
        inside = [os.path.relpath(str(file), str(self.folder)) for file in files]
        settings = {"include": inside,
                    "extraPaths": [str(ROOT)],
                    "pythonVersion": ".".join(map(str, sys.version_info[:2])),
                    "reportUnnecessaryTypeIgnoreComment": strict,
                    "enableTypeIgnoreComments": True}
        path = self.folder / "pyrightconfig.json"
        path.write_text(json.dumps(settings))
        output = json.loads(run([*self.command, "--outputjson", "-p", str(path)], self.folder))
        return messages_of(
            ["{file}:{line}: {severity}: {message} {rule}".format(
                line=one["range"]["start"]["line"] + 1, **{"rule": "", **one})
             for one in output["generalDiagnostics"]], files)


def messages_of(lines, files):
    return [line for line in lines
            if line.startswith(tuple(map(str, files))) and not MISSING.search(line)]


def find_pyright():
    """Return the command that runs pyright, or None."""
    found = os.environ.get("LONGOP_PYRIGHT") or shutil.which("pyright")
    if found and found.endswith(".js"):
        return ["node", found]
    return [found] if found else None


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def check(request, tmp_path_factory):
    """A type checker; the two must agree."""
    folder = tmp_path_factory.mktemp(request.param)
    needed = bool(os.environ.get("LONGOP_INTEROP"))
    if request.param == "pyright":
        command = find_pyright()
        if not command and not needed:
            pytest.skip("pyright is neither on the path nor named by LONGOP_PYRIGHT")
        return Pyright(folder, command)
    if not find_spec("mypy") and not needed:
        pytest.skip("mypy is not installed")
    return Mypy(folder)


def errors(messages):
    """Return what is not only a note, as a text that a failing test shows whole."""
    return "\n".join(message for message in messages
                     if "error:" in message or "warning:" in message)


def test_typing_cases(check):
    """Each line of `typing_cases` has the type that it says, or the error that it says."""
    assert errors(check(CASES)) == ""


def test_an_operation_keeps_the_functions_signature(check, tmp_path):
    """The type of an operation shows the function's own parameters and what it returns."""
    path = tmp_path / "revealed.py"
    path.write_text(
        "import longop\n"
        "@longop.long_operation(limit=2)\n"
        "def function(n: int, *, callback: longop.Callback) -> str:\n"
        "    return str(n)\n"
        "reveal_type(function)\n"
        "reveal_type(function.start(n=1))\n"
        "reveal_type(function.start(n=1).result())\n")
    operation, job, result = check(path)
    plain = operation.replace("builtins.", "")  # which older versions of mypy write
    assert re.search(r"LongOperation\[[(\[]n: int, \*, callback: [\w.]*Callback[)\]], str\]",
                     plain)
    assert re.search(r"\bJob\[(builtins\.)?str\]\"", job)
    assert re.search(r"\"(builtins\.)?str\"", result)


def test_documents(check, tmp_path):
    """No Python block of the README, or of the documents beside it, has an error."""
    files = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = document.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.S)):
            files.append(tmp_path / f"{document.stem}_{number}.py")
            files[-1].write_text(block, encoding="utf-8")
    assert "README_0.py" in [file.name for file in files]
    assert errors(check(*files)) == ""


def test_examples(check):
    """The examples, whose functions have no annotations, have no error either."""
    files = sorted((ROOT / "examples").glob("*.py"))
    assert files
    assert errors(check(*files, strict=False)) == ""

"""``python -m longop.codeproject new DIR TARGET``: the folder of a module of CodeProject.AI Server.

It holds all that the module needs, longop too, so that the server installs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import inspect
import keyword
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from ..errors import TargetError
from ..jsontext import dumps
from ..operation import LongOperation
from ..cli.target import load

_FILES = ("adapter.py", "modulesettings.json", "install.sh", "install.bat", "package.sh",
          "explore.html")
_TYPES = {"integer": "Integer", "number": "Float", "boolean": "Boolean"}
_FIELDS = {"Integer": "number", "Float": "number", "Boolean": "checkbox", "File": "file"}


def write(arguments: list[str]) -> int:
    """Write the folder; return the exit code, 0. Raises `TargetError`, and then there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m longop.codeproject new",
        description="Write the folder of a module of CodeProject.AI Server for a function.")
    parser.add_argument("dir", metavar="DIR", help="a new folder; its name is the module's id")
    parser.add_argument("target", metavar="TARGET",
                        help="the function, in a file of its own: path/to/file.py[:name]")
    options = parser.parse_args(arguments)
    folder = os.path.abspath(options.dir)
    id = re.sub("[^A-Za-z0-9]", "", os.path.basename(folder))
    if not id[:1].isalpha():
        raise TargetError(f"{options.dir}: its name, which is the module's id, must begin with a "
                          "letter")
    if os.path.exists(folder) and os.listdir(folder):
        raise TargetError(f"{options.dir} is there already, and not empty")
    operation, *others = load(options.target)
    if others:
        raise TargetError(f"{options.target} has more than one: name one, such as "
                          f"{options.target}:{operation.name}")
    words = _words(operation, id, options.target)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as draft:
        whole = os.path.join(draft, id)
        _fill(whole, operation, words)
        done = subprocess.run([sys.executable, "-B", words["adapter"], "--selftest"], cwd=whole,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise TargetError(f"{options.target} does not run by itself, and must: "
                              + (done.stderr.strip().splitlines() or ["it has just ended"])[-1])
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # if it is there, and empty
        os.rename(whole, folder)
    print(f"{folder} is a module of CodeProject.AI Server: copy it into that server's modules "
          "folder, or try it with python3 -m longop.serve "
          + shlex.quote(f"{options.dir}/{words['adapter']}"))
    return 0


def _words(operation: LongOperation, id: str, target: str) -> dict[str, str]:
    """Return what is filled in; raise `TargetError` for what cannot be a module by itself."""
    function = operation.function
    name = getattr(function, "__name__", "")
    found = getattr(sys.modules.get(getattr(function, "__module__", "")), name, None)
    if getattr(function, "adapter", None):
        raise TargetError(f"{target} is an adapter already: a module needs no other one")
    source = inspect.isfunction(function) and os.path.exists(inspect.getfile(function))
    if not source or function not in (found, getattr(found, "function", None)):
        raise TargetError(f"{target} is not a function that stands in a file under its own name")
    module = os.path.splitext(os.path.basename(inspect.getfile(function)))[0]
    plain = re.sub(r"\W+", "_", operation.name).strip("_") or "run"
    if not module.isidentifier() or keyword.iskeyword(module) or module == f"{plain}_adapter":
        raise TargetError(f"{target}: its file, {module}.py, needs a name that can be imported, "
                          f"and that is not {plain}_adapter.py")
    inputs = _inputs(operation)
    return {"id": id, "name": plain.replace("_", " ").capitalize(), "module": module,
            "function": name, "adapter": f"{plain}_adapter.py", "root": id.lower(),
            "rest": plain.replace("_", "-"), "command": operation.name,
            "description": operation.description, "inputs": dumps(inputs),
            "operation": name if isinstance(found, LongOperation)
            else f"longop.LongOperation({name})", "fields": "\n".join(map(_field, inputs))}


def _fill(folder: str, operation: LongOperation, words: dict[str, str]) -> None:
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.isdir(ours):
        raise TargetError(f"longop runs from an archive, {os.path.dirname(ours)}: unpack it first")
    shutil.copytree(ours, os.path.join(folder, "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(inspect.getfile(operation.function), folder)
    for file in _FILES:
        text = (pkgutil.get_data(__package__, f"assets/module/{file}.txt") or b"").decode()
        in_json = file == "modulesettings.json"
        text = re.sub(r"{{(\w+)}}", lambda found, in_json=in_json: (  # type: ignore[misc]
            dumps(words[found[1]])[1:-1] if in_json and found[1] != "inputs"
            else words[found[1]]), text)
        with open(os.path.join(folder, words["adapter"] if file == "adapter.py" else file), "w",
                  encoding="utf-8", newline="\r\n" if file.endswith(".bat") else "\n") as target:
            target.write(text)


def _inputs(operation: LongOperation) -> list[dict[str, Any]]:
    """Return the parameters as a route's inputs."""
    inputs = []
    for name, schema in operation.signature.schema()["properties"].items():
        kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
        kind = kinds[0] if kinds else {}
        is_file = "contentEncoding" in kind
        one = {"Name": name, "Description": schema.get("description", ""),
               "Type": "File" if is_file else _TYPES.get(kind.get("type", ""), "Text")}
        if schema.get("default") is not None and not is_file:
            one["DefaultValue"] = schema["default"]
        inputs.append(one)
    return inputs


def _field(one: dict[str, Any]) -> str:
    default = one.get("DefaultValue")
    value = " checked" if default is True else (
        "" if default in (None, False) else f' value="{html.escape(str(default))}"')
    name = html.escape(one["Name"])
    return (f'  <label class="form-label">{name} <input class="form-control" '
            f'type="{_FIELDS.get(one["Type"], "text")}" step="any" '
            f'data-input="_MID_{name}"{value}></label>')

"""``python -m longop.codeproject new DIR TARGET``: the folder of a module of CodeProject.AI Server.

It holds all that the module needs, longop too, so that the server installs nothing.
"""

from __future__ import annotations

import argparse
import html
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from typing import Any

from .errors import TargetError
from .jsontext import dumps
from .operation import LongOperation
from .target import load

_FILES = ("adapter.py", "modulesettings.json", "install.sh", "install.bat", "package.sh",
          "explore.html")
_TYPES = {"integer": "Integer", "number": "Float", "boolean": "Boolean"}


def write(arguments: list[str]) -> int:
    """Write the folder; return the exit code, 0. Raises `TargetError` if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m longop.codeproject new",
        description="Write the folder of a module of CodeProject.AI Server for a function.")
    parser.add_argument("dir", metavar="DIR", help="a new folder; its name is the module's id")
    parser.add_argument("target", metavar="TARGET",
                        help="the function, in a file of its own: path/to/file.py[:name]")
    options = parser.parse_args(arguments)
    folder = os.path.abspath(options.dir)
    operations = load(options.target)
    if len(operations) > 1:
        raise TargetError(f"{options.target} has more than one: name one with {options.target}:"
                          f"{operations[0].name}")
    if os.path.exists(folder) and os.listdir(folder):
        raise TargetError(f"{folder} is there already, and not empty")
    id = re.sub("[^A-Za-z0-9]", "", os.path.basename(folder))
    if not id:
        raise TargetError(f"{folder} has no letter in its name, which is the module's id")
    _fill(folder, operations[0], id)
    done = subprocess.run([sys.executable, _adapter(operations[0]), "--selftest"], cwd=folder,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise TargetError(f"{folder} is written, but its adapter does not run by itself: "
                          f"{done.stderr.strip().splitlines()[-1:]}")
    print(f"{folder} is a module of CodeProject.AI Server: copy it into that server's modules "
          f"folder, or try it with python3 -m longop.serve {options.dir}/{_adapter(operations[0])}")
    return 0


def _fill(folder: str, operation: LongOperation, id: str) -> None:
    source = inspect.getsourcefile(inspect.unwrap(operation.function)) or ""
    module = os.path.splitext(os.path.basename(source))[0]
    shutil.copytree(os.path.dirname(os.path.abspath(__file__)), os.path.join(folder, "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source, folder)
    name = operation.function.__name__
    found = getattr(sys.modules[operation.function.__module__], name, None)
    words = {
        "id": id, "name": operation.name.replace("_", " ").capitalize(), "module": module,
        "function": name, "adapter": _adapter(operation), "root": id.lower(),
        "rest": operation.name.replace("_", "-"), "command": operation.name,
        "description": operation.description, "inputs": dumps(_inputs(operation)),
        "operation": name if isinstance(found, LongOperation) else f"longop.LongOperation({name})",
        "fields": "\n".join(map(_field, _inputs(operation)))}
    for file in _FILES:
        text = (pkgutil.get_data(__package__, f"assets/module/{file}.txt") or b"").decode()
        for word, meaning in words.items():
            is_text = file == "modulesettings.json" and word != "inputs"
            text = text.replace(f"{{{{{word}}}}}", dumps(meaning)[1:-1] if is_text else meaning)
        name = words["adapter"] if file == "adapter.py" else file
        with open(os.path.join(folder, name), "w", encoding="utf-8",
                  newline="\r\n" if file.endswith(".bat") else "\n") as target:
            target.write(text)


def _adapter(operation: LongOperation) -> str:
    return f"{operation.name}_adapter.py"


def _inputs(operation: LongOperation) -> list[dict[str, Any]]:
    """Return the parameters as a route's inputs."""
    inputs = []
    for name, schema in operation.signature.schema()["properties"].items():
        kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
        kind = kinds[0] if kinds else {}
        is_file = "contentEncoding" in kind
        one = {"Name": name, "Description": schema.get("description", ""),
               "Type": "File" if is_file else _TYPES.get(kind.get("type", ""), "Text")}
        if schema.get("default") is not None:
            one["DefaultValue"] = schema["default"]
        inputs.append(one)
    return inputs


def _field(one: dict[str, Any]) -> str:
    kind = {"Integer": "number", "Float": "number", "Boolean": "checkbox", "File": "file"}.get(
        one["Type"], "text")
    default = one.get("DefaultValue")
    value = " checked" if default is True else (
        "" if default in (None, False) else f' value="{html.escape(str(default))}"')
    name = html.escape(one["Name"])
    return (f'  <label class="form-label">{name} <input class="form-control" type="{kind}" '
            f'step="any" data-input="_MID_{name}"{value}></label>')

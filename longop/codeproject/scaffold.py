"""``python -m longop.codeproject new DIR TARGET``: writes the folder of a new module.

The folder holds all that the module needs, including longop, so the server installs nothing.
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
from types import ModuleType
from typing import Any, Mapping

from ..cli.target import load, split
from ..errors import TargetError
from ..values.jsontext import dumps, loads
from ..operation import LongOperation
from .adapter import Adapter

#: The files of a module, of which ``assets/module`` has the templates.
_ADAPTER = "adapter.py"
_SETTINGS = "modulesettings.json"
_FILES = (_ADAPTER, _SETTINGS, "install.sh", "install.bat", "package.sh", "package.bat",
          "explore.html")
#: The ``Type`` of an input, by the type in JSON Schema. All others are ``Text``.
_TYPES = {"integer": "Integer", "number": "Float", "boolean": "Boolean"}
#: The ``type`` of a field of the page, by that of the input. All others are ``text``.
_FIELDS = {"Integer": "number", "Float": "number", "Boolean": "checkbox", "File": "file"}

_ROW = """\
  <div class="row mb-2">
    <label class="col-form-label col-3" for="{id}">{name}</label>
    <div class="col"><input class="form-control" {field}></div>
  </div>"""
_CHECKBOX = """\
  <div class="row mb-2">
    <div class="col-3"></div>
    <div class="col">
      <div class="form-check">
        <input class="form-check-input" {field}>
        <label class="form-check-label" for="{id}">{name}</label>
      </div>
    </div>
  </div>"""


def write(arguments: list[str], prog: str = "python -m longop.codeproject new") -> int:
    """Write the folder; return the exit code, 0.

    :param prog: how the command was called, for its usage message.

    Raises `TargetError` if it cannot be written; then nothing is left of it.
    """
    options = _parse(arguments, prog)
    folder = os.path.abspath(options.dir)
    id = _id_of(options.dir)
    if os.path.lexists(folder):
        if not os.path.isdir(folder):
            raise TargetError(f"{options.dir} exists, and is not a folder")
        if os.listdir(folder):
            raise TargetError(f"{options.dir} exists, and is not empty")
    operation = _load_one(options.target)
    words = _words(operation, id, options.target)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    # Written beside its place, and moved there as a whole once it is known to run.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as draft:
        whole = os.path.join(draft, id)
        _fill(whole, words)
        _test(whole, words["adapter"], options.target)
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # if it exists, and is empty
        os.rename(whole, folder)
    adapter = os.path.join(options.dir, words["adapter"])
    print(f"{folder} is a module of CodeProject.AI Server: copy it into the server's modules "
          f"folder, or try it with {_command(adapter)}")
    return 0


def _command(adapter: str) -> str:
    """Return the command that serves an adapter, for the shell of this system."""
    if os.name != "nt":
        return f"python3 -m longop.serve {shlex.quote(adapter)}"
    # cmd and PowerShell know no other quotes alike. A name cannot have them in it.
    is_plain = re.fullmatch(r"[\w.:/\\-]+", adapter)
    return "python -m longop.serve " + (adapter if is_plain else f'"{adapter}"')


def _parse(arguments: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the folder of a module of CodeProject.AI Server for a function.")
    parser.add_argument("dir", metavar="DIR", help="a new folder; its name is the module's id")
    parser.add_argument("target", metavar="TARGET",
                        help="the function or LongOperation, in a file of its own: "
                             "path/to/file.py[:name], or package.module[:name]")
    return parser.parse_args(arguments)


def _id_of(folder: str) -> str:
    """Return the module's id: the letters and digits of the folder's name."""
    id = re.sub("[^A-Za-z0-9]", "", os.path.basename(os.path.abspath(folder)))
    if not id[:1].isalpha():
        raise TargetError(f"{folder}: its name, which is the module's id, must begin with a "
                          "letter")
    return id


def _load_one(target: str) -> LongOperation:
    operation, *others = load(target)
    if others:
        raise TargetError(f"{target} has more than one: name one, such as "
                          f"{target}:{operation.name}")
    return operation


def _test(folder: str, adapter: str, target: str) -> None:
    """Raise `TargetError` unless the module runs where only its own folder is on the path."""
    done = subprocess.run([sys.executable, "-B", adapter, "--selftest"], cwd=folder,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it has just ended"]
        raise TargetError(f"{target} does not run by itself, and must: {lines[-1]}")


# What is filled in


def _words(operation: LongOperation, id: str, target: str) -> dict[str, str]:
    """Return what the templates are filled in with, by its name there."""
    if isinstance(operation.owner, Adapter):
        raise TargetError(f"{target} is an adapter already: a module needs no other one")
    source = _source_of(operation, target)
    name = _name_of(operation, source, target)
    plain = re.sub(r"\W+", "_", operation.name).strip("_") or "run"
    module = _check_file(source, f"{plain}_adapter", target)
    inputs = _inputs_of(operation)
    return {
        "id": id,
        "name": plain.replace("_", " ").capitalize(),
        "imports": _imports(operation, source, name, module),
        "file": source.__file__ or "",
        "adapter": f"{plain}_adapter.py",
        "root": id.lower(),
        "rest": plain.replace("_", "-"),
        "command": operation.name,
        "description": operation.description,
        "inputs": dumps(inputs),
        "fields": "\n".join(map(_field_of, inputs)),
    }


def _source_of(operation: LongOperation, target: str) -> ModuleType:
    """Return the module in which the operation stands, or else its function.

    Raises `TargetError` if that is in no file.
    """
    place, _ = split(target)
    stem, _ = os.path.splitext(os.path.basename(place))
    of_function = getattr(operation.function, "__module__", "")
    found = [sys.modules[name] for name in (of_function, place, stem)
             if getattr(sys.modules.get(name), "__file__", None)]
    for source in found:
        if _names_in(source, operation):
            return source
    if not found:
        raise _no_function(target)
    return found[0]


def _name_of(operation: LongOperation, source: ModuleType, target: str) -> str:
    """Return the name by which an adapter can import it: the operation, or else its function.

    Raises `TargetError` if there is none.
    """
    _, wanted = split(target)
    names = _names_in(source, operation)
    if names:
        return wanted if wanted in names else names[0]
    function = operation.function
    name = getattr(function, "__name__", "")
    is_in_file = inspect.isfunction(function) and os.path.exists(inspect.getfile(function))
    if not is_in_file or getattr(source, name, None) is not function:
        raise _no_function(target)
    return name


def _names_in(source: ModuleType, operation: LongOperation) -> list[str]:
    """Return the names of an operation; `load` may have added a companion or an owner to it."""
    return [name for name, value in vars(source).items()
            if isinstance(value, LongOperation) and value.function is operation.function
            and value.name == operation.name]


def _no_function(target: str) -> TargetError:
    return TargetError(f"{target} is neither a LongOperation nor a function that stands in a "
                       "file under its own name")


def _imports(operation: LongOperation, source: ModuleType, name: str, module: str) -> str:
    """Return the lines that import the operation from a module, or make it.

    One that is there is imported as it is, so that none of its options is lost.
    """
    found = getattr(source, name)
    names = [name]
    option = ""
    companion = operation.companion
    if companion is not None and companion is not getattr(found, "companion", None):
        names.append(companion.__name__)  # `load` has found it
        option = f"cancel={companion.__name__}"
    line = f"from {module} import {', '.join(names)}"
    if not isinstance(found, LongOperation):
        options = ", ".join(filter(None, [name, option]))
        return f"import longop\n{line}\n\noperation = longop.LongOperation({options})"
    if option:
        return f"{line}\n\noperation = {name}.replace({option})"
    return line if name == "operation" else f"{line} as operation"


def _check_file(source: ModuleType, adapter: str, target: str) -> str:
    """Return the name of a file as a module, beside that of the adapter."""
    module, _ = os.path.splitext(os.path.basename(source.__file__ or ""))
    if not module.isidentifier() or keyword.iskeyword(module) or module == adapter:
        raise TargetError(f"{target}: its file, {module}.py, needs a name that can be "
                          f"imported, and that is not {adapter}.py")
    return module


def _inputs_of(operation: LongOperation) -> list[dict[str, Any]]:
    """Return the parameters as the inputs of a route."""
    properties = operation.signature.schema()["properties"]
    return [_input_of(name, schema) for name, schema in properties.items()]


def _input_of(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    # Of ``Optional[int]`` the integer counts.
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    kind = kinds[0] if kinds else {}
    is_file = "contentEncoding" in kind
    type_ = "File" if is_file else _TYPES.get(kind.get("type", ""), "Text")
    found = {"Name": name, "Description": schema.get("description", ""), "Type": type_}
    if schema.get("default") is not None and not is_file:
        found["DefaultValue"] = loads(dumps(schema["default"]))
    return found


def _field_of(input: Mapping[str, Any]) -> str:
    """Return an input as a row of the page, in the classes of the server's Bootstrap."""
    name = html.escape(input["Name"])
    kind = _FIELDS.get(input["Type"], "text")
    words = {
        "name": name,
        "id": f"_MID_in_{name}",
        "field": f'type="{kind}" id="_MID_in_{name}" data-input="_MID_{name}"'
                 + _attributes_of(input),
    }
    return (_CHECKBOX if kind == "checkbox" else _ROW).format(**words)


def _attributes_of(input: Mapping[str, Any]) -> str:
    """Return what a field has beside its name: its default, and any number of decimals."""
    default = input.get("DefaultValue")
    step = ' step="any"' if input["Type"] == "Float" else ""
    if default is True:
        return step + " checked"
    if default is None or default is False:
        return step
    text = default if isinstance(default, str) else dumps(default)
    return f'{step} value="{html.escape(text)}"'


# The folder


def _fill(folder: str, words: Mapping[str, str]) -> None:
    """Write all files of the module."""
    longop = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.isdir(longop):
        archive = os.path.dirname(longop)
        raise TargetError(f"longop runs from an archive, {archive}: unpack it first")
    shutil.copytree(longop, os.path.join(folder, "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(words["file"], folder)
    for file in _FILES:
        name = words["adapter"] if file == _ADAPTER else file
        newline = "\r\n" if file.endswith(".bat") else "\n"
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8", newline=newline) as target:
            target.write(_fill_in(file, words))


def _fill_in(file: str, words: Mapping[str, str]) -> str:
    """Return a template with the words in their places."""
    template = (pkgutil.get_data(__package__, f"assets/module/{file}.txt") or b"").decode()

    def fill(place: re.Match[str]) -> str:
        word = words[place[1]]
        if file == _SETTINGS and place[1] != "inputs":  # which is JSON already
            return dumps(word)[1:-1]  # escaped, without the quotes that the template has
        return word

    return re.sub(r"{{(\w+)}}", fill, template)

"""The house: a core that loads no wing, wings that import what the map allows, no circle."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import longop

from .__main__ import split

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "longop"

# The map. A wing is a folder of `longop`, or one of the files beside the core. What is in no wing
# is the core. Through `longop.wings` anything can be reached by its name; that is no import.
WINGS = {
    "archive": {"core"},
    "client": {"core"},
    "workers": {"core"},
    "web": {"core"},
    "cli": {"core"},
    "run": {"core", "cli"},
    "serve": {"core", "web", "cli"},
    "codeproject": {"core", "web", "cli"},
    "mcp": {"core", "web", "cli"},
    "__main__": {"core"},
}
# What the command of a wing needs beyond the wing itself; it is imported when the command runs.
COMMANDS = {("client", "cli")}


def modules():
    """Return the modules by their dotted names below longop, each with its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name or "__init__"] = path
    return found


MODULES = modules()


def wing_of(module):
    """Return the wing that a module is in, or "core"."""
    first = module.partition(".")[0]
    return first if first in WINGS else "core"


def is_for_others(node):
    """Return whether something is for a type checker, or for another Python than this one."""
    if not isinstance(node, ast.If):
        return False
    test = ast.dump(node.test)
    if "version_info" in test and "TYPE_CHECKING" not in test:
        return not eval(compile(ast.Expression(node.test), "", "eval"), {"sys": sys})
    return "TYPE_CHECKING" in test


def import_nodes(node):
    """Yield the imports below a node that are made when the code runs, at any depth."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif is_for_others(child):
            yield from import_nodes(ast.Module(child.orelse, []))
        else:
            yield from import_nodes(child)


def imports_of(module):
    """Return the modules of longop that a module imports, at any depth."""
    path = MODULES[module]
    package = ".".join(["longop", *path.parent.relative_to(PACKAGE).parts])
    found = set()
    for node in import_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("longop")}
        elif node.level:
            whole = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{whole}.{alias.name}"
                found.add(inner if inner.partition(".")[2] in MODULES else whole)
    return {name.partition(".")[2] or "__init__" for name in found} - {module}


IMPORTS = {module: imports_of(module) for module in MODULES}


def test_every_import_is_of_a_module():
    """The test knows the modules that are imported, so nothing escapes it."""
    assert set().union(*IMPORTS.values()) <= set(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_wing_imports_what_the_map_allows(module):
    """A module imports its own wing, and those that the map names."""
    wing = wing_of(module)
    allowed = {wing, "core", *WINGS.get(wing, ())}
    for imported in IMPORTS[module]:
        other = wing_of(imported)
        assert other in allowed or (wing, other) in COMMANDS, imported


def test_there_is_no_circle():
    """No module imports itself by way of others; imports inside of functions count too."""
    left = {module: set(imported) for module, imported in IMPORTS.items()}
    while left:
        free = {module for module, imported in left.items() if not imported & set(left)}
        assert free, f"in or above a circle: {sorted(left)}"
        left = {module: imported for module, imported in left.items() if module not in free}


def test_the_map_is_complete():
    """The package's docstring names each file of the core, and each wing."""
    for module in MODULES:
        name = module.partition(".")[0]
        assert name in ("__init__", "__main__") or f"{name} " in longop.__doc__.replace("/", " ")


def test_there_are_few_files_at_the_top():
    """At most 18 files stand directly in the package."""
    assert len([path for path in PACKAGE.iterdir() if path.suffix == ".py"]) <= 18


def loaded_by(code):
    """Return the modules that a piece of code has loaded."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*sys.modules.keys() - before)"
    done = subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), stdout=subprocess.PIPE,
                          check=True, text=True)
    return set(done.stdout.split())


def wings_of(loaded):
    return {wing_of(name.partition(".")[2]) for name in loaded if name.startswith("longop.")}


def test_import_loads_the_core_alone():
    """``import longop`` loads no wing, and no HTTP, sqlite3, multiprocessing or asyncio."""
    loaded = loaded_by("import longop")
    assert wings_of(loaded) == {"core"}
    assert not {name.partition(".")[0] for name in loaded} & {
        "http", "urllib", "email", "socket", "socketserver", "sqlite3", "multiprocessing",
        "asyncio", "ssl", "subprocess", "uuid", "hashlib", "base64", "tempfile", "random"}


def test_import_loads_few_modules():
    """``import longop`` loads few modules: on a small computer each takes milliseconds.

    How many four of them bring along differs from Python to Python.
    """
    loaded = loaded_by("import longop")
    ours = {name for name in loaded if name.partition(".")[0] == "longop"}
    assert len(ours) <= 36, sorted(ours)
    others = loaded - ours - loaded_by("import concurrent.futures, dataclasses, inspect, json")
    assert len(others) <= 12, sorted(others)


def test_the_handler_loads_core_and_web():
    """``longop.handler`` is there without any other wing."""
    assert wings_of(loaded_by("import longop; longop.handler")) == {"core", "web"}


def test_only_the_standard_library():
    """Nothing but the standard library and longop itself is imported."""
    names = set()
    for path in MODULES.values():
        for node in import_nodes(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif not node.level:
                names.add(node.module.partition(".")[0])
    if os.name == "nt":
        names.discard("resource")  # is imported on other systems only
    done = subprocess.run([sys.executable, "-ISc", "import " + ", ".join(sorted(names))],
                          stderr=subprocess.PIPE)
    assert done.stderr == b""


def test_each_module_has_its_tests():
    """A module's tests are found by its name, in the folder of its wing."""
    missing = []
    for path in MODULES.values():
        if path.name != "__init__.py":
            folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
            if not (folder / f"test_{path.stem.strip('_')}.py").exists():
                missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_public_names():
    """Every public name is there, and an unknown one is an AttributeError."""
    for name in longop.__all__:
        assert getattr(longop, name) is not None
        assert name in dir(longop)
    assert longop.handler is longop.handler
    with pytest.raises(AttributeError, match="nope"):
        longop.nope  # noqa: B018


def test_the_runner_runs_each_file_once():
    """``python3 -m tests`` runs each file in one of its processes."""
    files = [file for _, unit in split(ROOT / "tests") for file in unit]
    assert sorted(files) == sorted((ROOT / "tests").rglob("test_*.py"))

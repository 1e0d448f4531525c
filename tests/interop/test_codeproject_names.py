"""The public face of the SDK, name for name: what an adapter may ask for is there in longop.

Each package describes itself in a process of its own, since the SDK changes much when it is
imported.
"""

import json
import subprocess
import sys
from pathlib import Path

from .peers import needs

pytestmark = needs("codeproject_ai_sdk")
ROOT = Path(__file__).parents[2]

# What longop has not, and why an adapter does not need it.
LOOPS = "it is a part of the SDK's own loops, which poll and answer: longop.codeproject.queue"
CPU = "it is another package, copied into the SDK; SystemInfo has what it finds out"
PLACE = "it is a file of the SDK's; what adapters use of it is in the package itself"
EXCEPTIONS = {
    "ModuleRunner.main_init": LOOPS,
    "ModuleRunner.main_loop": LOOPS,
    "ModuleRunner.status_update_loop": LOOPS,
    "ModuleRunner.get_command": LOOPS,
    "ModuleRunner.send_response": LOOPS,
    "ModuleRunner.long_running_command_task": LOOPS,
    "ModuleRunner.long_running_command_id": LOOPS,
    "ModuleRunner.last_long_running_output": LOOPS,
    "ModuleOptions.root_path": "it is left over from how the SDK finds server_root_path",
    **dict.fromkeys(["CPUInfoBase", "LinuxCPUInfo", "IRIXCPUInfo", "DarwinCPUInfo",
                     "NetBSDCPUInfo", "SunOSCPUInfo", "Win32CPUInfo", "cpuinfo"], CPU),
    **dict.fromkeys(["common", "module_logging", "module_options", "module_runner",
                     "request_data", "system_info", "utils"], PLACE),
}
# Private names that public adapters ask for all the same.
PRIVATE = ["ModuleRunner._performing_self_test"]

DESCRIBE = '''
import enum
import importlib
import inspect
import json
import sys

def parameters(function):
    """Return the parameters, each with its kind and whether it has a default."""
    found = inspect.signature(function).parameters.values()
    return [[one.name, str(one.kind), one.default is not one.empty] for one in found]

def value_of(found):
    if isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    if inspect.isfunction(found):
        kind = "coroutine function" if inspect.iscoroutinefunction(found) else "function"
        return {"kind": kind, "parameters": parameters(found)}
    return {"kind": "value"}

def members(kind):
    if issubclass(kind, enum.Enum):
        return {one.name: {"kind": "member", "is": repr(one.value)} for one in kind}
    names = {name for name in dir(kind) if name not in dir(object)}
    found = {name: value_of(inspect.getattr_static(kind, name)) for name in names}
    if not kind.__module__.endswith("cpuinfo"):  # of which there is one class for each system
        for name in set(dir(kind())) - set(dir(object)) - names:
            found[name] = {"kind": "value"}
    found["__init__"] = {"kind": "function", "parameters": parameters(kind)}
    return found

def describe(package, names):
    found = {}
    for name in names or dir(package):
        if name.startswith("_") or not hasattr(package, name):
            continue
        value = getattr(package, name)
        found[name] = value_of(value)
        if inspect.isclass(value):
            found[name] = {"kind": "class"}
            for member, its in members(value).items():
                found[f"{name}.{member}"] = its
    return found

names = json.loads(sys.argv[2])
print(json.dumps(describe(importlib.import_module(sys.argv[1]), names)))
'''


def describe(package, names=()):
    done = subprocess.run([sys.executable, "-c", DESCRIBE, package, json.dumps(list(names))],
                          cwd=str(ROOT), stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def is_public(name):
    last = name.rpartition(".")[2]
    return last == "__init__" or not last.startswith("_") or name in PRIVATE


def takes_as_much(ours, theirs):
    """Return whether every call that one accepts means the same to the other.

    Ours may have more parameters, if they have defaults.
    """
    for mine, its in zip(ours, theirs):
        if mine[:2] != its[:2] or (its[2] and not mine[2]):
            return False
    return len(ours) >= len(theirs) and all(mine[2] for mine in ours[len(theirs):])


def test_every_public_name():
    """Each name, class, member and parameter of the SDK is there, but for those with a reason."""
    theirs = describe("codeproject_ai_sdk")
    ours = describe("longop.codeproject", [name for name in theirs if "." not in name])
    public = {name: its for name, its in theirs.items() if is_public(name)}
    wrong = {}
    for name, its in public.items():
        mine = ours.get(name)
        if name in EXCEPTIONS or name.partition(".")[0] in EXCEPTIONS:
            assert mine is None, f"{name} is no exception any more"
        elif mine is None:
            wrong[name] = "is missing"
        elif mine["kind"] != its["kind"] or mine.get("is") != its.get("is"):
            wrong[name] = mine
        elif not takes_as_much(mine.get("parameters", []), its.get("parameters", [])):
            wrong[name] = mine["parameters"], its["parameters"]
    assert wrong == {}
    assert len(public) > 100
    assert set(EXCEPTIONS) <= set(public)

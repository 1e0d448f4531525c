"""``modulesettings.json``: a module's name, routes and environment.

https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import os
import re
import typing
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ..values.conversion import kind_of
from ..errors import TargetError
from ..signature import Arguments, Parameter, Parameters
from ..values.kinds import Kind
from . import folders, machine, overlays
from .parts import Part

#: What an input is converted to, by its ``Type`` in lower case. All others are text.
_TYPES: dict[str, type] = {
    "integer": int, "int": int,
    "float": float, "number": float, "double": float,
    "boolean": bool, "bool": bool,
    "file": bytes,
}
#: What each macro stands for, by the macro.
Macros = Mapping[str, Callable[[], str]]
_URL = "[a-zA-Z][a-zA-Z0-9+.-]+://"


class RouteMap(NamedTuple):
    """A path below ``/v1``, and the command that a request for it stands for."""

    path: str
    name: str
    command: str
    description: str
    inputs: Inputs


@dataclass
class Settings:
    """What the file in a folder says. Without a file, the folder's name is the module's."""

    id: str
    name: str
    version: str = ""
    #: The file that CodeProject starts, in the folder or below it.
    entry: str = ""
    category: str = ""
    routes: list[RouteMap] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


class Inputs(Parameters):
    """The inputs of a route: parameters that are passed together, as one mapping.

    They describe what the adapter takes, and nothing is checked against them, as in
    CodeProject: an adapter gets each value as it came.
    """

    def __init__(self, records: Iterable[Parameter] = ()) -> None:
        super().__init__(records, takes_more=True)

    def parse(self, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Return the values as they came, one of a name or a list of them."""
        received = self.receive(values)
        return {name: given[0] if len(given) == 1 else given
                for name, given in received.items()}

    def receive(self, values: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Return the values of each name as they came; base64 of a file becomes the file."""
        return {name: [self._receive_one(name, value) for value in given]
                for name, given in values.items()}

    def _receive_one(self, name: str, value: Any) -> Any:
        if not (value and isinstance(value, str) and self.takes_file(name)):
            return value
        try:
            return self.by_name[name].kind.convert(value)
        except ValueError:  # it is another text, which the adapter may know
            return value

    def bind(self, values: Mapping[str, Any], callback: object) -> Arguments:
        """Return the arguments of the call: the callback, and all values as one mapping."""
        return (callback, values), {}


def read(folder: str) -> Settings:
    """Return the settings in a folder.

    Raises `TargetError`, which says what is wrong in the file, and where.
    """
    if not folders.has_settings(folder):
        name = os.path.basename(os.path.abspath(folder))
        return Settings(name, name)
    files = overlays.files_of(folder)
    try:
        return _read_module(overlays.load(files), os.path.abspath(folder))
    except (OSError, ValueError) as error:
        where = " with ".join([files[0], *map(os.path.basename, files[1:])])
        raise TargetError(f"{where}: {' '.join(str(error).split())}") from error


def set_environment(settings: Settings) -> None:
    """Set a module's variables in the environment; those that are set already stay."""
    for name, value in settings.environment.items():
        os.environ.setdefault(name, value)


def read_identity(folder: str) -> tuple[str, str]:
    """Return a module's id and name: from the environment, or else from the file."""
    id = os.environ.get("CPAI_MODULE_ID")
    name = os.environ.get("CPAI_MODULE_NAME")
    if not (id and name):
        settings = read(folder)
        id = id or settings.id
        name = name or settings.name
    return id, name


# The file


def _read_module(whole: Part, folder: str) -> Settings:
    """Return the settings of the first module in the file, as the SDK does."""
    modules = whole.get("Modules", dict)
    id = next(iter(modules.value), "")
    if not id:
        raise ValueError("Modules has no module")
    module = modules.get(id, dict)
    macros = _macros(id, folder)
    settings = Settings(id, module.text("Name", id), module.text("Version", ""))
    # Before version 2.5 of the server, what these three hold stood in the module itself.
    launch = module.get("LaunchSettings", dict, module.value)
    gpu = module.get("GpuOptions", dict, module.value)
    publishing = module.get("PublishingInfo", dict, module.value)
    settings.entry = launch.text("FilePath", "").replace("\\", "/")
    settings.category = publishing.text("Category", "")
    for part in module.get("RouteMaps", list, []).parts():
        settings.routes.append(_read_route(part, macros))
    settings.environment = {
        **_launch_environment(launch, gpu, macros),
        **_read_environment(module, macros),
    }
    return settings


def _launch_environment(launch: Part, gpu: Part, macros: Macros) -> dict[str, str]:
    """Return the variables that CodeProject makes of the rest of the settings."""
    found = {
        "CPAI_MODULE_QUEUENAME": _expand(launch.word("Queue"), macros),
        "CPAI_MODULE_PARALLELISM": launch.count("Parallelism"),
        "CPAI_MODULE_REQUIRED_MB": launch.count("RequiredMb"),
        "CPAI_LOG_VERBOSITY": launch.word("LogVerbosity"),
        "CPAI_ACCEL_DEVICE_NAME": gpu.word("AcceleratorDeviceName"),
        "CPAI_HALF_PRECISION": gpu.word("HalfPrecision"),
    }
    allowing = ("InstallGPU", "EnableGPU", "SupportGPU")  # the last one is the oldest
    if not all(gpu.get(key, object, True).value for key in allowing):
        found["CPAI_MODULE_ENABLE_GPU"] = "False"
    return {name: text for name, text in found.items() if text}


def _read_route(part: Part, macros: Macros) -> RouteMap:
    key = "Path" if part.word("Path") and not part.word("Route") else "Route"  # as it was, as it is
    path = _expand(part.text(key), macros).strip("/")
    if not path:
        raise ValueError(f"{part.place}.{key} is empty")
    return RouteMap(
        path=path,
        name=part.text("Name", path),
        command=_expand(part.text("Command", ""), macros),
        description=part.text("Description", ""),
        inputs=Inputs(map(_read_input, part.get("Inputs", list, []).parts())))


def _read_input(part: Part) -> Parameter:
    wanted = _TYPES.get(part.text("Type", "text").lower(), str)
    return Parameter(
        name=part.text("Name"),
        kind=_bounded(kind_of(typing.Optional[wanted]),
                      part.number("MinValue"), part.number("MaxValue")),
        default=part.get("DefaultValue", object, None).value,
        description=part.text("Description", ""))


def _bounded(kind: Kind, low: float | None, high: float | None) -> Kind:
    """Return the kind with bounds, where there are any."""
    schema = dict(kind.schema)
    if low is not None:
        schema["minimum"] = low
    if high is not None:
        schema["maximum"] = high
    return kind._replace(schema=schema)


def _read_environment(module: Part, macros: Macros) -> dict[str, str]:
    variables = module.get("EnvironmentVariables", dict, {})
    found = {}
    for name, value in variables.value.items():
        if isinstance(value, (dict, list)) or "=" in name or not name:
            raise ValueError(f"{variables.place}.{name} must be a text, without = in its name")
        if value is not None:
            found[name.upper()] = _expand_variable(str(value), macros)
    return found


def _expand_variable(text: str, macros: Macros) -> str:
    """Return the value of a variable: a path, unless it begins with ``@`` or is a URL."""
    if text.startswith("@"):
        return text[1:]
    expanded = _expand(text, macros)
    if re.match(_URL, expanded):
        return expanded
    return expanded.replace("\\", os.sep).replace("/", os.sep)


def _macros(id: str, folder: str) -> Macros:
    """Return what each macro stands for. It is found out only if a text has the macro."""
    modules = os.path.dirname(folder)

    def root() -> str:
        of_server = os.environ.get("CPAI_APPROOTPATH") or folders.find_server_root(folder)
        return of_server or os.path.dirname(modules)

    return {
        "%MODULE_ID%": lambda: id,
        "%CURRENT_MODULE_PATH%": lambda: folder,
        "%MODULES_PATH%": lambda: modules,
        "%ROOT_PATH%": root,
        "%RUNTIMES_PATH%": lambda: os.path.join(root(), "runtimes"),
        "%DATA_DIR%": folders.data_folder,
        "%OS%": machine.system_name,
        "%PLATFORM%": machine.platform_name,
    }


def _expand(text: str, macros: Macros) -> str:
    for macro, find in macros.items():
        if macro in text:
            text = text.replace(macro, find())
    return text

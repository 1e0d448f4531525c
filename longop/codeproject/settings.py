"""``modulesettings.json``: a module's name, routes and environment.

It is read as CodeProject.AI Server reads it: comments, trailing commas and a byte order mark
are accepted, and the case of a key does not matter.
https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import math
import os
import re
import sys
import typing
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ..values.conversion import kind_of
from ..errors import TargetError
from ..values.jsontext import loads
from ..signature import Arguments, Parameter, Parameters
from ..values.kinds import Kind
from . import folders

#: What an input is converted to, by its ``Type`` in lower case. All others are text.
_TYPES: dict[str, type] = {
    "integer": int, "int": int,
    "float": float, "number": float, "double": float,
    "boolean": bool, "bool": bool,
    "file": bytes,
}
_SYSTEMS = {"win32": "windows", "darwin": "macos"}
#: What each macro stands for, by the macro.
Macros = Mapping[str, Callable[[], str]]
_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}
_STRING = r'("(?:\\.|[^"\\\n])*")'
_COMMENT = _STRING + r"|//[^\n]*|#[^\n]*|/\*.*?\*/"
_TRAILING_COMMA = _STRING + r"|,(?=\s*[}\]])"


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
    file = os.path.join(folder, folders.SETTINGS)
    if not folders.has_settings(folder):
        name = os.path.basename(os.path.abspath(folder))
        return Settings(name, name)
    try:
        with open(file, encoding="utf-8-sig") as source:
            whole = loads(_strip(source.read()))
        return _read_module(whole, os.path.abspath(folder))
    except (OSError, ValueError) as error:
        raise TargetError(f"{file}: {' '.join(str(error).split())}") from error


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


def _read_module(whole: Any, folder: str) -> Settings:
    """Return the settings of the first module in the file, as the SDK does."""
    modules = _Part({"": whole}, "").get("", dict).get("Modules", dict)
    id = next(iter(modules.value), "")
    if not id:
        raise ValueError("Modules has no module")
    module = modules.get(id, dict)
    macros = _macros(id, folder)
    settings = Settings(id, module.text("Name", id), module.text("Version", ""))
    # Before version 2.4 of the server, its parts stood in the module itself.
    launch = module.get("LaunchSettings", dict, module.value)
    settings.entry = launch.text("FilePath", "").replace("\\", "/")
    settings.category = module.get("PublishingInfo", dict, {}).text("Category", "")
    for part in module.get("RouteMaps", list, []).parts():
        settings.routes.append(_read_route(part, macros))
    settings.environment = {
        **_launch_environment(launch, module.get("GpuOptions", dict, {}), macros),
        **_read_environment(module, macros),
    }
    return settings


def _launch_environment(launch: _Part, gpu: _Part, macros: Macros) -> dict[str, str]:
    """Return the variables that CodeProject makes of the rest of the settings."""
    found = {
        "CPAI_MODULE_QUEUENAME": _expand(launch.word("Queue"), macros),
        "CPAI_MODULE_PARALLELISM": launch.count("Parallelism"),
        "CPAI_MODULE_REQUIRED_MB": launch.count("RequiredMb"),
        "CPAI_LOG_VERBOSITY": launch.word("LogVerbosity"),
        "CPAI_ACCEL_DEVICE_NAME": gpu.word("AcceleratorDeviceName"),
        "CPAI_HALF_PRECISION": gpu.word("HalfPrecision"),
    }
    allowed = [gpu.get(key, object, True).value for key in ("InstallGPU", "EnableGPU")]
    if not all(allowed):
        found["CPAI_MODULE_ENABLE_GPU"] = "False"
    return {name: text for name, text in found.items() if text}


def _read_route(part: _Part, macros: Macros) -> RouteMap:
    path = _expand(part.text("Route"), macros).strip("/")
    if not path:
        raise ValueError(f"{part.place}.Route is empty")
    return RouteMap(
        path=path,
        name=part.text("Name", path),
        command=_expand(part.text("Command", ""), macros),
        description=part.text("Description", ""),
        inputs=Inputs(map(_read_input, part.get("Inputs", list, []).parts())))


def _read_input(part: _Part) -> Parameter:
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


def _read_environment(module: _Part, macros: Macros) -> dict[str, str]:
    variables = module.get("EnvironmentVariables", dict, {})
    found = {}
    for name, value in variables.value.items():
        if isinstance(value, (dict, list)) or "=" in name or not name:
            raise ValueError(f"{variables.place}.{name} must be a text, without = in its name")
        if value is not None:
            found[name.upper()] = _expand_variable(str(value), macros)
    return found


def _expand_variable(text: str, macros: Macros) -> str:
    """Return the value of a variable; it is taken for a path, unless it begins with ``@``."""
    if text.startswith("@"):
        return text[1:]
    return _expand(text, macros).replace("\\", os.sep).replace("/", os.sep)


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
        "%OS%": _system_name,
        "%PLATFORM%": _platform_name,
    }


def _system_name() -> str:
    return _SYSTEMS.get(sys.platform, "linux")


def _platform_name() -> str:
    import platform  # few settings have this macro

    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    return _system_name() + ("-arm64" if is_arm else "")


def _expand(text: str, macros: Macros) -> str:
    for macro, find in macros.items():
        if macro in text:
            text = text.replace(macro, find())
    return text


def _strip(text: str) -> str:
    """Return the text without comments and trailing commas.

    They become blanks, so that an error of the JSON reader names the right line and column.
    """
    text = re.sub(_COMMENT, _blank, text, flags=re.DOTALL)
    return re.sub(_TRAILING_COMMA, _blank, text)


def _blank(match: re.Match[str]) -> str:
    string = match[1]
    return string or re.sub(r"[^\n]", " ", match[0])


class _Part:
    """A value in the file, and its place there, such as ``Modules.Mod.RouteMaps[0]``."""

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    def get(self, key: str, kind: type, *default: Any) -> _Part:
        """Return the value of a key, or the default.

        Raises ``ValueError`` if the value is of another kind, or missing without a default.
        """
        place = f"{self.place}.{key}".strip(".")
        by_lower_case = {name.lower(): value for name, value in self.value.items()}
        value = by_lower_case.get(key.lower())
        if value is None and default:
            return _Part(default[0], place)
        if value is None and place:
            raise ValueError(f"{place} is missing")
        if not isinstance(value, kind):
            where = place or "the whole file"
            raise ValueError(f"{where} must be {_KINDS[kind]}, not {value!r:.40}")
        return _Part(value, place)

    def text(self, key: str, *default: str) -> str:
        """Return a text."""
        return str(self.get(key, str, *default).value)

    def number(self, key: str) -> float | None:
        """Return a number, which may be written as text, or None if there is none."""
        part = self.get(key, object, None)
        if part.value is None:
            return None
        try:
            number = float(part.value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{part.place} must be a number, not {part.value!r:.40}")
        return number

    def count(self, key: str) -> str:
        """Return a whole number as text, or an empty text if there is none above 0."""
        number = int(self.number(key) or 0)
        return str(number) if number > 0 else ""

    def word(self, key: str) -> str:
        """Return a text, or an empty one if there is something else."""
        value = self.get(key, object, None).value
        return value if isinstance(value, str) else ""

    def parts(self) -> list[_Part]:
        """Return the objects in a list."""
        return [_Part({"": value}, f"{self.place}[{i}]").get("", dict)
                for i, value in enumerate(self.value)]

"""`ModuleOptions`: what CodeProject tells a module in its environment, by the SDK's names.

Each is read when it is asked for, because a module's settings may set the environment. An
empty variable is like a missing one, and a value that makes no sense is ignored.
"""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import Any, Callable, Generic, TypeVar

from ..errors import TargetError
from .folders import find_server_root
from .settings import read_identity

_T = TypeVar("_T")
_DEFAULT_PORT = 32168


class LogVerbosity(Enum):
    """How much is logged."""

    Unknown = "unknown"
    Quiet = "quiet"
    Info = "info"
    Loud = "loud"


class _Option(Generic[_T]):
    """An attribute of a class, and of its objects, that is found out when it is asked for."""

    def __init__(self, find: Callable[[], _T]) -> None:
        self._find = find

    def __get__(self, instance: object, owner: type | None = None) -> _T:
        return self._find()


def variable(name: str, default: Any = "") -> Any:
    """Return a variable of the environment; the default if it is empty or missing."""
    return os.environ.get(name) or default


def identity(folder: str) -> tuple[str, str]:
    """Return a module's id and name; without readable settings they are its folder's name."""
    try:
        return read_identity(folder)
    except TargetError:  # raised again when the module is made
        name = os.path.basename(os.path.abspath(folder))
        return variable("CPAI_MODULE_ID", name), variable("CPAI_MODULE_NAME", name)


def queue_name(module_id: str) -> str:
    """Return the name of a module's queue."""
    return str(variable("CPAI_MODULE_QUEUENAME", f"{module_id.lower()}_queue"))


def server_root(folder: str) -> str | None:
    """Return the root folder of the server: as it says, or as a module's folder tells."""
    return variable("CPAI_APPROOTPATH", None) or find_server_root(folder)


def _is_true(name: str, default: str) -> bool:
    return str(variable(name, default)).lower() == "true"


def _number(name: str) -> int:
    text = variable(name)
    return int(text) if text.isdecimal() else 0


def _module_path() -> str:
    folder: str = variable("CPAI_MODULE_PATH", os.getcwd())
    return os.path.normpath(folder)


def _module_id() -> str:
    return identity(_module_path())[0]


def _port() -> int:
    port = _number("CPAI_PORT")
    return port if 0 < port < 65_536 else _DEFAULT_PORT


def _parallelism() -> int:
    return _number("CPAI_MODULE_PARALLELISM") or max(1, (os.cpu_count() or 2) // 2)


def _half_precision() -> str | None:
    word: str = variable("CPAI_HALF_PRECISION")
    return word if word in ("enable", "disable", "force") else None


def _log_verbosity() -> LogVerbosity:
    text = variable("CPAI_LOG_VERBOSITY").lower()
    return LogVerbosity(text if text in ("info", "loud") else "quiet")


class ModuleOptions:
    """What CodeProject tells a module in its environment."""

    accel_device_name = _Option[Any](lambda: variable("CPAI_ACCEL_DEVICE_NAME", None))
    base_api_url = _Option(lambda: f"http://localhost:{_port()}/v1/")
    current_file_path = _Option(lambda: os.path.dirname(__file__))
    enable_GPU = _Option(  # noqa: N815
        lambda: _is_true("CPAI_MODULE_ENABLE_GPU", "true"))
    half_precision = _Option(_half_precision)
    launched_by_server = _Option(lambda: _is_true("CPAI_MODULE_SERVER_LAUNCHED", "false"))
    log_verbosity = _Option(_log_verbosity)
    module_id = _Option(_module_id)
    module_name = _Option(lambda: identity(_module_path())[1])
    module_path = _Option(_module_path)
    parallelism = _Option(_parallelism)
    port = _Option(_port)
    python_dir = _Option(lambda: os.path.dirname(sys.executable))
    queue_name = _Option(lambda: queue_name(_module_id()))
    required_MB = _Option(  # noqa: N815
        lambda: _number("CPAI_MODULE_REQUIRED_MB"))
    server_root_path = _Option(lambda: server_root(_module_path()))

    @staticmethod
    def getEnvVariable(name: str, default: Any = "") -> Any:  # noqa: N802
        """Return a variable of the environment; the default if it is empty or missing."""
        return variable(name, default)

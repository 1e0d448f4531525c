"""What an adapter is written with: `ModuleRunner`, and how it logs.

The names, and what they do, are those of CodeProject's SDK,
https://pypi.org/project/codeproject-ai-sdk/.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from enum import Enum, Flag
from typing import Any, Dict, List, Union

from .. import wings
from ..errors import TargetError
from ..job import logger
from .checkpoints import checkpoint
from .request import RequestData
from .settings import read_identity
from .system import SystemInfo

JSON = Union[None, bool, int, float, str, List[Any], Dict[str, Any]]
_DEFAULT_PORT = 32168
#: Python's log levels, by the names of .NET's. All other names mean INFO.
_LOG_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class LogMethod(Flag):
    """Where a log entry goes. Here all go to Python's `logging`; a module passes them on."""

    Unknown = 0
    Info = 1
    Error = 2
    Server = 4
    File = 8
    All = 15


class LogVerbosity(Enum):
    """How much is logged."""

    Unknown = "unknown"
    Quiet = "quiet"
    Info = "info"
    Loud = "loud"


class ModuleRunner:
    """The base class of adapters. Each method may be overridden; only `process` must be.

    Its attributes come from the environment that CodeProject sets, with the SDK's defaults.
    A value that makes no sense is ignored.

    :param folder: the module's folder, unless the environment names it; by default the folder
        of the file in which the adapter is written.

    Each use of an attribute is a checkpoint of a long command: see `checkpoints`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._read_identity(folder)
        self._read_environment()
        self.system_info = SystemInfo()
        self.inference_device = "CPU"
        self.inference_library = ""
        self.can_use_GPU = False
        self.selftest_check_pkgs = False
        #: Set to False, by `cancel_command_task` too, it says that a command stops by itself.
        self.force_shutdown = True
        self._successful_inferences = 0
        self._failed_inferences = 0
        self._total_inference_time_ms = 0

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        checkpoint()

    def __getattribute__(self, name: str) -> Any:
        checkpoint()
        return object.__getattribute__(self, name)

    def start_loop(self) -> None:
        """Run until CodeProject says to quit, or, with ``--selftest``, test; then exit."""
        # By its name, because that module imports this one.
        commands: Any = wings.require("codeproject.__main__", "start_loop()")
        sys.exit(commands.main(adapter=self))

    # What an adapter overrides

    def initialise(self) -> None:
        """Begin. Called once, before any request."""

    def initialize(self) -> None:
        """Begin: the other spelling. If overridden, it is called in place of `initialise`."""

    def process(self, data: RequestData) -> Any:
        """Answer a request.

        Return a mapping, or, if the command takes long, a function to call with the data. Both
        this method and that function may be coroutine functions.

        Called in several threads at once.
        """
        raise NotImplementedError

    def module_status(self) -> Any:
        """Return what the module says of itself, beside its statistics."""
        return {}

    def status(self) -> Any:
        """Return `module_status`."""
        return self.module_status()

    def command_status(self) -> Any:
        """Return what is said of a long command while it runs."""
        return {}

    def cancel_command_task(self) -> None:
        """Have the long command stop."""

    def update_statistics(self, response: Any) -> None:
        """Count an answer: of a long command, at its end. Called by one thread at a time."""
        if response.get("success") is not True:
            self._failed_inferences += 1
            return
        self._successful_inferences += 1
        with contextlib.suppress(OverflowError, TypeError, ValueError):
            self._total_inference_time_ms += int(response.get("inferenceMs") or 0)

    def selftest(self) -> Any:
        """Return ``{"success": True}`` if the module works."""
        return {"success": True}

    def cleanup(self) -> None:
        """Clean up. Called once, after the last job."""

    # What an adapter calls

    def log(self, log_method: LogMethod, data: Any) -> None:
        """Log ``data["message"]`` at ``data["loglevel"]``."""
        level = str(data.get("loglevel")).lower()
        logger.log(_LOG_LEVELS.get(level, logging.INFO), "%s", data.get("message"))

    async def log_async(self, log_method: LogMethod, data: Any) -> None:
        """Log, as `log` does."""
        self.log(log_method, data)

    def report_error(self, exception: BaseException | None, filename: str,
                     message: str | None = None) -> None:
        """Log an error that happened in a file."""
        logger.error("%s: %s", filename, message or exception, exc_info=exception)

    async def report_error_async(self, exception: BaseException | None, filename: str,
                                 message: str | None = None) -> None:
        """Log an error, as `report_error` does."""
        self.report_error(exception, filename, message)

    def start_timer(self, desc: str) -> tuple[str, float]:
        """Return a timer for `end_timer`."""
        return desc, time.perf_counter()

    def end_timer(self, timer: tuple[str, float], label: str = "timing",
                  command: str | None = None) -> None:
        """Log how long ago a timer was started."""
        description, began = timer
        logger.info("%s took %.0fms", description, (time.perf_counter() - began) * 1000)

    def _read_identity(self, folder: str | None) -> None:
        folder = os.environ.get("CPAI_MODULE_PATH") or folder or _folder_of(type(self))
        self.module_path = os.path.normpath(folder)
        self.module_id = os.path.basename(os.path.abspath(self.module_path))
        self.module_name = self.module_id
        with contextlib.suppress(TargetError):  # raised again when the module is made
            self.module_id, self.module_name = read_identity(self.module_path)

    def _read_environment(self) -> None:
        variable = os.environ.get
        usual_name = f"{self.module_id.lower()}_queue"
        self.queue_name = variable("CPAI_MODULE_QUEUENAME") or usual_name
        self.port = _read_port()
        self.base_api_url = f"http://localhost:{self.port}/v1/"
        self.server_root_path = variable("CPAI_APPROOTPATH")
        self.launched_by_server = variable("CPAI_MODULE_SERVER_LAUNCHED", "").lower() == "true"
        self.python_dir = os.path.dirname(sys.executable)
        self.required_MB = _read_number("CPAI_MODULE_REQUIRED_MB")
        self.accel_device_name = variable("CPAI_ACCEL_DEVICE_NAME")
        self.parallelism = _read_number("CPAI_MODULE_PARALLELISM") or _default_parallelism()
        self.enable_GPU = variable("CPAI_MODULE_ENABLE_GPU", "true").lower() == "true"
        half = variable("CPAI_HALF_PRECISION")
        self.half_precision = half if half in ("enable", "disable", "force") else "disable"
        self.log_verbosity = _read_verbosity()


def _folder_of(kind: type) -> str:
    """Return the folder of the file in which an adapter is written."""
    file: str | None = getattr(sys.modules[kind.__module__], "__file__", None)
    is_ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    if is_ours or not file:
        return "."
    return os.path.dirname(os.path.abspath(file))


def _read_number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else 0


def _read_port() -> int:
    port = _read_number("CPAI_PORT")
    return port if 0 < port < 65_536 else _DEFAULT_PORT


def _default_parallelism() -> int:
    return max(1, (os.cpu_count() or 2) // 2)


def _read_verbosity() -> LogVerbosity:
    text = os.environ.get("CPAI_LOG_VERBOSITY", "").lower()
    return LogVerbosity(text if text in ("info", "loud") else "quiet")

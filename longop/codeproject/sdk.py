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
from enum import Flag
from functools import cached_property
from typing import Any, Dict, Iterator, List, Union

from .. import wings
from ..errors import TargetError
from ..job import logger
from . import helpers, machine, options
from .checkpoints import checkpoint
from .folders import module_folder
from .options import ModuleOptions
from .request import RequestData
from .settings import read, set_environment
from .system import SystemInfo

JSON = Union[None, bool, int, float, str, List[Any], Dict[str, Any]]
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


class ModuleRunner:
    """The base class of adapters. Each method may be overridden; only `process` must be.

    Its attributes come from the environment that CodeProject sets (see `ModuleOptions`). As far
    as that says nothing, they come from the module's settings, whose variables are set first.

    :param folder: the module's folder, unless the environment names it; by default that of the
        file in which the adapter is written, or the nearest one above it with settings.

    Each use of an attribute is a checkpoint of a long command: see `checkpoints`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.module_path = os.path.normpath(folder_of(type(self), folder))
        with contextlib.suppress(TargetError):  # raised again when the module is made
            set_environment(read(self.module_path))
        self._take_options()
        self.system_info = SystemInfo()
        self.inference_device = "CPU"
        self.inference_library = ""
        self.can_use_GPU = False
        self.selftest_check_pkgs = True
        # Adapters ask for it when they begin: a test may need no model, for example.
        self._performing_self_test = "--selftest" in sys.argv[1:]
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
        """Begin. Called once, before any request. May be a coroutine function."""

    def initialize(self) -> None:
        """Begin: the other spelling. If overridden, it is called in place of `initialise`."""

    def process(self, data: RequestData) -> Any:
        """Answer a request.

        Return a mapping, or, if the command takes long, a function to call with the data. Both
        this method and that function may be coroutine functions.

        Called in up to `parallelism` threads at once.
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
        if not data:
            return
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

    async def call_api(self, method: str, files: Any = None, data: Any = None) -> Any:
        """Call CodeProject, such as for the work of another module; return its answer.

        :param method: the path below ``/v1/``.
        :param files: the name, content and type of each file, by the name of its field.
        :param data: the values, by their names.

        The answer is text or a value of JSON; without one it is an empty text.
        """
        import asyncio  # whoever awaits this has loaded it

        loop = asyncio.get_running_loop()
        url = self.base_api_url + method
        return await loop.run_in_executor(
            None, helpers.post_form, url, data or {}, files or {})

    def check_packages(self) -> None:
        """Log which packages that the module requires are not installed."""
        file = self.get_requirements_filepath()
        if file is None:
            return
        for name in helpers.missing_packages(file):
            logger.warning("%s asks for %s, which is not installed", file, name)

    def get_requirements_filepath(self) -> str | None:
        """Return the file of the packages that the module requires here, or None."""
        for name in self._names_of_requirements():
            path = os.path.join(self.module_path, name)
            if os.path.exists(path):
                return path
        return None

    # What is known of the machine only after some work

    @cached_property
    def half_precision(self) -> str:
        """``enable``, ``disable`` or ``force``: whether to compute with half precision."""
        given = ModuleOptions.half_precision
        if given is not None:
            return given
        return "enable" if self.system_info.hasTorchHalfPrecision else "disable"

    @cached_property
    def python_pkgs_dir(self) -> str:
        """The folder of the packages that are installed."""
        import sysconfig  # few adapters ask for it

        return sysconfig.get_path("purelib")

    def _take_options(self) -> None:
        """Take what the environment says: from now on the adapter may change its own copy."""
        folder = self.module_path
        self.module_id, self.module_name = options.identity(folder)
        self.queue_name = options.queue_name(self.module_id)
        self.server_root_path = options.server_root(folder)
        self.port = ModuleOptions.port
        self.base_api_url = ModuleOptions.base_api_url
        self.launched_by_server = ModuleOptions.launched_by_server
        self.python_dir = ModuleOptions.python_dir
        self.required_MB = ModuleOptions.required_MB
        self.accel_device_name = ModuleOptions.accel_device_name
        self.parallelism = ModuleOptions.parallelism
        self.enable_GPU = ModuleOptions.enable_GPU
        self.log_verbosity = ModuleOptions.log_verbosity
        if self.enable_GPU and sys.platform == "darwin":
            # What PyTorch cannot do on an Apple GPU it then does on the CPU.
            os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

    def _names_of_requirements(self) -> Iterator[str]:
        """Yield the files that may list the packages for this machine, the best one first."""
        info = self.system_info
        board = machine.board(info)
        if board:
            yield f"requirements.{board}.txt"
        for device in self._devices():
            for place in (f"{info.os}.{info.cpu_arch}", info.os, ""):
                parts = ("requirements", place.lower(), device, "txt")
                yield ".".join(part for part in parts if part)

    def _devices(self) -> Iterator[str]:
        if self.enable_GPU:
            if self.system_info.hasTorchROCm:
                yield "rocm"
            if self.system_info.hasTorchCuda:
                yield "cuda"
            yield "gpu"
        yield ""


def folder_of(kind: type, given: str | None = None) -> str:
    """Return a module's folder: as CodeProject says, as is given, or that of its adapter."""
    of_server: str | None = options.variable("CPAI_MODULE_PATH", None)
    return of_server or given or _home_of(kind)


def _home_of(kind: type) -> str:
    """Return the folder of the module that an adapter is written in."""
    file: str | None = getattr(sys.modules[kind.__module__], "__file__", None)
    is_ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    if is_ours or not file:
        return "."
    return module_folder(file)

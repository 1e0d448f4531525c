"""What an adapter of CodeProject.AI Server is written with, by the names of that server's SDK.

Where the names and what they do come from: https://pypi.org/project/codeproject-ai-sdk/.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import platform
import sys
import threading
import time
from enum import Enum, Flag
from importlib import import_module
from typing import Any, Callable, Dict, List, Mapping, Sequence, Union

from .commands import unfold
from ..errors import LongOperationError, TargetError
from ..job import logger
from .settings import read_identity

JSON = Union[None, bool, int, float, str, List[Any], Dict[str, Any]]
#: In a thread that runs a long command its ``checkpoint``: see `adapter`.
running = threading.local()


class LogMethod(Flag):
    """Where a log entry goes. Here they all go to Python's `logging`, and on to the server."""

    Unknown, Info, Error, Server, File, All = 0, 1, 2, 4, 8, 15


class LogVerbosity(Enum):
    """How much is logged."""

    Unknown, Quiet, Info, Loud = "unknown", "quiet", "info", "loud"


class ModuleOptions:
    """What that server tells a module in its environment."""

    @staticmethod
    def getEnvVariable(name: str, default: Any = "") -> Any:  # noqa: N802
        """Return a variable of the environment."""
        return os.environ.get(name, default)


class SystemInfo:
    """What is known of this machine; what would need a package that is not there, it has not."""

    def __init__(self) -> None:
        self.os = self.system = platform.system().replace("Darwin", "macOS")
        self.cpu_brand = self.cpu_vendor = ""  # to find them out would start a process
        self.cpu_arch = platform.machine()

    def __getattr__(self, name: str) -> bool:
        if not name.startswith("has"):
            raise AttributeError(name)
        with contextlib.suppress(Exception):
            return bool(import_module(_HAS[name]).is_available())
        return False


_HAS = {"hasTorchCuda": "torch.cuda", "hasTorchMPS": "torch.backends.mps"}


class RequestData:
    """A request to a module: its command, values and files.

    :param text: an entry of the server's queue, as JSON.
    """

    def __init__(self, text: str | None = None) -> None:
        entry = {} if text is None else json.loads(text)
        self.request_id: str = entry.get("reqid") or ""
        self.payload: dict[str, Any] = entry.get("payload") or {
            "command": None, "queue": "N/A", "urlSegments": [], "values": [], "files": []}

    @classmethod
    def of(cls, values: Mapping[str, list[Any]], command: str, segments: Sequence[str],
           id: str = "") -> RequestData:
        """Return the request with these values, of which the uploaded files are ``bytes``."""
        data = cls()
        data.request_id, data.command, data.segments = id, command, [*segments]
        for name, given in values.items():
            texts = [value for value in given if not isinstance(value, bytes)]
            if texts:
                data.payload["values"].append({"key": name, "value": texts})
            data.payload["files"] += [
                {"name": name, "filename": getattr(value, "filename", ""),
                 "contentType": getattr(value, "content_type", ""),
                 "data": base64.b64encode(value).decode()}
                for value in given if isinstance(value, bytes)]
        return data

    def parameters(self) -> dict[str, list[Any]]:
        """Return the values and the files by their names."""
        return unfold(self.payload)

    # An entry of the payload each, of which the server may send null

    def _entry(name: str) -> Any:  # type: ignore[misc]  # noqa: N805
        return property(lambda self: self.payload.get(name),
                        lambda self, value: self.payload.__setitem__(name, value))

    queue, command, segments = _entry("queue"), _entry("command"), _entry("urlSegments")
    value_list, files = _entry("values"), _entry("files")

    def json(self) -> str:
        """Return the request as JSON."""
        return json.dumps({"reqid": self.request_id, "payload": self.payload})

    def add_value(self, key: str, value: Any) -> None:
        """Add a value."""
        self.value_list = [*(self.value_list or ()), {"key": key, "value": [value]}]

    def add_file(self, file_name: str) -> None:
        """Add a file."""
        name = os.path.basename(file_name)
        self.files = [*(self.files or ()), {"name": name, "filename": name,
                                            "data": self.encode_file_contents(file_name)}]

    def get_value(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return the first value of this name."""
        values = (value["value"] for value in self.value_list or () if value["key"] == key)
        return next((each[0] for each in values if each and each[0] is not None), defaultValue)

    def get_int(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return a value as a whole number, or the default if it is none."""
        return self._converted(int, key, defaultValue)

    def get_float(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return a value as a number, or the default if it is none."""
        return self._converted(float, key, defaultValue)

    def get_bool(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return whether a value is one of the words for yes."""
        value = self.get_value(key)
        return defaultValue if value is None else str(value).lower() in (
            "y", "yes", "t", "true", "on", "1")

    def _converted(self, kind: Callable[[Any], Any], key: str, default: Any) -> Any:
        try:
            return kind(self.get_value(key))
        except (OverflowError, TypeError, ValueError):
            return default

    def get_file_bytes(self, index: int) -> Any:
        """Return what is in an uploaded file, or None if there is none."""
        with contextlib.suppress(IndexError, KeyError, TypeError, ValueError):
            return base64.b64decode(self.files[index]["data"])
        return None

    def get_image(self, index: int, module: str = "pil") -> Any:
        """Return an uploaded image, or None: Pillow's, in RGB, or for ``"opencv"`` an array."""
        data = self.get_file_bytes(index)
        if not data:
            return None
        try:
            if module == "opencv":
                cv2, numpy = import_module("cv2"), import_module("numpy")
                return cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
            return import_module("PIL.Image").open(io.BytesIO(data)).convert("RGB")
        except ImportError as error:
            raise LongOperationError(f"get_image needs a package: {error}") from error
        except Exception:
            logger.warning("the file %d is no image", index, exc_info=True)
            return None

    @staticmethod
    def clamp(value: Any, min_value: Any, max_value: Any) -> Any:
        """Return the value, or the bound that it is beyond."""
        return max(min(max_value, value), min_value)

    @staticmethod
    def restrict(value: Any, values: Any, default_value: Any) -> Any:
        """Return the value if it is one of these, else the default."""
        return value if value in values else default_value

    @staticmethod
    def encode_image(image: Any, image_format: str = "PNG") -> str:
        """Return one of Pillow's images as base64."""
        data = io.BytesIO()
        image.save(data, format=image_format)
        return base64.b64encode(data.getvalue()).decode()

    @staticmethod
    def encode_file_contents(file_name: str) -> str | None:
        """Return what is in a file as base64, or None if it cannot be read."""
        with contextlib.suppress(OSError), open(file_name, "rb") as file:
            return base64.b64encode(file.read()).decode()
        return None


class ModuleRunner:
    """The base of an adapter. Each method may be overridden; none needs to be but `process`."""

    def __init__(self, folder: str | None = None) -> None:
        variable = os.environ.get
        folder = variable("CPAI_MODULE_PATH") or folder or _folder_of(type(self))
        self.module_path = os.path.normpath(folder)
        self.module_id = self.module_name = os.path.basename(os.path.abspath(self.module_path))
        with contextlib.suppress(TargetError):  # which is raised as soon as it runs
            self.module_id, self.module_name = read_identity(self.module_path)
        self.queue_name = variable("CPAI_MODULE_QUEUENAME") or f"{self.module_id.lower()}_queue"
        self.port = _number("CPAI_PORT", 0)
        self.port = self.port if 0 < self.port < 65_536 else 32168
        self.base_api_url = f"http://localhost:{self.port}/v1/"
        self.server_root_path = variable("CPAI_APPROOTPATH")
        self.launched_by_server = variable("CPAI_MODULE_SERVER_LAUNCHED", "").lower() == "true"
        self.python_dir = os.path.dirname(sys.executable)
        self.required_MB = _number("CPAI_MODULE_REQUIRED_MB", 0)
        self.accel_device_name = variable("CPAI_ACCEL_DEVICE_NAME")
        self.parallelism = _number("CPAI_MODULE_PARALLELISM", 0) or max(1, (os.cpu_count() or 2)
                                                                        // 2)
        self.enable_GPU = variable("CPAI_MODULE_ENABLE_GPU", "true").lower() == "true"
        half = variable("CPAI_HALF_PRECISION")
        self.half_precision = half if half in ("enable", "disable", "force") else "disable"
        loud = variable("CPAI_LOG_VERBOSITY", "").lower()
        self.log_verbosity = LogVerbosity(loud if loud in ("info", "loud") else "quiet")
        self.system_info = SystemInfo()
        self.inference_device, self.inference_library, self.can_use_GPU = "CPU", "", False
        self.selftest_check_pkgs = False
        #: False, also once `cancel_command_task` has set it: the command ends by itself, soon.
        self.force_shutdown = True
        self._successful_inferences = self._failed_inferences = self._total_inference_time_ms = 0

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        checkpoint()

    def __getattribute__(self, name: str) -> Any:
        checkpoint()
        return object.__getattribute__(self, name)

    def start_loop(self) -> None:
        """Run until the server says to quit, or, with ``--selftest``, test; then exit."""
        from .__main__ import main

        sys.exit(main(adapter=self))

    def initialise(self) -> None:
        """Begin: called once."""

    def initialize(self) -> None:
        """Begin, for those who spell it so."""

    def process(self, data: RequestData) -> Any:
        """Answer a request: with a mapping, or, if it takes long, with what is to be called.

        That may be a coroutine function; it gets the data.
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
        """Count an answer; those of long commands too, at their ends."""
        if response.get("success") is True:
            self._successful_inferences += 1
            with contextlib.suppress(OverflowError, TypeError, ValueError):
                self._total_inference_time_ms += int(response.get("inferenceMs") or 0)
        else:
            self._failed_inferences += 1

    def selftest(self) -> Any:
        """Return ``{"success": True}`` if the module works."""
        return {"success": True}

    def cleanup(self) -> None:
        """End: called once."""

    def log(self, log_method: LogMethod, data: Any) -> None:
        """Log ``data["message"]`` at ``data["loglevel"]``."""
        level = str(data.get("loglevel") or "information").lower()
        known = {"trace": 10, "debug": 10, "warning": 30, "error": 40, "critical": 50}
        logger.log(known.get(level, logging.INFO), "%s", data.get("message"))

    async def log_async(self, log_method: LogMethod, data: Any) -> None:
        """Log, as `log` does."""
        self.log(log_method, data)

    def report_error(self, exception: BaseException | None, filename: str,
                     message: str | None = None) -> None:
        """Log an error of a file."""
        logger.error("%s: %s", filename, message or exception, exc_info=exception)

    async def report_error_async(self, exception: BaseException | None, filename: str,
                                 message: str | None = None) -> None:
        """Log an error, as `report_error` does."""
        self.report_error(exception, filename, message)

    def start_timer(self, desc: str) -> tuple[str, float]:
        """Return a description with the time now."""
        return desc, time.perf_counter()

    def end_timer(self, timer: tuple[str, float], label: str = "timing",
                  command: str | None = None) -> None:
        """Log how long ago that was."""
        logger.info("%s took %.0fms", timer[0], (time.perf_counter() - timer[1]) * 1000)


def checkpoint() -> None:
    """In a long command that is to stop, raise `OperationCancelled`."""
    check = getattr(running, "checkpoint", None)
    if check:
        check()


def _folder_of(kind: type) -> str:
    """Return the folder of the file in which an adapter is written."""
    file = getattr(sys.modules[kind.__module__], "__file__", None)
    ours = kind.__module__.partition(".")[0] == __package__
    return "." if ours or not file else os.path.dirname(os.path.abspath(file))


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default

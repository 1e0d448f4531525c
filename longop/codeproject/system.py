"""What an adapter may ask about its machine and its environment, by the SDK's names."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import import_module
from typing import Any

#: The packages that know about a device, by the attribute that asks for it.
_DEVICES = {"hasTorchCuda": "torch.cuda", "hasTorchMPS": "torch.backends.mps"}


class ModuleOptions:
    """What CodeProject tells a module in its environment."""

    @staticmethod
    def getEnvVariable(name: str, default: Any = "") -> Any:  # noqa: N802
        """Return a variable of the environment."""
        return os.environ.get(name, default)


class SystemInfo:
    """What is known about this machine.

    Attributes such as ``hasTorchCuda`` say whether there is such a device. Without the package
    that could tell, there is none.
    """

    def __init__(self) -> None:
        self.os = platform.system().replace("Darwin", "macOS")
        self.system = self.os
        # Empty, because finding them out would start a process.
        self.cpu_brand = ""
        self.cpu_vendor = ""
        self.cpu_arch = platform.machine()

    def __getattr__(self, name: str) -> bool:
        if not name.startswith("has"):
            raise AttributeError(name)
        with contextlib.suppress(Exception):  # a package may fail in any way when imported
            return bool(import_module(_DEVICES[name]).is_available())
        return False

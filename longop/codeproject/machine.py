"""What CodeProject.AI Server calls this machine in the settings of modules.

https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .system import SystemInfo

_SYSTEMS = {"win32": "windows", "darwin": "macos"}
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64",
                  "armv6l": "arm", "armv7l": "arm"}


def system_name() -> str:
    """Return ``windows``, ``macos`` or ``linux``, which stands for every other one."""
    return _SYSTEMS.get(sys.platform, "linux")


def architecture() -> str:
    """Return the processor's architecture, such as ``x64`` or ``arm64``."""
    import platform  # few settings ask for it

    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def board(info: SystemInfo | None = None) -> str:
    """Return the board, such as ``raspberrypi``, or an empty string."""
    if info is None:
        from .system import SystemInfo  # few settings ask for it

        info = SystemInfo()
    return "" if info.system == info.os else info.system.lower().replace(" ", "")


def platform_name() -> str:
    """Return the board, or the system, with ``-arm64`` on such a processor."""
    return board() or system_name() + ("-arm64" if architecture() == "arm64" else "")


def kinds() -> list[str]:
    """Return the names of the kinds of machine that this one is, the most specific one last."""
    system = system_name()
    return [system, f"{system}.{architecture()}", *filter(None, [board()])]

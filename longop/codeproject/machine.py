"""What CodeProject.AI Server calls this machine in the settings of modules.

https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import sys

_SYSTEMS = {"win32": "windows", "darwin": "macos"}
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def system_name() -> str:
    """Return ``windows``, ``macos`` or ``linux``, which stands for every other one."""
    return _SYSTEMS.get(sys.platform, "linux")


def architecture() -> str:
    """Return the processor's architecture, such as ``x64`` or ``arm64``."""
    import platform  # few settings ask for it

    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def board() -> str:
    """Return the board, such as ``raspberrypi``, or an empty string."""
    if system_name() != "linux":
        return ""
    from .system import SystemInfo

    info = SystemInfo()
    return "" if info.system == info.os else info.system.lower().replace(" ", "")


def platform_name() -> str:
    """Return the board, or the system, with ``-arm64`` on such a processor."""
    return board() or system_name() + ("-arm64" if architecture() == "arm64" else "")


def kinds() -> list[str]:
    """Return the names of the kinds of machine that this one is, the most special one last."""
    system = system_name()
    return [system, f"{system}.{architecture()}", *filter(None, [board()])]

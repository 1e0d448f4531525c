"""What adapters of CodeProject.AI Server import."""

from __future__ import annotations

from .sdk import (JSON, LogMethod, LogVerbosity, ModuleOptions, ModuleRunner, RequestData,
                  SystemInfo)

__all__ = ["JSON", "LogMethod", "LogVerbosity", "ModuleOptions", "ModuleRunner", "RequestData",
           "SystemInfo", "main"]


def main(arguments: list[str] | None = None, adapter: ModuleRunner | None = None) -> int:
    """Run a module until it is to quit, test it, or write a new one; return the exit code."""
    from .__main__ import main as run  # which a server of adapters does not need

    return run(arguments, adapter)

"""Where the files of a module are, and those of the server around it.

Knows nothing of what the settings say: that is for `settings`. It is imported for every target
on a command line, so it imports nothing of the package.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ..errors import TargetError

SETTINGS = "modulesettings.json"

_PROGRAM_DATA = os.environ.get("PROGRAMDATA", "C:\\ProgramData")
#: Where that server keeps the data of modules; systems that are not named are like Linux.
_DATA_FOLDERS = {
    "win32": os.path.join(_PROGRAM_DATA, "CodeProject", "AI"),
    "darwin": "/Library/Application Support/CodeProject/AI",
}
_DATA_FOLDER = "/etc/codeproject/ai"
_OWN_DATA_FOLDER = "~/.codeproject-ai"


def has_settings(folder: str) -> bool:
    """Return whether a folder is that of a module with settings."""
    return os.path.exists(os.path.join(folder, SETTINGS))


def module_folder(file: str) -> str:
    """Return the folder of the module that a file is a part of.

    That is the nearest one with settings, because an adapter may stand in a folder below it.
    Without settings it is the file's own folder.
    """
    own = os.path.dirname(os.path.abspath(file))
    folder = own
    while not has_settings(folder):
        above = os.path.dirname(folder)
        if above == folder:
            return own
        folder = above
    return folder


def enter(folder: str) -> None:
    """Make a module's folder the working directory: its files are named relative to that.

    The whole process has one. CodeProject starts a process for each module, in its folder.

    Raises `TargetError` if there is no such folder.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise TargetError(f"a module works in its folder, {folder}, which cannot be entered: "
                          f"{error.strerror}") from error


def find_server_root(folder: str) -> str | None:
    """Return the root folder of the server that a module's folder is in, or None.

    The folder is ``<root>/modules/<module>`` or ``<root>/src/modules/<module>``, or it is
    beside others in a folder that is itself beside the server's.
    """
    above = os.path.dirname(os.path.abspath(folder))
    root = os.path.dirname(above)
    for candidate in (os.path.dirname(root), root):
        if candidate.lower().endswith("codeproject.ai-server"):
            return candidate
    if above.lower().endswith("codeproject.ai-modules"):
        return os.path.join(root, "CodeProject.AI-Server")
    return None


def data_folder() -> str:
    """Return the folder in which modules keep data: the server's, or one of the user's.

    The latter is made, because modules expect the folder to be there.
    """
    of_server = _DATA_FOLDERS.get(sys.platform, _DATA_FOLDER)
    if os.access(of_server, os.W_OK):
        return of_server
    own = os.path.expanduser(_OWN_DATA_FOLDER)
    with contextlib.suppress(OSError):  # who needs the folder will see that it is missing
        os.makedirs(own, exist_ok=True)
    return own

"""A Python that lacks what Windows lacks, as far as other systems can be without it.

``sys.platform`` stays as it is: the standard library would look for what is not there.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Needs another system than Windows, to stand for it: what it has is taken away.
SIMULATED = pytest.mark.skipif(os.name != "posix", reason="Windows need not be simulated there")

#: Sends a signal, or starts a program of every other system.
SIGNALS = pytest.mark.skipif(os.name == "nt", reason="needs signals, or a shell of POSIX")
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks there")
DELETIONS = pytest.mark.skipif(os.name == "nt", reason="no open file can be deleted there")
LINKS = pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")

#: How a process was stopped by the gentler of the two means against it.
TERMINATED = "stopped by " + ("TerminateProcess" if os.name == "nt" else "SIGTERM")
#: The variable of the environment that names the user's folder.
HOME = "USERPROFILE" if os.name == "nt" else "HOME"
#: The end of a line, as a program prints it.
NEWLINE = os.linesep.encode()

# Python runs this first, in worker processes too.
_SITE = """
import os, select, selectors, signal

MISSING = {
    os: ["fork", "forkpty", "getuid", "killpg", "register_at_fork", "setsid", "waitid"],
    signal: ["SIGALRM", "SIGHUP", "SIGPIPE", "SIGQUIT", "SIGUSR2", "alarm", "setitimer"],
}
for module, names in MISSING.items():
    for name in names:
        vars(module).pop(name, None)
signal.SIGBREAK = signal.SIGUSR1  # as Ctrl-Break, and a console window that is closed
selectors.DefaultSelector = selectors.SelectSelector
"""


def environment(folder, **more):
    """Return the environment of such a Python; its code page is the one of Western Europe."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(_SITE)
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "cp1252",
            "SYSTEMROOT": str(folder), **more}

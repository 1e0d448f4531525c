"""A child process that is reaped by its owner alone, so that no signal hits a stranger.

A dead process keeps its id until it is reaped, and so does the group that it leads. But
`multiprocessing` reaps all its dead children whenever it starts another one or lists them. From
then on the id may be another process's, and a signal that is on its way would end that one.

Owns how a process and all that it has started are signalled. Windows has neither sessions nor
signals: there, ``taskkill`` ends them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from multiprocessing.context import SpawnProcess
from typing import Any

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no SIGKILL
TASKKILL_TIMEOUT = 5.0  # seconds; it takes a fraction of one
_UNKNOWN = 255  # the exit code of a process that somebody else has reaped

# Windows keeps a process for as long as there is a handle of it. macOS has no `waitid` before
# Python 3.13: there, a child is reaped as usual.
_make_popen: Any = SpawnProcess._Popen

if sys.platform != "win32" and hasattr(os, "waitid"):
    # Each start needs the tracker. Loaded here, what this Python lacks of it is told at once.
    from multiprocessing import resource_tracker  # noqa: F401
    from multiprocessing.popen_spawn_posix import Popen

    class _HeldPopen(Popen):
        """Tells whether and how its process has ended, without reaping it."""

        is_held = True

        def poll(self, flag: int = os.WNOHANG) -> int | None:
            """Return the exit code, or None while it runs; without the flag, wait for it.

            Several threads may be here: each sees the same dead process.
            """
            if self.returncode is None:
                self.returncode = self._look(flag)
            return self.returncode

        def reap(self) -> None:
            """Reap the process."""
            self.is_held = False
            with contextlib.suppress(ChildProcessError):  # somebody else has
                os.waitpid(self.pid, 0)

        def _look(self, flag: int) -> int | None:
            try:
                # WNOWAIT leaves it to be waited for once more.
                info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | flag)
            except ChildProcessError:  # a handler of SIGCHLD has waited for all children
                self.is_held = False
                return _UNKNOWN
            if info is None:
                return None
            return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    _make_popen = _HeldPopen


class Child(SpawnProcess):
    """A spawned process, held until `reap` where the system can do that."""

    _was_ended_by_taskkill = False

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # called by `start`
        return _make_popen(process_obj)

    def is_held(self) -> bool:
        """Return whether its id is still its own. If not, it must not be sent a signal."""
        popen = vars(self)["_popen"]
        if popen.poll() is None:
            return True
        return getattr(popen, "is_held", True)

    def means(self) -> str | None:
        """Return what has killed it, such as ``SIGTERM``, or None. Called after its end."""
        if self._was_ended_by_taskkill:
            return "taskkill"  # which gives it an exit code as any other
        number = -(self.exitcode or 0)
        if number <= 0:
            return None
        return _signal_name(number) if hasattr(os, "killpg") else "TerminateProcess"

    def reap(self) -> None:
        """Give back its id, and what this process has open of it. Called once, after `join`.

        Without `close`: at the end of the interpreter `multiprocessing` ends and joins the
        children it has just listed, and a closed one, by another thread, would raise there.
        """
        popen = vars(self)["_popen"]
        if hasattr(popen, "reap"):
            popen.reap()
        # On Windows, another thread may look at the process's handle just now, which goes with
        # this object.
        if sys.platform != "win32":
            popen.close()

    def signal_all(self, number: int) -> bool:
        """Send a signal to it and to its session; return False if it is gone.

        That is all that it has started, but for what has begun a session of its own. On Windows
        all of them are ended, whatever the signal. Never raises.
        """
        if not self.is_held():
            return False
        if hasattr(os, "killpg"):
            self._signal_session(number)
            return True
        if not self.is_alive():
            return False  # its id leads to nothing that it has started
        self._end_tree()
        return True

    def _signal_session(self, number: int) -> None:
        assert self.pid is not None
        try:
            os.killpg(self.pid, number)
        except OSError:
            # All of them are gone, or its session has not begun yet: then it is still alone.
            if number == KILL:
                self.kill()
            else:
                self.terminate()

    def _end_tree(self) -> None:
        if _taskkill(self.pid):
            self._was_ended_by_taskkill = True
            return
        with contextlib.suppress(OSError):  # it has ended meanwhile, or nothing can end it
            self.kill()  # at least this one


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _taskkill(pid: int | None) -> bool:
    """End a process of Windows and all that it has started; return False if that failed."""
    # By its path: a program of this name in the working directory would be found first.
    folder = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
    command = [os.path.join(folder, "taskkill.exe"), "/F", "/T", "/PID", str(pid)]
    nowhere = subprocess.DEVNULL
    # Of a program without a console, it would open a window of its own.
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        code = subprocess.call(command, stdin=nowhere, stdout=nowhere, stderr=nowhere,
                               creationflags=flags, timeout=TASKKILL_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return code == 0

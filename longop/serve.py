"""``python -m longop.serve TARGET...``: serve what is found there, with the page."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import signal
import socket
import socketserver
import sys
import threading
import types
import webbrowser

from .embed import Handler, handler
from .errors import LongOperationError
from .operation import WHEN_BUSY, LongOperation, close_all
from .target import load

_OPTIONS = "limit", "when_busy", "executor", "timeout", "stall_timeout", "grace"


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code: 0, or 2 if there is nothing to serve."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO,
                        format="%(asctime)s %(message)s")
    changes = {name: value for name, value in vars(options).items()
               if name in _OPTIONS and value is not None}
    try:
        operations = [operation for target in options.target for operation in load(target)]
        server = _Server(options.host, options.port)  # before anything can be started
        if options.history:
            from .archive import FileHistory  # which loads sqlite3

            changes["history"] = FileHistory(options.history, requeue=options.requeue)
        operations = [operation.but(**changes) for operation in operations]
        server.RequestHandlerClass = handler(*operations)
        server.RequestHandlerClass.timeout = 60  # seconds that a client may be silent
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.serve: {error}", file=sys.stderr)
        return 2
    # A signal becomes a byte to be read here: a handler that raised would do so anywhere.
    signals, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.set_wakeup_fd(signalled.fileno())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *ignored: None)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    names = ", ".join(f"{operation.module}/{operation.name}" for operation in operations)
    with contextlib.suppress(OSError):  # nobody reads it: that is no reason not to serve
        print(f"{names} at {server.url}", flush=True)
    if options.open:
        webbrowser.open(server.url)
    _wait_for_end(signals)
    threading.Thread(target=_hurry, args=(signals, operations), daemon=True).start()
    server.shutdown()
    server.server_close()
    close_all(operations)
    return 0


def _wait_for_end(signals: socket.socket) -> None:
    while signals.recv(1) not in (b"", bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
        pass  # one that the served module handles


def _hurry(signals: socket.socket, operations: list[LongOperation]) -> None:
    """Wait for one more signal, and end at once."""
    _wait_for_end(signals)
    for operation in operations:
        operation._executor.close()
    os._exit(0)


class _Server(socketserver.ThreadingTCPServer):  # HTTPServer looks up the host's name, on and on
    daemon_threads = True
    request_queue_size = 128  # the default of 5 drops connections when many come at once
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", 0) == errno.EADDRINUSE
            hint = ": stop what runs there, or choose another --port (0 is any free one)"
            raise OSError(f"cannot listen on {host}:{port}: {error}{hint * taken}") from error
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}/"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m longop.serve",
        description="Serve functions that take long: start, watch and cancel them over HTTP.")
    add = parser.add_argument
    add("target", nargs="+", metavar="TARGET",
        help="package.module, module:name or path/to/file.py[:name]")
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=int, default=32168, help="0 is any free one (default: %(default)s)")
    add("--limit", type=int, help="how many jobs of an operation may run at once (default: 1)")
    add("--when-busy", choices=WHEN_BUSY, help="what a start does then (default: queue)")
    add("--executor", choices=("thread", "process"), help="where jobs run; a process can be killed")
    add("--timeout", type=float, metavar="S", help="how many seconds a job may run")
    add("--stall-timeout", type=float, metavar="S", help="... and how many without a report")
    add("--grace", type=float, metavar="S", help="seconds that a job has to stop by itself (2)")
    add("--history", metavar="FILE", help="an sqlite3 file in which jobs outlive the server")
    add("--requeue", action="store_true", help="start the jobs that waited when it ended")
    add("--quiet", action="store_true", help="do not log the jobs' starts and ends")
    add("--open", action="store_true", help="open the page in the browser")
    options = parser.parse_args(arguments)
    if options.requeue and not options.history:
        parser.error("--requeue is of the jobs in a --history")
    return options


if __name__ == "__main__":
    sys.modules["__main__"] = types.ModuleType("__main__")  # or each worker process would load this
    sys.exit(main())

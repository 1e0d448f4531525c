"""``python -m longop.serve TARGET...``: serve what is found there, with the page."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import errno
import logging
import signal
import socket
import socketserver
import sys
import webbrowser

from .embed import Handler, handler
from .errors import TargetError
from .operation import WHEN_BUSY, LongOperation
from .target import load


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code: 0, or 2 if there is nothing to serve."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO,
                        format="%(asctime)s %(message)s")
    try:
        operations = [operation for target in options.target for operation in load(target)]
        for operation in operations:
            operation.limit = options.limit or operation.limit
            operation.when_busy = options.when_busy or operation.when_busy
        server = _Server(options.host, options.port, handler(*operations))
    except (TargetError, ValueError, OSError) as error:
        print(f"longop.serve: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # it raises KeyboardInterrupt
    try:
        names = ", ".join(f"{operation.module}/{operation.name}" for operation in operations)
        with contextlib.suppress(OSError):  # nobody reads it: that is no reason not to serve
            print(f"{names} at {server.url}", flush=True)
        if options.open:
            webbrowser.open(server.url)
        server.serve_forever()
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt):  # a second one ends it at once
            server.server_close()
            _stop(operations)
    return 0


class _Server(socketserver.ThreadingTCPServer):  # HTTPServer looks up the host's name, on and on
    daemon_threads = True
    request_queue_size = 128  # the default of 5 drops connections when many come at once
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, host: str, port: int, handler_class: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        handler_class.timeout = 60  # seconds that a client may be silent
        try:
            super().__init__((host, port), handler_class)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", 0) == errno.EADDRINUSE
            hint = ": stop what runs there, or choose another --port (0 is any free one)"
            raise OSError(f"cannot listen on {host}:{port}: {error}{hint * taken}") from error
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}/"


def _stop(operations: list[LongOperation]) -> None:
    """Tell all jobs to stop, the queued ones first, and give them a moment."""
    live = [job for operation in operations for job in [*operation.live.values()][::-1]]
    for job in live:
        job.cancel()
    for left in concurrent.futures.wait(live, timeout=3).not_done:
        logging.getLogger("longop").warning("%r did not stop", left)


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
    add("--quiet", action="store_true", help="do not log the jobs' starts and ends")
    add("--open", action="store_true", help="open the page in the browser")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""``python -m longop.serve TARGET...``: serve what is found there, with the page."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import fields
from typing import Any
from urllib.parse import quote

from ..web.api import Api
from ..codeproject.commands import close_modules
from ..errors import LongOperationError
from ..web.gate import Gate
from ..operation import WHEN_BUSY, LongOperation, close_all
from .loop import Server
from ..cli.target import load
from ..web.wire import Limits

_EXAMPLES = """\
examples:
  python -m longop.serve                             a small tour
  python -m longop.serve work.py                     the functions of a file that take a callback
  python -m longop.serve work.py:train --executor process --history jobs.sqlite3
  python -m longop.serve work.py --host 0.0.0.0      for others too, who need the token it prints"""
_OPTIONS = "limit", "when_busy", "executor", "timeout", "stall_timeout", "grace"


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code: 0, or 2 if there is nothing to serve."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO,
                        format="%(asctime)s %(message)s")
    token = options.token
    if token is None:  # beyond this machine, nobody comes in without one
        token = "" if _is_loopback(options.host) else os.urandom(16).hex()
    limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    operations: list[LongOperation] = []
    try:
        for target in options.target:
            operations += load(target)
        # Before anything can be started.
        server = Server(options.host, options.port, _tls(options))
        changes = _changes(options)
        operations = [operation.replace(**changes) for operation in operations]
        gate = Gate(token, [options.host, *options.allow_host], options.allow_origin)
        server.api = Api(operations, gate=gate, limits=limits)
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.serve: {error}", file=sys.stderr)
        close_modules(operations)
        return 2
    # A signal becomes a byte to be read here: a handler that raised would do so anywhere.
    signals, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.set_wakeup_fd(signalled.fileno())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *ignored: None)
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    names = ", ".join(f"{operation.module}/{operation.name}" for operation in operations)
    address = f"{server.url}?token={quote(token)}" if token else server.url
    with contextlib.suppress(OSError):  # nobody reads it: that is no reason not to serve
        print(f"{names} at {address}", flush=True)
    if options.open:
        import webbrowser

        webbrowser.open(address)
    _wait_for_end(signals)
    threading.Thread(target=_hurry, args=(signals, operations), daemon=True).start()
    _end(server, operations)
    serving.join(1.0)  # in which the watchers see the ends of their jobs
    return 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return what goes before the operations' own options."""
    changes = {name: getattr(options, name) for name in _OPTIONS
               if getattr(options, name) is not None}
    if options.history:
        from ..archive import FileHistory  # which loads sqlite3

        changes["history"] = FileHistory(options.history, requeue=options.requeue)
    return changes


def _wait_for_end(signals: socket.socket) -> None:
    while signals.recv(1) not in (b"", bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
        pass  # one that the served module handles


def _end(server: Server, operations: list[LongOperation]) -> None:
    server.stop_listening()
    close_all(operations)
    close_modules(operations)
    server.close()


def _hurry(signals: socket.socket, operations: list[LongOperation]) -> None:
    """Wait for one more signal, and end at once."""
    _wait_for_end(signals)
    for operation in operations:
        operation.kill()
    os._exit(0)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _tls(options: argparse.Namespace) -> Any:
    if not options.tls_cert:
        return None
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except OSError as error:
        raise OSError(f"cannot use the certificate {options.tls_cert}: {error}") from error
    return context


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m longop.serve", usage="%(prog)s [options] [TARGET ...]", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Serve functions that take long: start, watch and cancel them over HTTP, and\n"
                    "on a page. Ctrl-C ends it; a second one ends it at once.")
    add = parser.add_argument
    add("target", nargs="*", metavar="TARGET", default=["longop.cli.tour"],
        help="package.module, module:name or path/to/file.py[:name]; without one, a small tour")
    add("--quiet", action="store_true", help="do not log the jobs' starts and ends")
    add("--open", action="store_true", help="open the page in the browser")
    add = parser.add_argument_group("where it listens, and who may come in").add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=int, default=32168, help="0 is any free one (default: %(default)s)")
    add("--token", default=os.environ.get("LONGOP_TOKEN"), help="what each request must bring; "
        "made and printed if --host is not this machine's own, unless it is ''")
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="a name that it may be called by without a token")
    add("--allow-origin", action="append", default=[], metavar="URL",
        help="a site, such as https://example.com, whose pages may use it")
    add("--tls-cert", metavar="FILE", help="a certificate, which makes it https")
    add("--tls-key", metavar="FILE", help="its key, if that is not in the same file")
    add = parser.add_argument_group("what a client may send, and how long it may take").add_argument
    for limit in fields(Limits):
        add("--" + limit.name.replace("_", "-"), type=type(limit.default), default=limit.default,
            metavar="N", help=f"{limit.metadata['help']} (at most %(default)s)")
    add = parser.add_argument_group("jobs; what is said here goes before the code").add_argument
    add("--limit", type=int, help="how many jobs of an operation may run at once (default: 1)")
    add("--when-busy", choices=WHEN_BUSY, help="what a start does then (default: queue)")
    add("--executor", choices=("thread", "process"), help="where jobs run; a process can be killed")
    add("--timeout", type=float, metavar="S", help="how many seconds a job may run")
    add("--stall-timeout", type=float, metavar="S", help="... and how many without a report")
    add("--grace", type=float, metavar="S", help="seconds that a job has to stop by itself (2)")
    add("--history", metavar="FILE", help="an sqlite3 file in which jobs outlive the server")
    add("--requeue", action="store_true", help="start the jobs that waited when it ended")
    options = parser.parse_args(arguments)
    if options.requeue and not options.history:
        parser.error("--requeue is of the jobs in a --history")
    return options


if __name__ == "__main__":
    sys.exit(main())

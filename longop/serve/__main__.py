"""``python -m longop.serve [TARGET ...]``: serve the operations found there, and the page.

    main thread: load ─ listen ─ start the server's thread ─ wait for a signal ─ close

Knows the command line and the order of things; what a request means is `web`'s.
"""

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
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..cli import options as job_options
from ..cli.target import load
from ..errors import LongOperationError
from ..operation import LongOperation, close_all
from ..web.api import Api
from ..web.gate import Gate
from ..web.limits import Limits
from .server import Server

if TYPE_CHECKING:
    import ssl

TOUR = "longop.cli.tour"
LAST_ANSWERS = 1.0  # seconds at the end in which watchers still see how their jobs ended

_DESCRIPTION = """\
Serve functions that take long: start, watch and cancel them over HTTP, and on a page.
Ctrl-C ends the server and cancels its jobs; a second Ctrl-C ends it at once."""
_EXAMPLES = """\
examples:
  {prog}                             a small tour
  {prog} work.py                     the functions of a file that take a callback
  {prog} work.py:train --executor process --history jobs.sqlite3
  {prog} work.py --host 0.0.0.0      for other machines too; prints a token"""


def main(arguments: list[str] | None = None, prog: str = "python -m longop.serve") -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code: 0, or 2 if it could not start.

    :param prog: how the command was called, for its usage message.
    """
    options = _parse(arguments, prog)
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO,
                        format="%(asctime)s %(message)s")
    token = _choose_token(options)
    operations: list[LongOperation] = []
    try:
        for target in options.target:
            operations += load(target)
        # The port is taken before the operations get their history. That may start jobs that
        # were queued, which a server that cannot listen must not do.
        server = Server(options.host, options.port, _load_certificate(options))
        operations = job_options.override(operations, options)
        server.api = _make_api(operations, options, token)
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.serve: {error}", file=sys.stderr)
        close_all(operations)
        return 2
    signals = _Signals()
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    _announce(server, operations, token, options.open)
    signals.wait()
    threading.Thread(target=_end_at_once, args=(signals, operations), daemon=True).start()
    _end(server, operations)
    serving.join(LAST_ANSWERS)
    return 0


class _Signals:
    """SIGINT and SIGTERM, turned into bytes that a thread can wait for.

    A handler that raises would do so anywhere in the main thread, also in the middle of a
    clean end. Instead, the interpreter writes the number of each signal to a socket.
    """

    def __init__(self) -> None:
        """Take the signals. This must be done in the main thread."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only a signal that has a Python handler is written to the socket.
            signal.signal(number, lambda *ignored: None)

    def wait(self) -> None:
        """Wait for one of the two. Other signals may be handled by the served module."""
        ends = {b"", bytes([signal.SIGINT]), bytes([signal.SIGTERM])}
        while self._reader.recv(1) not in ends:
            pass


def _choose_token(options: argparse.Namespace) -> str:
    """Return the token that requests must send, or an empty one if they need none."""
    if options.token is not None:
        return str(options.token)
    return "" if _is_loopback(options.host) else os.urandom(16).hex()


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _load_certificate(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not options.tls_cert:
        return None
    from .tls import load_certificate  # which loads ssl

    return load_certificate(options.tls_cert, options.tls_key)


def _make_api(operations: list[LongOperation], options: argparse.Namespace, token: str) -> Api:
    gate = Gate(token, [options.host, *options.allow_host], options.allow_origin)
    limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    return Api(operations, gate=gate, limits=limits)


def _announce(server: Server, operations: list[LongOperation], token: str,
              open_page: bool) -> None:
    """Print what is served, and where; open the page if that is wanted."""
    names = ", ".join(f"{operation.module}/{operation.name}" for operation in operations)
    address = f"{server.url}?token={quote(token)}" if token else server.url
    with contextlib.suppress(OSError):  # standard output is closed: serve all the same
        print(f"{names} at {address}", flush=True)
    if open_page:
        import webbrowser

        webbrowser.open(address)


def _end(server: Server, operations: list[LongOperation]) -> None:
    """End in order: no new clients, then the jobs, then the clients that watched them."""
    server.stop_listening()
    close_all(operations)
    server.close()


def _end_at_once(signals: _Signals, operations: list[LongOperation]) -> None:
    """Wait for one more signal, and end without any grace. A thread of its own runs this."""
    signals.wait()
    for operation in operations:
        operation.kill()
    os._exit(0)  # the main thread may wait for jobs that never end


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog, usage="%(prog)s [options] [TARGET ...]", description=_DESCRIPTION,
        epilog=_EXAMPLES.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", metavar="TARGET", default=[TOUR],
                        help=f"{job_options.TARGET_HELP} (default: a small tour)")
    parser.add_argument("--quiet", action="store_true",
                        help="do not log when jobs start and end")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    _add_access_options(parser)
    _add_limits(parser)
    job_options.add(parser)
    options = parser.parse_args(arguments)
    job_options.check(parser, options)
    return options


def _add_access_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where to listen, and who may come in").add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=32168,
        help="port to listen on, 0 for any free one (default: %(default)s)")
    add("--token", default=os.environ.get("LONGOP_TOKEN"),
        help="token every request must send (default: $LONGOP_TOKEN); generated and printed "
             "when --host is not loopback ('' disables it)")
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="host name that requests without a token may use; may be repeated")
    add("--allow-origin", action="append", default=[], metavar="URL",
        help="site whose pages may use the server, such as https://example.com; may be "
             "repeated")
    add("--tls-cert", metavar="FILE", help="certificate (PEM); serves https")
    add("--tls-key", metavar="FILE", help="its private key, if not in the same file")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a client may send, and how long it may take")
    for limit in fields(Limits):
        group.add_argument("--" + limit.name.replace("_", "-"), metavar="N",
                           type=type(limit.default), default=limit.default,
                           help=f"{limit.metadata['help']} (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(main())

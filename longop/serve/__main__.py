"""``python -m longop.serve [TARGET ...]``: serve the operations found there, and the page.

    main thread: load ─ listen ─ start the server's thread ─ wait for a signal ─ close

Knows the command line and the order of things; what a request means is `web`'s.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .. import wings
from ..cli import options as job_options
from ..cli.streams import prepare_streams
from ..cli.target import load
from ..errors import LongOperationError
from ..functions import printed
from ..job import logger
from ..operation import LongOperation, close_all
from ..web.api import Api
from ..web.gate import Gate
from ..web.limits import Limits
from .ending import Signals, hurry, let_no_thread_hold_up_the_end
from .server import Server

if TYPE_CHECKING:
    import ssl

TOUR = "longop.cli.tour"
MCP = "mcp.routes"
NOT_STARTED = 2
CANCELLED = 130  # as a shell reports what Ctrl-C has ended
#: Seconds at the end in which watchers still see how their jobs ended. Within one second after
#: the grace period everything has ended: `close_all` may take half of it for stuck jobs.
LAST_ANSWERS = 0.5
SHORT_LAST_ANSWERS = 0.1

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
    """Serve until Ctrl-C, SIGTERM or a closed terminal; return the exit code.

    It is 0, 2 if the server could not start, or 130 if Ctrl-C came before it had started.

    :param prog: how the command was called, for its usage message.
    """
    prepare_streams()
    try:
        return _serve(arguments, prog)
    finally:
        printed.release()


def _serve(arguments: list[str] | None, prog: str) -> int:
    operations: list[LongOperation] = []
    try:
        options = _parse(arguments, prog)
        printed.capture()  # before a module keeps the streams, or logging does
        token = _choose_token(options)
        server = _start(operations, options, token)
        signals = Signals()
    except KeyboardInterrupt:
        close_all(operations)
        return CANCELLED
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.serve: {error}", file=sys.stderr)
        close_all(operations)
        return NOT_STARTED
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    _announce(server, operations, token, options.open)
    signals.wait()
    hurry(signals, lambda: _kill(operations))
    _end(server, operations, serving)
    let_no_thread_hold_up_the_end()
    return 0


def _start(operations: list[LongOperation], options: argparse.Namespace,
           token: str) -> Server:
    """Return the server, which listens; put what it serves into ``operations``."""
    start = os.getcwd()  # a target may change the working directory
    for target in options.target:
        operations += load(target, start)
    # After the import, because a module may set up logging itself.
    _set_up_logging(options.quiet)
    # The port is taken before the operations get their history. That may start jobs that
    # were queued, which a server that cannot listen must not do.
    server = Server(options.host, options.port, _load_certificate(options))
    operations[:] = job_options.override(operations, options)
    server.api = _make_api(operations, options, token)
    return server


def _set_up_logging(is_quiet: bool) -> None:
    if is_quiet:
        logger.setLevel(max(logging.WARNING, logger.level))
    if not logger.hasHandlers():
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


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
    tls: Any = wings.require("serve.tls", "--tls-cert")  # which loads ssl
    context: ssl.SSLContext = tls.load_certificate(options.tls_cert, options.tls_key)
    return context


def _make_api(operations: list[LongOperation], options: argparse.Namespace, token: str) -> Api:
    gate = Gate(token, [options.host, *options.allow_host], options.allow_origin)
    limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    left_out = [] if options.mcp else [MCP]
    return Api(operations, gate=gate, limits=limits, root_path=options.root_path,
               left_out=left_out)


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


def _end(server: Server, operations: list[LongOperation],
         serving: threading.Thread) -> None:
    """End in order: no new clients, then the jobs, then the clients that watched them."""
    server.stop_listening()
    close_all(operations)
    server.close()
    # Who watches a job that does not stop never sees its end.
    is_stuck = any(operation.live for operation in operations)
    serving.join(SHORT_LAST_ANSWERS if is_stuck else LAST_ANSWERS)


def _kill(operations: list[LongOperation]) -> None:
    for operation in operations:
        operation.kill()


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
    parser.add_argument("--no-mcp", dest="mcp", action="store_false",
                        help="leave out /mcp, where agents find the operations as tools")
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
    # Empty, as a compose file leaves a variable that is not set, it says nothing. Only an
    # explicit ``--token ''`` lets everybody in.
    add("--token", default=os.environ.get("LONGOP_TOKEN") or None,
        help="token every request must send (default: $LONGOP_TOKEN); generated and printed "
             "when --host is not loopback ('' disables it)")
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="host name that requests without a token may use; may be repeated")
    add("--allow-origin", action="append", default=[], metavar="URL",
        help="site whose pages may use the server, such as https://example.com; may be "
             "repeated")
    add("--root-path", default="", metavar="PATH",
        help="path below which a reverse proxy serves this, such as /jobs")
    add("--tls-cert", metavar="FILE", type=os.path.abspath,
        help="certificate (PEM); serves https")
    add("--tls-key", metavar="FILE", type=os.path.abspath,
        help="its private key, if not in the same file")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a client may send, and how long it may take")
    for limit in fields(Limits):
        group.add_argument("--" + limit.name.replace("_", "-"), metavar="N",
                           type=type(limit.default), default=limit.default,
                           help=f"{limit.metadata['help']} (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(main())

"""A socket that listens at a port which is this program's alone, and one that is not delayed.

Only those that listen or connect load this.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import Tuple

Address = Tuple[str, int]

LOOK = 0.25  # seconds; on Windows a connection to a port that is free takes two to be refused


def listen(address: Address, backlog: int) -> socket.socket:
    """Return a socket that listens at an address of IPv4 or IPv6, or at a name.

    Raises ``OSError``, which `is_taken` if another program is there, and ``OverflowError`` for
    a port that is none.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family)
    try:
        _claim(listener, address)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def is_taken(error: BaseException) -> bool:
    """Return whether an error of `listen` says that another program has the port."""
    # Windows says EACCES if that program wants the port for itself alone.
    taken = (errno.EADDRINUSE, errno.EACCES) if sys.platform == "win32" else (errno.EADDRINUSE,)
    return isinstance(error, OSError) and error.errno in taken


def send_at_once(number: int) -> None:
    """Turn Nagle's algorithm off, which holds small messages back for up to 40 ms.

    :param number: the file descriptor of a connection or, on Windows, its handle; nothing
        happens if it is not TCP.
    """
    with contextlib.suppress(OSError):
        # Not a duplicate, which Windows cannot make of a handle. It is let go of in any case:
        # closing the connection is its owner's.
        connection = socket.socket(fileno=number)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        finally:
            connection.detach()


def limit_reads(connection: socket.socket, seconds: float) -> None:
    """Have no read wait longer than some seconds, or for ever with 0; on Windows only.

    Elsewhere ``shutdown`` ends a read that waits in another thread. There it need not.
    """
    if sys.platform == "win32":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, int(seconds * 1000))


def _claim(listener: socket.socket, address: Address) -> None:
    """Have the port be for this socket alone. Raises ``OSError`` if somebody answers there."""
    if sys.platform == "win32":
        # What others call SO_REUSEADDR lets any program take a port away there.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Linux refuses an address where a program listens at all addresses; other systems give it
    # away, and that program, such as CodeProject.AI Server, is cut off from its clients.
    if sys.platform != "linux" and address[1] and _answers(listener.family, address):
        raise OSError(errno.EADDRINUSE, "another program listens there")


def _answers(family: int, address: Address) -> bool:
    with socket.socket(family) as client:
        client.settimeout(LOOK)
        try:
            client.connect(address)
        except (OSError, OverflowError):
            return False
        return True

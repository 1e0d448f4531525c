"""`longop.values.sockets`: a port for one program alone, and a connection without delay."""

import errno
import os
import socket
import sys
import typing

import pytest

from longop.values.sockets import is_taken, listen, send_at_once

from ..windows import SIMULATED

EXCLUSIVE = ~socket.SO_REUSEADDR  # as Windows has it


class Recorded(socket.socket):
    """Records its options; has those of Windows too."""

    options: typing.ClassVar[list] = []

    def setsockopt(self, level, option, value):
        """Record an option, and leave it out."""
        self.options.append((level, option, value))


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", EXCLUSIVE, raising=False)
    monkeypatch.setattr(socket, "socket", Recorded)
    monkeypatch.setattr(Recorded, "options", [])


def test_listen():
    """The socket listens, at any free port if that is 0; another one cannot have its port."""
    with listen(("127.0.0.1", 0), 5) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            server, address = listener.accept()
            with server:
                assert address == client.getsockname()
        with pytest.raises(OSError, match=r"in use|another program|access") as raised:
            listen(listener.getsockname(), 5)
    assert is_taken(raised.value)


def test_port_that_is_none():
    """A port that cannot be leaves no socket behind."""
    with pytest.raises(OverflowError) as raised:
        listen(("127.0.0.1", 99_999), 5)
    assert not is_taken(raised.value)
    with pytest.raises(OSError, match=r".") as raised:
        listen(("192.0.2.1", 0), 5)  # no address of this machine
    assert not is_taken(raised.value)


def test_port_can_be_taken_again():
    """A port with connections that have just ended can be listened at again."""
    with listen(("127.0.0.1", 0), 5) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            listener.accept()[0].close()  # this side ends first, and remembers that for long
            assert client.recv(1) == b""
    listen(address, 5).close()


@SIMULATED
@pytest.mark.usefixtures("windows")
def test_exclusive():
    """On Windows the port is this program's alone; it is never shared."""
    listen(("127.0.0.1", 0), 5).close()
    assert Recorded.options == [(socket.SOL_SOCKET, EXCLUSIVE, 1)]


@SIMULATED
@pytest.mark.usefixtures("windows")
def test_somebody_answers(monkeypatch):
    """Where a system would let it be taken, a port at which somebody answers is taken too."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(Recorded, "bind", lambda *address: None)
        with pytest.raises(OSError, match="another program") as raised:
            listen(other.getsockname(), 5)
    assert is_taken(raised.value)


@pytest.mark.parametrize(("platform", "taken"), [("win32", True), ("linux", False)])
def test_no_access(monkeypatch, platform, taken):
    """That access is denied means on Windows that the port is taken, elsewhere that it is low."""
    monkeypatch.setattr(sys, "platform", platform)
    assert is_taken(OSError(errno.EACCES, "access denied")) is taken


def test_send_at_once():
    """Of a connection that is only known by its number, Nagle's algorithm is off afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as client:
        send_at_once(client.fileno())
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.sendall(b"x")  # it is open


def test_send_at_once_without_tcp():
    """What is not TCP, or no connection at all, stays as it is, and open."""
    reader, writer = os.pipe()
    here, there = socket.socketpair()
    with here, there:
        send_at_once(here.fileno())
        send_at_once(writer)
        here.sendall(b"x")
        os.write(writer, b"x")
    os.close(reader)
    os.close(writer)

"""The port at which workers reach an operation; the test is the worker."""

import contextlib
import multiprocessing
import socket
import threading
from multiprocessing.connection import Client

import pytest

from longop import LongOperationError
from longop.workers.channel import JSON, Channel
from longop.workers import listener as module
from longop.workers.listener import ReportListener
from longop.workers.messages import Bye, Hello

from ..waiting import WAIT, wait_until

KEY = b"secret"
LOCAL = ("127.0.0.1", 0)


def answer(channel):
    """Answer a Hello with a Bye."""
    channel.send(Bye(channel.receive().job_id))


@pytest.fixture
def listener():
    return ReportListener(LOCAL, KEY, answer)


def ask(address, key=KEY):
    """Say hello, and return the answer."""
    with Client(address, authkey=key) as connection:
        channel = Channel(connection, JSON)
        channel.send(Hello("a"))
        return channel.receive()


def is_open(address):
    with contextlib.suppress(OSError), socket.create_connection(address, WAIT):
        return True
    return False


def test_worker_is_attended(listener):
    """A worker with the key has its channel handed to `attend`."""
    with listener.listening() as address:
        assert ask(address) == Bye("a")


def test_port_is_open_while_it_is_used(listener):
    """The port is open from the first user's begin to the last one's end."""
    with listener.listening() as address:
        with listener.listening() as same:
            assert same == address
        assert is_open(address)
    assert not is_open(address)


def test_nothing_is_left(listener):
    """No thread is left of a port that is closed, and it can be opened again."""
    before = threading.active_count()
    for _ in range(3):
        with listener.listening() as address:
            assert ask(address) == Bye("a")
    wait_until(lambda: threading.active_count() <= before)


def test_given_host_is_what_workers_are_told():
    """Workers are told the host as it was given, not as the socket has it."""
    with ReportListener(("localhost", 0), KEY, answer).listening() as (host, port):
        assert host == "localhost"
        assert port != 0
        assert ask((host, port)) == Bye("a")


def test_same_port_at_once():
    """A given port is free again as soon as its last user has left."""
    with socket.create_server(LOCAL) as server:
        place = server.getsockname()
    listener = ReportListener(place, KEY, answer)
    for _ in range(10):
        with listener.listening() as address:
            assert address == place
            assert ask(address) == Bye("a")


@pytest.mark.parametrize("key", [b"", b"wrong"])
def test_wrong_key(key):
    """A stranger is not attended."""
    attended = []
    listener = ReportListener(LOCAL, KEY, attended.append)
    refused = pytest.raises((multiprocessing.AuthenticationError, EOFError, OSError))
    with listener.listening() as address, refused:
        ask(address, key)
    assert attended == []


def test_silent_stranger_delays_no_worker(listener):
    """A silent connection neither keeps a worker out nor keeps the port open."""
    with listener.listening() as address:
        stranger = socket.create_connection(address, WAIT)
        assert ask(address) == Bye("a")
    with stranger:
        assert not is_open(address)


def test_error_of_attend_is_dropped():
    """What attending one worker raises closes its connection, and the next is attended."""
    def attend(channel):
        if channel.receive() == Hello("a"):
            raise ValueError("wrong")

    with ReportListener(LOCAL, KEY, attend).listening() as address:
        for _ in range(2):
            with pytest.raises((EOFError, OSError)):
                ask(address)


def test_port_that_is_taken():
    """A port that cannot be opened is an error that names the option, and can be retried."""
    with socket.create_server(LOCAL) as server:
        listener = ReportListener(server.getsockname(), KEY, answer)
        with pytest.raises(LongOperationError, match="report_to="), listener.listening():
            pass
    with listener.listening() as address:
        assert ask(address) == Bye("a")


def test_users_that_come_and_go(listener):
    """However users come and go at the same time, each finds the port open."""
    answers = []

    def use():
        for _ in range(20):
            with listener.listening() as address:
                answers.append(ask(address))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert answers == 80 * [Bye("a")]


def test_a_connection_that_cannot_be_accepted(listener, monkeypatch, caplog):
    """One that fails, as where too many files are open, is logged; the next one is accepted."""
    failures = [OSError(24, "Too many open files"), OSError(103, "aborted")]

    def accept(self, accept=socket.socket.accept):
        if failures:
            raise failures.pop()
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    with listener.listening() as address:
        assert ask(address) == Bye("a")
        assert is_open(address)
    assert not is_open(address)
    assert "Too many open files" in caplog.text


# Strangers: connections that have not proved that they are a worker's


def threads():
    """Return how many threads there are of the port and its connections."""
    names = [thread.name for thread in threading.enumerate()]
    return sum(name.startswith("longop_listener") for name in names)


@contextlib.contextmanager
def strangers(address, count):
    """Connect often, and wait for each challenge: then each has its turn."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            stranger = stack.enter_context(socket.create_connection(address, WAIT))
            assert stranger.recv(4096)
            made.append(stranger)
        yield made


def wait_for_threads(most):
    """Wait until there are no more; a thread of Windows may end only with its stranger's time."""
    wait_until(lambda: threads() <= most, seconds=WAIT + module.STRANGER_TIMEOUT)


def is_hung_up_on(stranger):
    with contextlib.suppress(ConnectionResetError):
        return stranger.recv(4096) == b""
    return True


def test_strangers_are_gone_with_the_job(listener):
    """Silent connections have no thread any more once the port is closed."""
    with contextlib.ExitStack() as stack:
        with listener.listening() as address:
            made = stack.enter_context(strangers(address, 20))
            assert threads() == 21
        assert all(map(is_hung_up_on, made))
        wait_for_threads(0)


@pytest.mark.parametrize("count", [50, 500])
def test_strangers_are_few(listener, monkeypatch, count):
    """However many connect and are silent, a few have a thread, and a worker is attended."""
    monkeypatch.setattr(module, "MAX_STRANGERS", 5)
    with listener.listening() as address, strangers(address, count) as made:
        assert all(map(is_hung_up_on, made[:-5]))
        wait_for_threads(6)
        assert ask(address) == Bye("a")


@pytest.mark.parametrize("says", [b"", b"\0"], ids=["silent", "slow"])
def test_stranger_has_little_time(listener, monkeypatch, says):
    """One that does not say the right thing in time is hung up on, though it says something."""
    monkeypatch.setattr(module, "STRANGER_TIMEOUT", 0.05)
    with listener.listening() as address, strangers(address, 1) as [stranger]:
        stranger.sendall(says)
        assert is_hung_up_on(stranger)
        monkeypatch.setattr(module, "STRANGER_TIMEOUT", WAIT)
        assert ask(address) == Bye("a")


def test_worker_has_all_the_time(monkeypatch):
    """The time limit is for strangers: a worker that has the key may be silent."""
    monkeypatch.setattr(module, "STRANGER_TIMEOUT", 0.5)
    expired = threading.Event()

    def attend(channel):
        assert expired.wait(WAIT)
        answer(channel)

    with ReportListener(LOCAL, KEY, attend).listening() as address, \
            Client(address, authkey=KEY) as worker:
        with strangers(address, 1) as [stranger]:  # came later, and is hung up on
            assert is_hung_up_on(stranger)
        expired.set()
        channel = Channel(worker, JSON)
        channel.send(Hello("a"))
        assert channel.receive() == Bye("a")

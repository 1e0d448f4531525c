"""A server in this process, and clients that speak to it on plain sockets."""

import contextlib
import http.client
import json
import socket
import threading

from longop.serve.server import Server
from longop.web.api import Api
from longop.web.limits import Limits

from ..waiting import WAIT

PING = b"GET /v1/status/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Steps:
    """A function that reports a step whenever it is let, and ends when it is told to."""

    __name__ = "steps"

    def __init__(self):
        self.may, self.done = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, callback, size: int = 0):
        step = 0
        while True:
            while not self.may.acquire(timeout=0.01):
                callback.check()
            step += 1
            callback("x" * size, step)
            self.done.release()

    def step(self, times=1):
        for _ in range(times):
            self.may.release()
            assert self.done.acquire(timeout=WAIT)


@contextlib.contextmanager
def serving(job=None, tls=None, **limits):
    server = Server("127.0.0.1", 0, tls)
    server.api = Api([job.of_operation] if job else [], limits=Limits(**limits))
    server.address = server._listener.getsockname()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        if job:
            job.cancel()
        server.close()
        thread.join(WAIT)
        assert not thread.is_alive()


@contextlib.contextmanager
def connected(server, data=b"", context=None):
    with socket.create_connection(server.address, WAIT) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            client = context.wrap_socket(client)
        with client:
            client.sendall(data)
            yield client


def rest(client):
    """Return all that comes until the server closes."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def ask(client, data):
    """Send a request; return the answer's status and body."""
    client.sendall(data)
    response = http.client.HTTPResponse(client, method=data.partition(b" ")[0].decode())
    response.begin()
    return response.status, response.read()


def raw(server, data):
    with connected(server, data) as client:
        client.shutdown(socket.SHUT_WR)
        return rest(client)


def get(path, **headers):
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


def first_event_of(client):
    """Return the first status of an event stream."""
    with contextlib.closing(events_of(client)) as events:
        return next(events)


def events_of(client):
    """Yield the statuses of an event stream."""
    with client.makefile("rb") as lines:
        for line in lines:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

"""The three ways in over HTTP are the same: the server, the handler, and WSGI."""

import contextlib
import socketserver
import threading
import wsgiref.simple_server
import wsgiref.util
import wsgiref.validate
from http.server import ThreadingHTTPServer

import pytest

import longop
from longop.web.api import Api
from longop.serve.server import Server

from . import doors
from ..waiting import WAIT


@contextlib.contextmanager
def running(serve, stop):
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(WAIT)
        assert not thread.is_alive()


@contextlib.contextmanager
def server():
    """Yield the address of the loop."""
    server = Server("127.0.0.1", 0)
    server.api = Api(doors.operations(), **doors.OPTIONS)
    with running(server.serve, server.close):
        yield server._listener.getsockname()


@contextlib.contextmanager
def handler():
    """Yield the address of somebody's http.server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), longop.handler(
            *doors.operations(), **doors.OPTIONS)) as server, running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


class ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


@contextlib.contextmanager
def wsgi():
    """Yield the address of a WSGI server, between which and the application all is checked."""
    application = wsgiref.validate.validator(longop.wsgi(*doors.operations(), **doors.OPTIONS))
    with wsgiref.simple_server.make_server("127.0.0.1", 0, application, ThreadingServer,
                                           QuietHandler) as server, running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


@pytest.fixture(scope="module")
def told_by_the_server():
    with server() as address:
        return doors.converse(doors.Client(*address))


@pytest.mark.parametrize("door", [handler, wsgi])
def test_doors(told_by_the_server, door):
    """Whatever is asked, the same is answered through all doors."""
    with door() as address:
        told = doors.converse(doors.Client(*address))
    for mine, its in zip(told, told_by_the_server):
        assert mine == its
    assert len(told) == len(told_by_the_server)


def test_wsgi_without_a_path():
    """A server may leave out a path that is empty, PEP 3333 says."""
    environ, begun = {}, []
    wsgiref.util.setup_testing_defaults(environ)
    del environ["PATH_INFO"]
    body = longop.wsgi()(environ, lambda *args: begun.append(args))
    assert begun[0][0] == "200 OK"
    assert b"<title>longop</title>" in b"".join(body)

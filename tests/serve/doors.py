"""The door of `longop.serve`, opened."""

import contextlib

from longop.serve.server import Server
from longop.web.api import Api

from ..web.doors import OPTIONS, operations, running


@contextlib.contextmanager
def server():
    """Yield the address of the loop."""
    server = Server("127.0.0.1", 0)
    server.api = Api(operations(), **OPTIONS)
    with running(server.serve, server.close):
        yield server._listener.getsockname()

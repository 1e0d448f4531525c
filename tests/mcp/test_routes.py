"""The route of the Model Context Protocol, as an extension of `longop.web`."""

import subprocess
import sys
import threading

from longop import LongOperation
from longop.mcp import routes
from longop.web.api import Api

from ..waiting import WAIT

HEAD = (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 40\r\n\r\n")
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


def operation():
    return LongOperation(lambda callback: 1, name="work")


def test_the_document():
    """OpenAPI names the route; `GET /v1` says nothing more of an operation."""
    whole = {"paths": {}}
    routes.document(whole, [operation()])
    assert list(whole["paths"]["/mcp"]) == ["post"]
    assert routes.describe(operation()) == {}


def test_a_message_may_start_a_job():
    """A message is not answered where polls are: it may start a job."""
    assert Api([operation()]).read_head(HEAD).starts


def test_left_out():
    """The route can be left out."""
    api = Api([operation()])
    assert api.answer(api.read_head(HEAD).with_body(PING)).status == 200
    api = Api([operation()], left_out=["mcp.routes"])
    assert api.answer(api.read_head(HEAD).with_body(PING)).status == 404


def test_two_first_messages():
    """Two threads that bring the first messages find one server, so that one finds the other."""
    view = routes.View([operation()])
    api = Api([])
    request = api.read_head(HEAD).with_body(PING)
    found = set()
    together = threading.Barrier(2)

    def ask():
        together.wait(WAIT)
        assert view(request).status == 200
        found.add(id(view._endpoint))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len(found) == 1


def test_a_server_without_agents():
    """The protocol is not loaded before its first message."""
    code = ("import sys; from longop import LongOperation; from longop.web.api import Api; "
            "Api([LongOperation(print, callback=False)]); print('longop.mcp.http' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE,
                          text=True)
    assert done.stdout == "False\n"

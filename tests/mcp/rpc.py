"""Messages of a client, in both eras, for the tests of `longop.mcp`."""

import threading

from longop.mcp.message import Message
from longop.mcp.server import Pending

META = "io.modelcontextprotocol/"
TASKS = "io.modelcontextprotocol/tasks"


def meta(tasks=False, token=None, **changes):
    """Return the `_meta` of a request of 2026-07-28."""
    extensions = {"extensions": {TASKS: {}}} if tasks else {}
    found = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": extensions,
             f"{META}clientInfo": {"name": "test", "version": "1"}}
    if token is not None:
        found["progressToken"] = token
    found.update({f"{META}{name}": value for name, value in changes.items()})
    return found


def modern(method, id=1, tasks=False, token=None, **params):
    """Return a request of 2026-07-28."""
    return Message(id, method, {**params, "_meta": meta(tasks, token)})


def legacy(method, id=1, token=None, **params):
    """Return a request of an older era."""
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return Message(id, method, params)


def body(message):
    """Return a message as the object that is sent."""
    return {"jsonrpc": "2.0", "id": message.id, "method": message.method,
            "params": dict(message.params)}


def ask(server, message, client=None):
    """Send a message to a `Server` and return its answer, which may be `Pending`."""
    is_modern = f"{META}protocolVersion" in (message.meta or {})
    peer = server.admit(message, is_modern)
    return server.answer(message, peer, server.begin(message, client))


def all_of(answer):
    """Wait for a `Pending`, and return the messages of it."""
    assert isinstance(answer, Pending), answer
    changed = threading.Event()
    answer.job.watch(changed.set)
    found = []
    for item in answer.items:
        if isinstance(item, float):
            assert changed.wait(min(item, 10))
            changed.clear()
        else:
            found.append(item)
    answer.job.unwatch(changed.set)
    return found


def call(server, name, *, tasks=False, token=None, id=1, client=None, ask_as=modern, **arguments):
    """Call a tool; return what comes of it."""
    more = {"tasks": tasks} if ask_as is modern else {}
    return ask(server, ask_as("tools/call", id, token=token, name=name, arguments=arguments,
                              **more), client)


def result(server, name, **more):
    """Call a tool and return its result."""
    answer = call(server, name, **more)
    if isinstance(answer, Pending):
        answer = all_of(answer)[-1]
    return answer["result"]

"""``POST /mcp``: a request in, an answer out. No sockets.

    Request ─ headers ─▶ server ─▶ a message: JSON        or Pending: JSON if it ends soon and
                                                          has no progress, else an event stream

The status of an answer is by the code of its error; an older client gets 200, because it would
not read an error under another one.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from functools import partial
from typing import Any, Generator, Iterable, Mapping, Sequence, Union

from ..errors import RequestError
from ..job import Job
from ..operation import LongOperation
from ..values.jsontext import dumps
from ..web.held import Answer, Held
from ..web.request import Request
from ..web.wire import Response, json_response
from . import eras
from .calls import Call
from .eras import Peer
from .message import (HEADER_MISMATCH, INTERNAL_ERROR, METHOD_NOT_FOUND, Message, RpcError,
                      failure, read)
from .server import Item, Pending, Server

#: Seconds until a call is answered with a stream, and between two signs of life on it. A door
#: with a thread for each connection finds out with the second one that its client has gone.
HEARTBEAT = 1.0

_AT_ONCE = 0.005  # seconds
_VERSION = "mcp-protocol-version"
_SESSION = "mcp-session-id"
_AS_JOBS = "as=jobs"
_COMMENT = b":\n\n"  # an event stream's way to say nothing: clients skip it
_STATUSES = {METHOD_NOT_FOUND: 404, INTERNAL_ERROR: 500}
#: What ``Mcp-Name`` repeats, by method.
_NAMES = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId",
          "tasks/cancel": "taskId"}
_Sent = Union[float, Response, bytes]


class Endpoint:
    """The view of the route: the same operations as tools, and with ``?as=jobs`` as jobs."""

    def __init__(self, operations: Sequence[LongOperation]) -> None:
        self._plain = Server(operations)
        self._as_jobs = Server(operations, as_jobs=True)

    def answer(self, request: Request) -> Answer:
        """Answer one message. Called in any thread."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RequestError(415, f"a message comes as application/json, not {kind!r}")
        wants_jobs = _AS_JOBS in request.query.split("&")
        server = self._as_jobs if wants_jobs else self._plain
        try:
            message = read(request.body, request.limits.max_depth)
        except RpcError as error:
            return _refusal(None, error, is_modern=True)
        if message is None:
            return Response(202)
        is_modern = _is_modern(request, message)
        if message.is_notification:
            return _take(server, request, message, is_modern)
        try:
            return _answer(server, request, message, is_modern)
        except RpcError as error:
            return _refusal(message, error, is_modern)


def _take(server: Server, request: Request, message: Message, is_modern: bool) -> Response:
    """Take a notification. In 2026-07-28 none means anything: a cancel closes the stream."""
    session = request.headers.get(_SESSION)
    if session and not is_modern:
        server.notify(message, session)
    return Response(202)


def _answer(server: Server, request: Request, message: Message, is_modern: bool) -> Answer:
    version = request.headers.get(_VERSION, eras.LEGACY[-1])
    peer = server.admit(message, is_modern, version, partial(_check_headers, request))
    # Two clients may use the same ids. The sessions of the older eras tell them apart.
    session = None if is_modern else request.headers.get(_SESSION)
    call = server.begin(message, session or None)
    answer = server.answer(message, peer, call)
    if isinstance(answer, Pending):
        assert call is not None  # nothing else waits
        ended = list(answer.items) if _ends_at_once(answer.job) else []
        if ended:  # it is not if the call was cancelled
            return json_response(ended[-1])
        streams = "text/event-stream" in request.headers.get("accept", "")
        return Held(answer.job, _stream(answer, peer, call, streams))
    headers = {}
    if message.method == "initialize":
        headers["Mcp-Session-Id"] = os.urandom(16).hex()
    return json_response(answer, headers=headers)


def _ends_at_once(job: Job[Any]) -> bool:
    """Return whether a job ends within some milliseconds.

    To wait for that in the thread that has started it is quicker, by a fifth of a call that
    does nothing, than to have the door watch it.
    """
    ended = threading.Lock()
    ended.acquire()
    job.add_done_callback(lambda job: ended.release())
    ended.acquire(timeout=_AT_ONCE)
    return job.done()


def _stream(pending: Pending, peer: Peer, call: Call,
            may_stream: bool) -> Generator[_Sent, None, None]:
    """Yield the answer of a call: one response, or a stream if that takes its time.

    Closed before its end it cancels the call: the client has gone. In the older eras that says
    nothing, and a client sends ``notifications/cancelled``.
    """
    finished = False
    try:
        spoke = yield from _sent(pending.items, may_stream)
        if not spoke:
            yield _STREAM_HEAD  # cancelled: nothing is said to who wants no answer
        finished = True
    finally:
        if peer.is_modern and not finished:
            # In a thread of its own, because this one may be the loop's, and an end be slow.
            threading.Thread(target=call.abandon(), name="longop-mcp-cancel",
                             daemon=True).start()
        pending.items.close()


def _sent(items: Iterable[Item], may_stream: bool) -> Generator[_Sent, None, bool]:
    """Yield what is sent, and how long to wait; return whether anything was sent."""
    begun = False
    spoke_at = time.monotonic()
    for item in items:
        if isinstance(item, float):
            if may_stream and time.monotonic() >= spoke_at + HEARTBEAT:
                yield _COMMENT if begun else _STREAM_HEAD
                begun = True
                spoke_at = time.monotonic()
            yield min(item, HEARTBEAT)
        elif "id" in item and not begun:
            yield json_response(item)
            return True
        elif may_stream:
            if not begun:
                yield _STREAM_HEAD
                begun = True
            yield _event(item)
            spoke_at = time.monotonic()
    return begun


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\ndata: %b\n\n" % dumps(message).encode()


def _refusal(message: Message | None, error: RpcError, is_modern: bool) -> Response:
    """Answer with an error."""
    status = 200
    if is_modern or message is None:
        status = _STATUSES.get(error.code, 400)
    return json_response(failure(None if message is None else message.id, error), status)


# Headers


def _is_modern(request: Request, message: Message) -> bool:
    """Return whether a message is to be read as one of 2026-07-28.

    It is if it says its version itself. Else the header counts; without that, it is an older
    one.
    """
    return (eras.says_version(message)
            or request.headers.get(_VERSION, eras.LEGACY[0]) not in eras.LEGACY)


def _check_headers(request: Request, message: Message) -> None:
    """Raise `RpcError` if the headers of a request do not say what its body says."""
    _compare("MCP-Protocol-Version", request.headers.get(_VERSION),
             message.meta[eras.VERSION_KEY])
    _compare("Mcp-Method", request.headers.get("mcp-method"), message.method)
    if message.method not in _NAMES:
        return
    given = request.headers.get("mcp-name")
    if given is None and message.method != "tools/call":
        return  # a client of today leaves it out
    _compare("Mcp-Name", _decode(given), message.params.get(_NAMES[message.method]))


def _compare(name: str, given: str | None, wanted: Any) -> None:
    if given is None:
        raise RpcError(HEADER_MISMATCH, f"the header {name} is missing")
    if given != wanted:
        raise RpcError(HEADER_MISMATCH, f"the header {name} differs from the body")


def _decode(value: str | None) -> str | None:
    """Return the value of a header, which may be written ``=?base64?...?=``.

    A value that is not written so by the rules stays as it is, and equals no name.
    """
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[len("=?base64?"):-len("?=")], validate=True).decode()
    except ValueError:  # not base64, or not UTF-8
        return value


# Without this header nginx would collect events before it passes them on.
_STREAM_HEAD = Response(200, None, "text/event-stream", {"X-Accel-Buffering": "no"})

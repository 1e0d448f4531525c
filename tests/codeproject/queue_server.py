"""A stand-in for CodeProject.AI Server as its modules see it, and a module beside it.

It holds a poll until there is an entry, and takes replies, statuses and log lines as the real one
does. The test is its client, sees all that has come in, and breaks what is to break.
"""

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..waiting import WAIT

ROOT = Path(__file__).resolve().parent.parent.parent
LEVELS = "trace", "debug", "information", "warning", "error", "critical", "none"  # those of .NET
JSON = "application/json; charset=utf-8"


class QueueServer:
    """Serves one queue on a free port; use it as a context manager.

    ``modules`` are the ids it knows; the queue is the first one's unless it is named. There are
    ``polls`` (moments), ``replies`` (reqid and raw body), ``statuses``, ``logs``, in the order in
    which they came, and ``parked``: how many polls wait. ``faults`` says what becomes of a
    ``poll``, ``reply``, ``status`` or ``log``: it is answered at once with a number, an HTTP
    status; with ``"half"`` of a body; or, ``"hang"``, not at all.
    """

    def __init__(self, *modules, queue=None):
        self.modules = modules or ("PythonLongProcess",)
        self.queue = (queue or self.modules[0] + "_queue").lower()
        self.port, self.parked, self.faults = 0, 0, {}
        self.polls, self.replies, self.statuses, self.logs = [], [], [], []
        self._entries, self._waiting = deque(), {}  # who waits for a reply, by its reqid
        self._changed = threading.Condition()  # guards the entries and who waits

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *error):
        self.close()

    def open(self):
        """Listen, on the same port if it did so before."""
        self._http = _Server(self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        """Refuse connections, and break those there are, until it is opened again."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def send(self, command, values=(), files=(), segments=()):
        """Put a command on the queue, as a client's request does; return it.

        ``values`` are pairs of a key and a list; they and ``files`` are None where the client
        sent nothing that the server reads.
        """
        payload = {"command": command,
                   "values": values and [{"key": key, "value": value} for key, value in values],
                   "files": files, "urlSegments": segments}
        request = Request(self, str(uuid.uuid4()))
        text = json.dumps({"payload": payload, "reqid": request.id, "reqtype": command or ""},
                          ensure_ascii=False, separators=(",", ":"))
        text = re.sub("[^\0-\uffff]", _escape, text)
        with self._changed:
            self._waiting[request.id] = request
            self._hand_out(request.id, text.encode())
        return request

    def request(self, *command, timeout=WAIT, **more):
        """Send a command; return the module's reply to it. Raises ``TimeoutError``."""
        return self.send(*command, **more).reply(timeout)

    def send_raw(self, body):
        """Hand some bytes to the next poll."""
        with self._changed:
            self._hand_out(None, body)

    def quit(self, module_id):
        """Tell a module to end, as the server does; return that request."""
        return self.send("Quit", [("moduleId", [module_id])], None)

    def _hand_out(self, *entry):
        self._entries.append(entry)
        self._changed.notify_all()

    def forget(self, id):
        """Wait for a reply no more; return who did."""
        with self._changed:
            return self._waiting.pop(id, None)

    def poll(self, handler):
        """Return a fault or an entry; wait until there is one, or nobody who waits for it."""
        with self._changed:
            self.parked += 1
            try:
                while not _has_gone(handler.connection):
                    fault = self.faults.get("poll")
                    if fault is not None and fault != "hang":
                        return fault
                    while self._entries and fault is None:
                        id, body = self._entries.popleft()
                        if id is None or id in self._waiting:  # or its client has given up
                            return body
                    self._changed.wait(0.02)
            finally:
                self.parked -= 1
        return "hang"


class Request:
    """A client's request, whose module has not replied yet."""

    def __init__(self, server, id):
        self.server, self.id, self.body = server, id, b""
        self.replied = threading.Event()

    def reply(self, timeout=WAIT):
        """Return the reply; after ``timeout`` seconds give up, with ``TimeoutError``."""
        if not self.replied.wait(timeout) and self.server.forget(self.id):
            raise TimeoutError(f"The request timed out (#reqid {self.id})")
        self.replied.wait()  # for the reply may come at the last moment
        return json.loads(self.body)


class _Server(ThreadingHTTPServer):
    # So that it waits for them at its end; but on Windows nothing wakes one that reads.
    daemon_threads = os.name == "nt"
    request_queue_size = 128

    def __init__(self, queue):
        self.queue, self.connections = queue, set()
        super().__init__(("127.0.0.1", queue.port), _Handler)

    def process_request(self, request, address):
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self):
        for connection in [*self.connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a module may hang up
            super().handle_error(request, address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        queue, url = self.server.queue, urllib.parse.urlsplit(self.path)
        queue.polls.append(time.monotonic())
        if not urllib.parse.parse_qs(url.query).get("moduleId"):
            self.answer(400)
        elif url.path.lower() == f"/v1/queue/{queue.queue}":
            found = queue.poll(self)
            self.answer(*([200, found, JSON] if isinstance(found, bytes) else [found]))
        else:
            self.answer(204)

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        *_, route, name = urllib.parse.urlsplit(self.path).path.split("/")
        kind = {"updatemodulestatus": "status", "log": "log"}.get(route, "reply")
        fault = self.server.queue.faults.get(kind)
        if fault is None:
            getattr(self, "take_" + kind)(name)
        else:
            self.answer(fault)

    def take_reply(self, id):
        queue = self.server.queue
        queue.replies.append((id, self.body))
        try:  # the real server's binding of forms drains the body before it is read
            assert "x-www-form-urlencoded" not in self.headers["Content-Type"]
            reply = json.loads(self.body, parse_constant=int)  # which takes no NaN
            assert isinstance(reply.get("moduleId", ""), str)
        except (AssertionError, AttributeError, TypeError, ValueError):
            return self.answer(500)
        request = queue.forget(id)
        if request is None:
            return self.answer(400, b"failure to set response.")
        request.body = self.body
        request.replied.set()
        return self.answer(200, b"Response saved.")

    def take_status(self, id):
        data = self.form().get("statusData")
        if not data or id not in self.server.queue.modules:
            return self.answer(404, b"Module status data not updated")
        self.server.queue.statuses.append(json.loads(data))
        return self.answer(200, b"Module status updated")

    def take_log(self, _):
        form = self.form()
        level = form.get("log_level", "")
        if level.lower() not in LEVELS and not level.isdigit():
            return self.answer(400)
        self.server.queue.logs.append(form)
        known = {"code": 200, "hostname": socket.gethostname(), "success": bool(form.get("entry"))}
        return self.answer(200, json.dumps(known).encode(), JSON)

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    def answer(self, status, body=b"", type="text/plain; charset=utf-8"):
        """Answer in one send, in chunks as Kestrel does if there is a body; or play a fault."""
        end, self.close_connection = b"\r\n0\r\n\r\n", status in ("hang", "half")
        while status == "hang":
            if _has_gone(self.connection):
                return
            time.sleep(0.02)
        if status == "half":
            status, body, end = 200, b'{"payload":{"command":"get_com', b""
        head = f"HTTP/1.1 {status} {self.responses[status][0]}\r\nServer: Kestrel\r\n"
        if body:
            head += (f"Content-Type: {type}\r\nTransfer-Encoding: chunked\r\n\r\n"
                     f"{len(body) if end else 1000:x}\r\n")
        else:
            head += "Content-Length: 0\r\n" * (status != 204) + "\r\n"
        self.wfile.write(head.encode() + body + end * bool(body))

    def log_message(self, *line):
        """Say nothing."""


def _escape(character):
    """Escape what .NET escapes: a character beyond the basic plane, as two."""
    text = character[0].encode("utf-16-be").hex().upper()
    return f"\\u{text[:4]}\\u{text[4:]}"


def _has_gone(connection):
    """Return whether the client has hung up."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    with contextlib.suppress(ConnectionError):
        return not connection.recv(1, socket.MSG_PEEK)
    return True


@contextlib.contextmanager
def module(server, *command, folder, **environment):
    """Run a module as CodeProject does; yield its process. ``folder/output`` has what it prints."""
    id = server.modules[0]
    settings = {
        **os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1",
        "CPAI_PORT": str(server.port), "CPAI_APPROOTPATH": str(folder),
        "CPAI_MODULE_SERVER_LAUNCHED": "true", "CPAI_MODULE_ID": id, "CPAI_MODULE_NAME": id,
        "CPAI_MODULE_PATH": str(folder), "CPAI_MODULE_QUEUENAME": server.queue,
        "CPAI_MODULE_PARALLELISM": "1", "CPAI_MODULE_ENABLE_GPU": "True",
        "CPAI_LOG_VERBOSITY": "Quiet", **environment}
    with open(str(folder / "output"), "ab") as output, subprocess.Popen(
            command, cwd=str(folder), env=settings, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()

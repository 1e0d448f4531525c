"""Servers on loopback for packages that transfer files: a bucket, a folder of media, FTP.

Each stops in the middle of a transfer until the test lets it go on, so that a test can look at
a job that is half done, and cancel it there.
"""

import contextlib
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from ..waiting import WAIT

BLOCK = 1 << 16
BEFORE_GATE = 4 * BLOCK
DOWNLOAD = 7 << 20
UPLOAD = (b"<InitiateMultipartUploadResult><UploadId>upload</UploadId>"
          b"</InitiateMultipartUploadResult>")


class Gate:
    """Stands in a transfer: what has come so far is seen, and the rest waits for `open`."""

    def __init__(self):
        self.reached = threading.Event()
        self._opened = threading.Event()
        self.open = self._opened.set

    def wait(self):
        self.reached.set()
        assert self._opened.wait(WAIT)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.gate = Gate()

    def server_bind(self):
        # A small buffer, so that what the server does not read stays with the sender.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        super().server_bind()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a cancelled client goes away
            super().handle()

    def answer(self, code=200, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        if half > BEFORE_GATE:
            self.server.gate.wait()
        self.wfile.write(body[half:])


class Bucket(Server):
    """As much of S3 as a transfer needs. ``objects`` and ``unfinished`` say what it has got.

    Any object that is asked for has 7 MB.
    """

    def __init__(self):
        super().__init__(BucketHandler)
        self.objects = {}  # the sizes
        self.unfinished = {}  # the sizes of the parts, by upload


class BucketHandler(Quiet):
    def do_GET(self):
        self.answer(ETag='"tag"', body=bytes(DOWNLOAD))

    def do_HEAD(self):
        self.do_GET()

    def do_PUT(self):
        size = self._read_body()
        place = urlsplit(self.path)
        query = parse_qs(place.query)
        if size is None:
            return  # the client has gone away: nothing is stored
        if "uploadId" in query:
            self.server.unfinished["upload"][query["partNumber"][0]] = size
        else:
            self.server.objects[place.path] = size
        self.answer(ETag='"tag"')

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        place = urlsplit(self.path)
        if place.query.startswith("uploads"):
            self.server.unfinished["upload"] = {}
            self.answer(body=UPLOAD)
            return
        self.server.objects[place.path] = sum(self.server.unfinished.pop("upload").values())
        self.answer(body=b"<CompleteMultipartUploadResult/>")

    def do_DELETE(self):
        self.server.unfinished.pop("upload", None)
        self.answer(204)

    def _read_body(self):
        """Return how many bytes have come, or None if some did not."""
        length = int(self.headers["Content-Length"])
        left = length
        while left:
            block = self.rfile.read(min(BLOCK, left))
            if not block:
                return None
            left -= len(block)
            if length - left >= BEFORE_GATE:
                self.server.gate.wait()
        return length


class Media(Server):
    """One file of 8 MB under any name."""

    def __init__(self):
        super().__init__(MediaHandler)
        self.data = bytes(8 << 20)


class MediaHandler(Quiet):
    def do_GET(self):
        self.answer(Content_Type="video/mp4", body=self.server.data)


class Ftp(socketserver.ThreadingTCPServer):
    """As much of FTP as an upload needs. ``stored`` has the sizes of the files it has got."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FtpHandler)
        self.gate = Gate()
        self.stored = {}
        self.verdict = "226 Stored."  # what it says at the end of each transfer


class FtpHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self._say("220 Ready.")
        with socket.socket() as self._door:
            # A small buffer, so that what is not read stays with the sender.
            self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
            self._door.bind(("127.0.0.1", 0))
            self._door.listen(1)
            for line in self.rfile:
                verb, _, rest = line.decode().strip().partition(" ")
                self._obey(verb.upper(), rest)

    def _obey(self, verb, rest):
        if verb == "PASV":
            high, low = divmod(self._door.getsockname()[1], 256)
            self._say(f"227 Entering passive mode (127,0,0,1,{high},{low}).")
        elif verb == "STOR":
            self._say("150 Send it.")
            self._store(rest)
            self._say(self.server.verdict)
        else:
            self._say("200 Fine.")

    def _store(self, name):
        stored = self.server.stored
        stored[name] = 0
        connection, _ = self._door.accept()
        with connection:
            while True:
                block = connection.recv(BLOCK)
                if not block:
                    return
                stored[name] += len(block)
                if stored[name] >= BEFORE_GATE:
                    self.server.gate.wait()

    def _say(self, line):
        with contextlib.suppress(ConnectionError):
            self.wfile.write(line.encode() + b"\r\n")

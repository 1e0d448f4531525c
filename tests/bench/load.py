"""The load: clients much cheaper than any server, on raw sockets.

``python -m tests.bench.load PORT PATH SECONDS`` polls every 20 ms; prints two percentiles in ms.
"""

import re
import select
import socket
import sys
import time
from http.client import HTTPConnection

REQUEST = ("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: python-requests/2.32.3\r\n"
           "Accept-Encoding: gzip, deflate\r\nAccept: {}\r\nConnection: keep-alive\r\n\r\n")
END = re.compile(rb'"state": ?"(?:completed|failed|cancelled|interrupted)"')


def ask(port, path, method="GET", body=None):
    """Return the body of one answer; raise OSError if there is none, or one that is not 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"{method} {path}: {answer.status} {answer.reason}")
        return answer.read()
    finally:
        connection.close()


def connect(port, path, accept="application/json", request=None):
    """Return a socket on which a request was sent, and the request, by default a GET."""
    one = socket.create_connection(("127.0.0.1", port), timeout=30)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = request or REQUEST.format(path, port, accept).encode()
    one.sendall(request)
    return one, request


def percentiles(values):
    """Return the 50th and the 99th."""
    values = sorted(values)
    return values[len(values) // 2], values[len(values) * 99 // 100]


class Poller:
    """One connection, which has had its first answer: uvloop accepts one in each turn only."""

    def __init__(self, port, path, request=None):
        self.socket, self.request = connect(port, path, request=request)
        self.recv = self.socket.recv
        self.data = b""
        self.name = b""  # "content-length: ", as this server writes it
        while not self.receive():
            pass
        self.socket.setblocking(True)  # with a timeout each call would be two of the system's

    def send(self, now):
        self.sent = now
        self.socket.send(self.request)

    def receive(self):
        """Read what there is; return whether the answer is complete."""
        data = self.data + self.recv(8192) if self.data else self.recv(8192)
        head = data.find(b"\r\n\r\n")
        if head > 0:
            if not self.name:
                self.name = re.search(rb"(?i)content-length: ?", data)[0]
            begin = data.find(self.name) + len(self.name)
            if len(data) - head - 4 == int(data[begin:data.find(b"\r", begin)]):
                self.data = b""
                if data.startswith(b"HTTP/1.1 200"):
                    return True
                raise OSError(data[:data.find(b"\r")].decode())
        if data == self.data:
            raise OSError("the server closed the connection")
        self.data = data
        return False


def polls(port, path, connections, seconds, request=None):
    """Poll, or send a request, on all connections at once.

    Return the answers a second and each one's seconds. Those that are still waited for at the
    end count as long as they take, up to 5 s: a server that forgets some of its clients over
    others has them in its 99th percentile.
    """
    epoll, now, took = select.epoll(), time.perf_counter, []
    pollers = [Poller(port, path, request) for _ in range(connections)]
    by_number = {poller.socket.fileno(): poller for poller in pollers}
    for number in by_number:
        epoll.register(number, select.EPOLLIN)
    start = now()
    end = start + seconds
    for poller in pollers:
        poller.send(now())
    while now() < end:
        for number, _ in epoll.poll(1):
            poller = by_number[number]
            if poller.receive():
                received = now()
                took.append(received - poller.sent)
                poller.send(received)
    rate = len(took) / (now() - start)
    while by_number and now() < end + 5:  # nothing is left behind for the next measurement
        for number, _ in epoll.poll(1):
            if by_number[number].receive():
                took.append(now() - by_number.pop(number).sent)
    took += [now() - poller.sent for poller in by_number.values()]
    for poller in pollers:
        poller.socket.close()
    epoll.close()
    return rate, took


class Watchers:
    """Event streams of one job. ``ended`` counts those that have seen its end."""

    query = ""

    def __init__(self, port, job, count):
        self.ended = self.events = 0
        self._epoll, self._sockets, self._read = select.epoll(), {}, {}
        for _ in range(count):
            one, _ = connect(port, f"/v1/jobs/{job}/events{self.query}", "text/event-stream")
            self._sockets[one.fileno()] = one
            self._read[one.fileno()] = None
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def run(self, seconds, hear=None):
        """Read for so long, or until all have ended; ``hear`` is called with each event."""
        end = time.monotonic() + seconds
        while self._sockets and time.monotonic() < end:
            for number, _ in self._epoll.poll(max(0, end - time.monotonic())):
                self._receive(number, hear)

    def _receive(self, number, hear):
        data, before = self._sockets[number].recv(65_536), self._read[number]
        if before is None and not data.startswith(b"HTTP/1.1 200"):
            raise OSError(f"no event stream: {data.partition(bytes([13]))[0].decode()}")
        *events, self._read[number] = ((before or b"") + data).replace(b"\r", b"").split(b"\n\n")
        ended = not data
        for event in events:
            if b"data:" in event:
                self.events += 1
                if hear:
                    hear(event)
                if END.search(event):
                    self.ended += 1
                    ended = True
        if ended:
            self._leave(number)

    def _leave(self, number):
        self._epoll.unregister(number)
        self._sockets.pop(number).close()

    def close(self):
        for one in self._sockets.values():
            one.close()
        self._epoll.close()


def main(port, path, seconds):
    poller, took = Poller(port, path), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        time.sleep(0.02)
        poller.send(time.perf_counter())
        while not poller.receive():
            pass
        took.append(time.perf_counter() - poller.sent)
    print(*(value * 1000 for value in percentiles(took)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))

"""Mutated requests, to `longop.web.wire` and to h11: what one refuses, the other one refuses too.

``LONGOP_FUZZ`` is how many (20,000), ``LONGOP_SEED`` which ones.
"""

import os
import random
import re

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.request import Request
from longop.web.wire import Reader

from .peers import needs

pytestmark = needs("h11")
COUNT = int(os.environ.get("LONGOP_FUZZ", "20000"))
SEED = int(os.environ.get("LONGOP_SEED", "1"))
LIMITS = Limits(max_body=1_000)
WHOLE = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/jobs?since=1&wait=2 HTTP/1.1\r\nHost: localhost:32168\r\nAccept: */*\r\n\r\n",
    b"POST /v1/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nhost:a\r\nContent-Type: text/plain\r\ncontent-length:0\r\n\r\n",
    b"DELETE http://a.example/v1/jobs/x HTTP/1.1\r\nHost: a.example\r\nX: \r\n\r\n",
    b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Long: " + b"v" * 300 + b"\r\n\r\n",
]
PIECES = [
    b"\r\n", b"\r", b"\n", b"\0", b" ", b"\t", b":", b",", b"\r\n ", b"\r\n\r\n", b"\xff", b"\x7f",
    b"\x0b",
    b"\r\nContent-Length: 5", b"\r\nContent-Length: 6", b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: gzip", b"\r\nHost: b", b"\r\nX : y", b"\r\nConnection: close",
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"/", b"?", b"#", b"%0a", b"@", b"-1",
    b"+5", b"0x5", b"00005", b"9" * 20, b"GET ", b"chunked", b";", b"\"", b"{", b"a" * 50,
]


def mutated(chance):
    """Return a request, or two, of which something was changed."""
    data = bytearray(chance.choice(WHOLE) + chance.choice([b"", b"", chance.choice(WHOLE)]))
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3, 6])):
        place = chance.randrange(len(data) + 1)
        what = chance.randrange(5)
        if what == 0:
            data[place:place] = chance.choice(PIECES)
        elif what == 1:
            del data[place:place + chance.choice([1, 1, 2, 10])]
        elif what == 2 and place < len(data):
            data[place] = chance.randrange(256)
        elif what == 3:
            data[place:place + chance.choice([1, 2, 5])] = chance.choice(PIECES)
        else:
            other = chance.choice(WHOLE)
            data[place:place] = other[chance.randrange(len(other)):][:chance.randrange(30)]
    return bytes(data)


def read_head(head):
    request = Request(head, LIMITS)
    request.check()
    return request


def ours(*pieces):
    """Return the requests that are in some bytes, and the status with which the rest is refused."""
    reader, found, requests = Reader(read_head, LIMITS), [], True
    try:
        for piece in pieces:
            reader.buffer += piece
            for request in iter(reader.next, None):
                found.append((request.method, request.path, request.query,
                              sorted(request.headers.items()), request.body))
                if not request.keep_alive:
                    return found, None
    except RequestError as error:
        return found, error.status
    assert requests
    return found, None


def theirs(data):
    """Return what h11 makes of the same."""
    import h11

    found = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return found, None
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((request, body))
                if connection.their_state is h11.MUST_CLOSE:
                    return found, None
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return found, None
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return found, None
    except h11.RemoteProtocolError as error:
        if "no request line" in str(error) or connection.trailing_data[0][:1] == b"\r":
            return found, "empty line:"
        return found, error.error_status_hint


# What we refuse although h11 does not, and why that may be. RFC 9112 unless another is named.
STRICTER = [
    rb"(?<!\r)\n",  # section 2.2: a bare LF may be taken for a line's end, and need not
    rb"\r\n[ \t]",  # section 5.2: a folded line must be refused, or be mended
    rb"transfer-encoding",  # section 6.3: 411 for what has no length; 501 for other codings
    rb"content-length:[^\r]*,|content-length.*content-length",  # section 6.3: the same twice
    rb"host:.*host:|host:[^\r]*[\s,/?#@\\]",  # section 3.2: two of them, or what is no host
    rb"https?://",  # section 3.2.2: its host goes before the Host
    rb"(^|\r\n\r\n.{0,5})[^!-~]",  # what cannot become a request: h11 waits for its end
    rb"HTTP/(1\.[2-9]|[02-9]\.\d)",  # RFC 9110 section 15.6.6: a version may not be known
    rb"content-length:[ \t]*\d{4,}",  # over the limit of this test
]
# What we let in although h11 does not, but for an empty line before a request (section 2.2).
LAXER = [
    rb"[\x0b\x0c]",  # RFC 9110 section 5.5: control characters may be kept in a value
]


def is_known(rules, data):
    return any(re.search(rule, data, re.I | re.S) for rule in rules)


def test_mutated_requests():
    """Both take and refuse the same, but for what an RFC leaves open; and never does ours crash."""
    chance, agreed, refused = random.Random(SEED), 0, 0
    for number in range(COUNT):
        data = mutated(chance)
        mine, status = ours(data)
        cut = chance.randrange(len(data) + 1)
        again = ours(data[:cut], data[cut:])
        assert again[0] == mine, (number, data)
        assert (again[1] is None) == (status is None) or cut < len(data), (number, data)
        its, its_status = theirs(data)
        if status is None and its_status is None and len(mine) == len(its):
            for (method, _, _, headers, body), (request, other_body) in zip(mine, its):
                assert method.encode() == request.method, (number, data)
                assert body == other_body, (number, data)
                if not is_known(STRICTER, data):
                    names = {name.encode("latin-1") for name, _ in headers}
                    assert names == {name for name, _ in request.headers}, (number, data)
            agreed += 1
        elif status is not None and its_status is not None:
            refused += 1
        elif status is not None:
            assert is_known(STRICTER, data), (number, data, status, its)
        else:
            assert its_status == "empty line:" or is_known(LAXER, data), (number, data, mine)
    print(f"seed {SEED}: {COUNT} requests, {agreed} taken and {refused} refused by both")
    assert agreed > COUNT // 10
    assert refused > COUNT // 10

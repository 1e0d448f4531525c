"""`longop.serve.tls`: the same conversation over TLS."""

import contextlib
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from longop.serve.tls import load_certificate

from .clients import PING, ask, connected, events_of, first_event_of, get, raw, rest, serving


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the files of a certificate and of its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    file = tmp_path_factory.mktemp("tls") / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(file), "-out", str(file) + ".crt"], check=True,
                   stderr=subprocess.DEVNULL)
    return str(file) + ".crt", str(file)


@pytest.fixture(scope="module")
def contexts(files):
    """Return a server's and a client's SSLContext."""
    here = ssl.create_default_context()
    here.check_hostname, here.verify_mode = False, ssl.CERT_NONE
    return load_certificate(*files), here


def test_tls(contexts, start, steps):
    """All of it goes over TLS, and a handshake that does not come holds up nobody."""
    there, here = contexts
    job = start(size=3_000_000)
    steps.step()
    with serving(job, there) as server, connected(server), connected(server, b"\x16\x03"):
        assert server.url.startswith("https://")
        with connected(server, context=here) as client:
            for _ in range(3):
                assert ask(client, PING)[0] == 200
                assert len(ask(client, get(f"/v1/jobs/{job.id}"))[1]) > 3_000_000
        with connected(server, get(f"/v1/jobs/{job.id}/events"), here) as client:
            events = events_of(client)
            next(events)
            steps.step()
            assert next(events)["step"] == 2
            job.cancel()
            assert [event["state"] for event in events][-1] == "cancelled"
        with contextlib.suppress(OSError):  # which tells how fast it was thrown out
            assert b"HTTP/1.1 200" not in raw(server, PING)


def test_a_page_without_tls(contexts):
    """Over TLS, the page of the same host that came without it is another site's."""
    there, here = contexts
    with serving(tls=there) as server, connected(server, context=here) as client:
        for scheme, status in ("http", 403), ("https", 404):
            lines = f"Host: localhost\r\nOrigin: {scheme}://localhost\r\n"
            head = f"POST /v1/jobs/x/cancel HTTP/1.1\r\n{lines}\r\n"
            assert ask(client, head.encode())[0] == status


def test_tls_end(contexts):
    """The last answer is followed by TLS's own end."""
    there, here = contexts
    with serving(tls=there) as server, connected(server) as plain, \
            here.wrap_socket(plain, suppress_ragged_eofs=False) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 400 ")


def test_too_many_over_tls(contexts, job):
    """While all connections are busy, who is too many is closed at once."""
    there, here = contexts
    with serving(job, tls=there, max_connections=1) as server, \
            connected(server, get(f"/v1/jobs/{job.id}/events"), here) as client:
        first_event_of(client)
        with connected(server) as other:
            assert rest(other) == b""


@pytest.mark.parametrize("text", ["no certificate", None])
def test_no_certificate(tmp_path, text):
    """A file that is no certificate, or not there, is named."""
    file = tmp_path / "certificate"
    if text:
        file.write_text(text)
    with pytest.raises(OSError, match=re.escape(f"cannot use the certificate {file}: ")):
        load_certificate(str(file))


def test_one_file(files, tmp_path):
    """The key may be in the same file."""
    both = tmp_path / "both"
    both.write_bytes(b"".join(Path(file).read_bytes() for file in files))
    load_certificate(str(both))

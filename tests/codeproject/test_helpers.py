"""`longop.codeproject.helpers`: small functions that adapters call."""

import io
import json
import os
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from longop.codeproject import (dump_tensors, get_folder_size, helpers, shorten,
                                timedelta_format)
from longop.web.limits import Limits
from longop.web.parameters import parameters
from longop.web.request import Request

from ..waiting import WAIT
from ..windows import LINKS


@pytest.mark.parametrize(("span", "text"), [
    ({}, "0:00:00"), ({"seconds": 61}, "0:01:01"), ({"hours": 25}, "1d 1:00:00"),
    ({"hours": 24}, "24:00:00"), ({"days": 400, "seconds": 5}, "1yrs, 1mths, 5d 0:00:05"),
    ({"days": 40}, "1mths, 10d 0:00:00"), ({"milliseconds": 999}, "0:00:00")])
def test_timedelta_format(span, text):
    """A span of time is shown as the SDK shows it."""
    assert timedelta_format(timedelta(**span)) == text


@pytest.mark.parametrize(("length", "short"), [
    (10, "0123456789"), (9, "012...789"), (8, "01...89"), (5, "0...9"), (4, "0123"), (2, "01"),
    (0, "")])
def test_shorten(length, short):
    """The middle of a text is left out (defect 22: the SDK keeps one character of its end)."""
    assert shorten("0123456789", length) == short
    assert len(short) <= length


@LINKS
def test_get_folder_size(tmp_path):
    """The size of a folder is that of all in it, also of folders and in them."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "deep" / "er" / "b").write_bytes(b"x" * 1000)
    os.symlink(str(tmp_path), str(tmp_path / "deep" / "circle"))
    os.symlink("nowhere", str(tmp_path / "dangling"))
    folders = [tmp_path, tmp_path / "deep", tmp_path / "deep" / "er",
               tmp_path / "deep" / "circle"]
    assert get_folder_size(str(tmp_path)) == 1100 + sum(map(os.path.getsize, folders))


def test_dump_tensors(monkeypatch, capsys):
    """The tensors that are in memory are printed, with their sizes."""
    class Tensor:
        def size(self):
            return "a size of 3"

    torch = ModuleType("torch")
    torch.is_tensor = lambda found: isinstance(found, Tensor)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr("gc.get_objects", lambda: [1, object, Tensor()])
    dump_tensors()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("Tensor'> a size of 3")


def test_missing_packages(tmp_path):
    """The packages of a file that are not installed are named; what is no name is passed over."""
    file = tmp_path / "requirements.txt"
    file.write_text("# those of the module\n\n--extra-index-url https://example.org\npytest\n"
                    "PyTest>=1  # installed\nlongop-none==1.0\nlongop_nothing[all]>=2,<3\n"
                    "longop-other; sys_platform == 'win32'\ngit+https://example.org/x\n"
                    "x @ https://example.org/x.whl\n-r other.txt\n")
    assert [*helpers.missing_packages(str(file))] == ["longop-none", "longop_nothing"]


# A call of the server


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = "".join(f"{name}: {text}\r\n" for name, text in self.headers.items())
        request = Request(f"{self.requestline}\r\n{headers}\r\n".encode(), Limits())
        self.server.got = parameters(request.with_body(body))
        code, kind, text = self.server.answer
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *line):
        """Say nothing."""


@pytest.fixture
def server():
    with HTTPServer(("localhost", 0), Answers) as server:
        server.url = f"http://localhost:{server.server_port}/v1/x"
        server.answer = (200, "text/plain", b"done")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(WAIT)


def test_a_form_without_files(server):
    """Values are sent as text, under their names."""
    assert helpers.post_form(server.url, {"a": 1, "b": "\u00e9 &=", "c": True}, {}) == "done"
    assert server.got == {"a": ["1"], "b": ["\u00e9 &="], "c": ["True"]}


def test_a_form_with_files(server):
    """Files are sent with their names and types; the content is bytes, text or an open file."""
    helpers.post_form(server.url, {"a": "x"}, {
        "f": ("a.png", b"\0\r\n--\xff", "image/png"), "g": ('b"\r\n.txt', "text", "text/plain"),
        "h": ("c", io.BytesIO(b"open"))})
    assert (server.got["a"], server.got["f"], server.got["g"], server.got["h"]) == (
        ["x"], [b"\0\r\n--\xff"], [b"text"], [b"open"])
    assert (server.got["f"][0].filename, server.got["f"][0].content_type) == (
        "a.png", "image/png")
    # Escaped on the way, so that no header begins there; the server reads what was meant.
    assert server.got["g"][0].filename == 'b"\r\n.txt'


@pytest.mark.parametrize(("answer", "value"), [
    ((200, "application/json; charset=utf-8", json.dumps({"success": True}).encode()),
     {"success": True}),
    ((500, "application/json", b'{"success": false}'), {"success": False}),
    ((200, "text/plain", b"\xc3\xa9"), "\u00e9"), ((200, "image/png", b"x"), ""),
    ((200, "application/json", b"{"), ""), ((200, "text/plain", b"\xff"), "")])
def test_answers(server, answer, value):
    """An answer is text or a value of JSON; anything else is an empty text."""
    server.answer = answer
    assert helpers.post_form(server.url, {}, {}) == value


def test_no_answer():
    """Where nobody answers, the answer is an empty text."""
    with HTTPServer(("localhost", 0), Answers) as server:
        port = server.server_port
    assert helpers.post_form(f"http://localhost:{port}/v1/x?y=1", {"a": 1}, {}) == ""

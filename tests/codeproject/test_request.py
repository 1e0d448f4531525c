"""`longop.codeproject.request`: a request, as an adapter sees it."""

import base64
import json
import sys
import types
from types import SimpleNamespace

import pytest

from longop import LongOperationError
from longop.codeproject import RequestData


def request(**values):
    return RequestData.of({name: [value] for name, value in values.items()}, "run", [])


class Upload(bytes):
    filename, content_type = "a.png", "image/png"


def test_public_names():
    """RequestData has all the names of the SDK's."""
    for name in ["clamp", "restrict", "encode_image", "encode_file_contents", "queue", "command",
                 "segments", "json", "add_value", "add_file", "get_image", "get_file_bytes",
                 "get_value", "get_int", "get_float", "get_bool", "payload", "files", "value_list",
                 "request_id"]:
        assert hasattr(RequestData(), name), name


@pytest.mark.parametrize(("value", "number"), [
    ("5", 5), (5, 5), ("-1", -1), (" 7 ", 7), ("x", None), ("", None), ("1.5", None), (None, None),
    ([], None), ("1e3", None), (float("inf"), None), (float("nan"), None)])
def test_get_int(value, number):
    """A value is a whole number, or the default counts."""
    assert request(a=value).get_int("a") == number
    assert request(a=value).get_int("a", 3) == (3 if number is None else number)


@pytest.mark.parametrize(("value", "number"), [("0.5", 0.5), (1, 1.0), ("x", None), ("", None)])
def test_get_float(value, number):
    """A value is a number, or the default counts."""
    assert request(a=value).get_float("a") == number
    assert request(a=value).get_float("a", 0.4) == (0.4 if number is None else number)


@pytest.mark.parametrize(("value", "truth"), [
    ("y", True), ("Yes", True), ("t", True), ("TRUE", True), ("on", True), ("1", True), (1, True),
    (True, True), ("no", False), ("false", False), (False, False), ("", False), ("2", False)])
def test_get_bool(value, truth):
    """The words for yes are those of the SDK; all other words are no."""
    assert request(a=value).get_bool("a") is truth
    assert request().get_bool("a", True) is True
    assert request().get_bool("a") is None


def test_get_value():
    """The first value of a name counts, and a name that is not there is the default."""
    data = RequestData.of({"a": ["x", "y"], "b": []}, "run", ["s"])
    assert (data.get_value("a"), data.get_value("A", "d"), data.get_value("b", "d")) == (
        "x", "d", "d")
    assert request(a=None).get_value("a", "d") == "d"
    assert (data.command, data.segments, data.queue) == ("run", ["s"], None)


@pytest.mark.parametrize("payload", [
    None, {}, {"values": None, "files": None}, {"command": "run"},
    {"command": "run", "values": [], "files": [], "urlSegments": []}])
def test_what_that_server_leaves_out(payload):
    """Entries of the queue may have null or nothing where others have lists."""
    data = RequestData(json.dumps({"reqid": "1", "payload": payload}))
    assert (data.get_value("a", "d"), data.get_int("a"), data.get_file_bytes(0)) == (
        "d", None, None)
    assert data.get_image(0) is None
    assert data.parameters() == {}
    data.add_value("a", "x")
    assert data.get_value("a") == "x"


def test_files(tmp_path):
    """A file is its bytes, with its name and type; one that is not there is None."""
    data = RequestData.of({"image1": [Upload(b"\0\xff")], "empty": [b""]}, "run", [])
    assert data.files[0] == {"name": "image1", "filename": "a.png", "contentType": "image/png",
                             "data": "AP8="}
    assert (data.get_file_bytes(0), data.get_file_bytes(1), data.get_file_bytes(2)) == (
        b"\0\xff", b"", None)
    (tmp_path / "b.txt").write_bytes(b"text")
    data.add_file(str(tmp_path / "b.txt"))
    assert data.get_file_bytes(2) == b"text"
    assert data.encode_file_contents(str(tmp_path / "nothing")) is None
    assert data.parameters()["image1"] == [b"\0\xff"]


def test_there_and_back():
    """A request is the same when it has been JSON."""
    data = RequestData.of({"a": ["x", "y"], "f": [Upload(b"z")]}, "run", ["s"], "an id")
    again = RequestData(data.json())
    assert (again.request_id, again.payload) == (data.request_id, data.payload)


def test_bounds():
    """clamp and restrict keep a value where it may be."""
    assert [RequestData.clamp(value, 1, 3) for value in (0, 2, 5)] == [1, 2, 3]
    assert [RequestData.restrict(value, ["a", "b"], "c") for value in "abx"] == ["a", "b", "c"]


# Images


@pytest.fixture
def pillow(monkeypatch):
    """Put a stand-in of Pillow in its place."""
    class Image:
        def __init__(self, text, mode="P"):
            self.text, self.mode = text, mode

        def convert(self, mode):
            return Image(self.text, mode)

        def save(self, file, format):
            file.write(f"{format} {self.text}".encode())

        @staticmethod
        def open(file):
            data = file.read()
            if not data.startswith(b"image"):
                raise OSError("cannot identify image file")
            return Image(data.decode())

    package, module = types.ModuleType("PIL"), types.ModuleType("PIL.Image")
    module.open, package.Image = Image.open, module
    monkeypatch.setitem(sys.modules, "PIL", package)
    monkeypatch.setitem(sys.modules, "PIL.Image", module)
    return Image


def test_get_image(pillow):
    """An image is Pillow's, in RGB; what is none, or is empty or not there, is None."""
    data = RequestData.of({"a": [b"image 1", b"text", b""]}, "run", [])
    image = data.get_image(0)
    assert (image.text, image.mode) == ("image 1", "RGB")
    assert [data.get_image(index) for index in (1, 2, 3)] == [None, None, None]
    assert base64.b64decode(RequestData.encode_image(image)) == b"PNG image 1"


@pytest.mark.parametrize(("module", "package"), [("pil", "PIL"), ("opencv", "cv2")])
def test_get_image_without_its_package(monkeypatch, module, package):
    """Without the package that makes images, the error names it."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.Image", None)
    with pytest.raises(LongOperationError, match=f"needs a package.*{package}"):
        request(a=b"image").get_image(0, module)


def test_get_image_of_opencv(monkeypatch):
    """For opencv an image is what cv2 makes of it."""
    cv2, numpy = types.ModuleType("cv2"), types.ModuleType("numpy")
    cv2.IMREAD_COLOR, cv2.imdecode = 1, lambda array, how: (array, how)
    numpy.uint8, numpy.frombuffer = int, lambda data, kind: [*data]
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    assert request(a=b"\1\2").get_image(0, "opencv") == ([1, 2], 1)


def test_defect_18_request_data(monkeypatch):
    """A request has a queue, and its image is one of OpenCV if that is asked for."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(
        imdecode=lambda array, flag: (array, flag), IMREAD_COLOR="color"))
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(
        frombuffer=lambda data, kind: [*data], uint8="uint8"))
    data = RequestData(json.dumps({"payload": {
        "command": "x", "queue": "q", "files": [{"name": "image", "data": "AQI="}]}}))
    assert data.queue == "q"
    data.queue = "other"
    assert (data.queue, data.payload["queue"]) == ("other", "other")
    assert data.get_image(0, "opencv") == ([1, 2], "color")
    assert data.get_image(1, "opencv") is None


# Base64


def test_an_upload_is_not_encoded(counted):
    """An upload reaches the adapter as the bytes that came, however often it asks."""
    upload = Upload(b"content")
    data = RequestData.of({"a": ["x"], "file": [upload]}, "run", [])
    assert data.get_file_bytes(0) is upload
    assert data.get_file_bytes(0) is upload
    assert data.get_file_bytes(1) is None
    assert data.parameters() == {"a": ["x"], "file": [b"content"]}
    assert (data.get_value("a"), data.value_list, data.command) == (
        "x", [{"key": "a", "value": ["x"]}], "run")
    assert counted() == (0, 0)


@pytest.mark.parametrize("look", [
    lambda data: data.files, lambda data: data.payload["files"],
    lambda data: json.loads(data.json())["payload"]["files"]])
def test_an_upload_is_encoded_for_who_looks(counted, look):
    """An upload is encoded, once, only if the adapter looks at the payload."""
    data = RequestData.of({"file": [Upload(b"content")], "plain": [b"x"]}, "run", ["s"])
    wanted = [
        {"name": "file", "filename": "a.png", "contentType": "image/png", "data": "Y29udGVudA=="},
        {"name": "plain", "filename": "", "contentType": "", "data": "eA=="}]
    for _ in range(2):
        assert look(data) == wanted
    assert list(data.payload) == ["command", "values", "files", "urlSegments"]
    assert data.get_file_bytes(0) == b"content"
    assert data.parameters()["file"][0].filename == "a.png"
    assert counted() == (2, 0)


def test_an_entry_of_the_queue_is_decoded_once(counted):
    """A file in an entry of the queue is decoded once, however often it is asked for."""
    files = [{"name": "file", "filename": "a.png", "contentType": "", "data": "Y29udGVudA=="}]
    data = RequestData(json.dumps({"reqid": "1", "payload": {"command": "run", "files": files}}))
    assert data.parameters()["file"] == [b"content"]
    assert data.get_file_bytes(0) == b"content"
    assert data.get_file_bytes(0) == b"content"
    assert data.files == files
    assert counted() == (0, 1)


def test_a_payload_that_an_adapter_changes():
    """An adapter's changes of the payload, or of a file in it, take effect."""
    data = RequestData.of({"file": [Upload(b"content")]}, "run", [])
    data.files[0]["data"] = "eA=="
    assert (data.get_file_bytes(0), data.parameters()["file"]) == (b"x", [b"x"])
    data.payload = {"command": "other", "files": []}
    assert (data.command, data.get_file_bytes(0), data.parameters()) == ("other", None, {})
    data.files = [{"name": "f", "data": "eQ=="}]
    assert data.get_file_bytes(0) == b"y"

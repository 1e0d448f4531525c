"""`longop.codeproject.sdk`: what an adapter is written with."""

import base64
import json
import logging
import os
import subprocess
import sys
import types

import pytest

from longop import LongOperationError
from longop.codeproject import (LogMethod, LogVerbosity, ModuleOptions, ModuleRunner, RequestData,
                                SystemInfo)
from longop.codeproject.sdk import ModuleRunner as Base


def request(**values):
    return RequestData.of({name: [value] for name, value in values.items()}, "run", [])


class Upload(bytes):
    filename, content_type = "a.png", "image/png"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Start with nothing of that server's in the environment."""
    for name in list(os.environ):
        if name.startswith("CPAI_"):
            monkeypatch.delenv(name)


# RequestData


def test_public_names():
    """All that the SDK's RequestData has is there."""
    for name in ["clamp", "restrict", "encode_image", "encode_file_contents", "queue", "command",
                 "segments", "json", "add_value", "add_file", "get_image", "get_file_bytes",
                 "get_value", "get_int", "get_float", "get_bool", "payload", "files", "value_list",
                 "request_id"]:
        assert hasattr(RequestData(), name), name


def test_runner_names():
    """All that the SDK's ModuleRunner offers an adapter is there."""
    for name in ["initialise", "initialize", "process", "status", "module_status", "command_status",
                 "cancel_command_task", "update_statistics", "selftest", "cleanup", "start_loop",
                 "start_timer", "end_timer", "log", "log_async", "report_error",
                 "report_error_async", "module_id", "module_name", "module_path", "python_dir",
                 "port", "server_root_path", "queue_name", "launched_by_server", "required_MB",
                 "accel_device_name", "parallelism", "enable_GPU", "half_precision",
                 "log_verbosity", "system_info", "inference_device", "inference_library",
                 "can_use_GPU", "force_shutdown", "base_api_url"]:
        assert hasattr(ModuleRunner(), name), name


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
    assert (data.command, data.segments, data.queue) == ("run", ["s"], "N/A")


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


# ModuleRunner


def test_defaults(tmp_path, monkeypatch):
    """Without that server a module has what the SDK's has."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    folder = tmp_path / "TheModule"
    folder.mkdir()
    runner = Base(str(folder))
    assert (runner.module_id, runner.module_name, runner.queue_name) == (
        "TheModule", "TheModule", "themodule_queue")
    assert (runner.module_path, runner.port, runner.base_api_url) == (
        str(folder), 32168, "http://localhost:32168/v1/")
    assert (runner.parallelism, runner.enable_GPU, runner.half_precision, runner.required_MB) == (
        4, True, "disable", 0)
    assert (runner.log_verbosity, runner.launched_by_server, runner.server_root_path,
            runner.accel_device_name) == (LogVerbosity.Quiet, False, None, None)


def test_what_that_server_says(monkeypatch, tmp_path):
    """What that server says in the environment is what a module has."""
    for name, value in {
            "PORT": "5000", "MODULE_ID": "Mod", "MODULE_NAME": "A module", "APPROOTPATH": "/app",
            "MODULE_PATH": str(tmp_path), "MODULE_QUEUENAME": "q", "MODULE_PARALLELISM": "3",
            "MODULE_REQUIRED_MB": "100", "MODULE_ENABLE_GPU": "False",
            "ACCEL_DEVICE_NAME": "cuda:1", "HALF_PRECISION": "force", "LOG_VERBOSITY": "Loud",
            "MODULE_SERVER_LAUNCHED": "true"}.items():
        monkeypatch.setenv(f"CPAI_{name}", value)
    runner = ModuleRunner()
    assert (runner.port, runner.module_id, runner.module_name, runner.server_root_path) == (
        5000, "Mod", "A module", "/app")
    assert (runner.module_path, runner.queue_name, runner.parallelism, runner.required_MB) == (
        str(tmp_path), "q", 3, 100)
    assert (runner.enable_GPU, runner.accel_device_name, runner.half_precision) == (
        False, "cuda:1", "force")
    assert (runner.log_verbosity, runner.launched_by_server) == (LogVerbosity.Loud, True)


@pytest.mark.parametrize("port", ["", "x", "-1", "1.5", "0", "65536", "99999999", "\u00b2", "5 0"])
def test_a_port_that_is_none(monkeypatch, port):
    """A port that is none is not half believed: it is the usual one at both places (defect 21)."""
    monkeypatch.setenv("CPAI_PORT", port)
    runner = ModuleRunner()
    assert (runner.port, runner.base_api_url) == (32168, "http://localhost:32168/v1/")


@pytest.mark.parametrize(("text", "verbosity"), [
    ("info", "info"), ("Info", "info"), ("LOUD", "loud"), ("quiet", "quiet"), ("", "quiet"),
    ("Lound", "quiet"), ("unknown", "quiet")])
def test_log_verbosity(monkeypatch, text, verbosity):
    """A verbosity that is misspelt is Quiet (defect 21)."""
    monkeypatch.setenv("CPAI_LOG_VERBOSITY", text)
    assert ModuleRunner().log_verbosity.value == verbosity


@pytest.mark.parametrize("cpus", [None, 1, 2, 8])
@pytest.mark.parametrize("text", ["0", "", "x", "-2", "1"])
def test_parallelism(monkeypatch, cpus, text):
    """There is always one loop at least, on one CPU too (defect 13)."""
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setenv("CPAI_MODULE_PARALLELISM", text)
    assert ModuleRunner().parallelism == (1 if text == "1" else max(1, (cpus or 2) // 2))


@pytest.mark.parametrize(("text", "half"), [
    ("enable", "enable"), ("disable", "disable"), ("force", "force"), ("Force", "disable"),
    ("yes", "disable"), ("", "disable")])
def test_half_precision(monkeypatch, text, half):
    """Of CPAI_HALF_PRECISION three words are known."""
    monkeypatch.setenv("CPAI_HALF_PRECISION", text)
    assert ModuleRunner().half_precision == half


def test_module_options(monkeypatch):
    """getEnvVariable is the environment's, with a default."""
    monkeypatch.setenv("LONGOP_X", "1")
    assert ModuleOptions.getEnvVariable("LONGOP_X", "2") == "1"
    assert ModuleOptions.getEnvVariable("LONGOP_Y", "2") == "2"


def test_system_info():
    """What would need a package is False, and what is no such thing is no attribute."""
    info = SystemInfo()
    assert info.hasTorchCuda is info.hasTorchMPS is info.hasAnything is False
    assert info.os in ("Linux", "Windows", "macOS")
    assert not hasattr(info, "nothing")


@pytest.mark.parametrize(("level", "number"), [
    ("trace", 10), ("debug", 10), ("information", 20), ("info", 20), ("Warning", 30), ("error", 40),
    ("critical", 50), (None, 20), ("odd", 20)])
def test_log(caplog, level, number):
    """What an adapter logs goes to `logging`, at its level."""
    caplog.set_level(logging.DEBUG, "longop")
    ModuleRunner().log(LogMethod.All, {"message": "100% %s", "loglevel": level})
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [(number, "100% %s")]


def test_log_in_other_ways(caplog):
    """Errors and timers are logged as well, and the async forms are the same."""
    import asyncio

    caplog.set_level(logging.DEBUG, "longop")
    runner = ModuleRunner()
    runner.report_error(None, "a.py", "it is gone")
    runner.report_error(ValueError("why"), "a.py")
    asyncio.run(runner.report_error_async(None, "b.py", "gone too"))
    asyncio.run(runner.log_async(LogMethod.Info | LogMethod.Server, {"message": "x"}))
    runner.end_timer(runner.start_timer("the work"))
    texts = [one.getMessage() for one in caplog.records]
    assert texts[:4] == ["a.py: it is gone", "a.py: why", "b.py: gone too", "x"]
    assert texts[4].startswith("the work took ")


def test_what_need_not_be_overridden():
    """An adapter has to have process() alone."""
    runner = ModuleRunner()
    assert runner.selftest() == {"success": True}
    assert runner.module_status() == runner.status() == runner.command_status() == {}
    assert runner.cancel_command_task() is runner.cleanup() is None
    with pytest.raises(NotImplementedError):
        runner.process(RequestData())


def test_pillow_is_not_imported():
    """Neither Pillow nor numpy is imported with the adapter's names."""
    script = "import sys, longop.codeproject; print(*{'PIL', 'numpy', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True,
                          text=True).stdout == "\n"

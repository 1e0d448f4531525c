"""`longop.codeproject.sdk`: what an adapter is written with."""

import asyncio
import json
import logging
import os
import subprocess
import sys

import pytest

from longop.codeproject import (LogMethod, LogVerbosity, ModuleRunner, RequestData, SystemInfo,
                                helpers)


def test_runner_names():
    """ModuleRunner has all the names of the SDK's."""
    for name in ["initialise", "initialize", "process", "status", "module_status", "command_status",
                 "cancel_command_task", "update_statistics", "selftest", "cleanup", "start_loop",
                 "start_timer", "end_timer", "log", "log_async", "report_error",
                 "report_error_async", "module_id", "module_name", "module_path", "python_dir",
                 "port", "server_root_path", "queue_name", "launched_by_server", "required_MB",
                 "accel_device_name", "parallelism", "enable_GPU", "half_precision",
                 "log_verbosity", "system_info", "inference_device", "inference_library",
                 "can_use_GPU", "force_shutdown", "base_api_url"]:
        assert hasattr(ModuleRunner(), name), name


def test_defaults(tmp_path, monkeypatch):
    """Without CodeProject a module has the SDK's defaults."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    folder = tmp_path / "TheModule"
    folder.mkdir()
    runner = ModuleRunner(str(folder))
    assert (runner.module_id, runner.module_name, runner.queue_name) == (
        "TheModule", "TheModule", "themodule_queue")
    assert (runner.module_path, runner.port, runner.base_api_url) == (
        str(folder), 32168, "http://localhost:32168/v1/")
    assert (runner.parallelism, runner.enable_GPU, runner.half_precision, runner.required_MB) == (
        4, True, "disable", 0)
    assert (runner.log_verbosity, runner.launched_by_server, runner.server_root_path,
            runner.accel_device_name) == (LogVerbosity.Quiet, False, None, None)


def test_what_that_server_says(monkeypatch, tmp_path):
    """A module gets its values from the environment that CodeProject sets."""
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
    """An invalid port is replaced by the default in both places (defect 21)."""
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
    """There is at least one loop, on one CPU too (defect 13)."""
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setenv("CPAI_MODULE_PARALLELISM", text)
    assert ModuleRunner().parallelism == (1 if text == "1" else max(1, (cpus or 2) // 2))


@pytest.mark.parametrize(("text", "half"), [
    ("enable", "enable"), ("disable", "disable"), ("force", "force"), ("Force", "disable"),
    ("yes", "disable"), ("", "disable")])
def test_half_precision(monkeypatch, text, half):
    """CPAI_HALF_PRECISION is one of three words."""
    monkeypatch.setenv("CPAI_HALF_PRECISION", text)
    assert ModuleRunner().half_precision == half


def test_half_precision_of_the_card(monkeypatch):
    """If nothing is said, the card is asked, and only when the adapter wants to know."""
    asked = []
    monkeypatch.setattr(SystemInfo, "hasTorchHalfPrecision", property(
        lambda info: asked.append(1) or True))
    runner = ModuleRunner()
    assert asked == []
    assert runner.half_precision == runner.half_precision == "enable"
    assert asked == [1]
    runner.half_precision = "disable"
    assert runner.half_precision == "disable"


def test_what_the_settings_say(monkeypatch, tmp_path):
    """Without CodeProject the settings in the module's folder take the environment's place."""
    monkeypatch.setattr("os.environ", dict(os.environ))
    (tmp_path / "modulesettings.json").write_text(json.dumps({"Modules": {"Mod": {
        "LaunchSettings": {"Queue": "q", "Parallelism": 3, "RequiredMb": 100},
        "GpuOptions": {"EnableGPU": False, "HalfPrecision": "force"}}}}))
    runner = ModuleRunner(str(tmp_path))
    assert (runner.queue_name, runner.parallelism, runner.required_MB, runner.enable_GPU,
            runner.half_precision) == ("q", 3, 100, False, "force")


@pytest.mark.parametrize(("arguments", "tests"), [
    (["adapter.py"], False), (["adapter.py", "--selftest"], True),
    (["__main__.py", "adapter.py", "--selftest"], True)])
def test_an_adapter_knows_that_it_is_tested(monkeypatch, arguments, tests):
    """From its beginning on, an adapter can see whether it only runs its test."""
    monkeypatch.setattr(sys, "argv", arguments)
    assert ModuleRunner()._performing_self_test is tests


def test_the_folder_of_packages():
    """python_pkgs_dir is where the packages are installed (defect 19)."""
    if "dist-packages" in pytest.__file__:
        pytest.skip("Debian's own packages are in a folder of their own")
    assert os.path.dirname(os.path.dirname(pytest.__file__)) == ModuleRunner().python_pkgs_dir


# The packages that a module requires


@pytest.fixture
def requires(tmp_path, monkeypatch):
    """Return a function that returns the file for a machine, of those that are there."""
    def requires(*files, system="Linux", arch="x86_64", **devices):
        for path in tmp_path.iterdir():
            path.unlink()
        for file in files:
            (tmp_path / f"requirements.{file}txt").write_text("")
        runner = ModuleRunner(str(tmp_path))
        known = {"os": "Linux", "system": system, "cpu_arch": arch, "hasTorchCuda": False,
                 "hasTorchROCm": False, **devices}
        vars(runner.system_info).update(known)
        found = runner.get_requirements_filepath()
        return found and os.path.basename(found)[len("requirements."):-len("txt")]

    return requires


def test_requirements(requires):
    """The file that fits the machine best counts, as with the SDK."""
    every = ["", "linux.", "linux.x86_64.", "gpu.", "linux.gpu.", "cuda.", "linux.x86_64.cuda.",
             "rocm.", "raspberrypi.", "windows."]
    assert requires() is None
    assert requires("windows.", "linux.arm64.") is None
    assert requires(*every) == "linux.gpu."
    assert requires(*every, hasTorchCuda=True) == "linux.x86_64.cuda."
    assert requires(*every, hasTorchCuda=True, hasTorchROCm=True) == "rocm."
    assert requires(*every, system="Raspberry Pi") == "raspberrypi."
    assert requires("", "linux.", "linux.x86_64.") == "linux.x86_64."
    assert requires("", "linux.", arch="ARM64") == "linux."
    assert requires("", "cuda.") == ""


def test_requirements_without_a_gpu(requires, monkeypatch):
    """Where no GPU is allowed, none is looked for."""
    monkeypatch.setenv("CPAI_MODULE_ENABLE_GPU", "False")
    assert requires("", "gpu.", "cuda.", hasTorchCuda=None, hasTorchROCm=None) == ""


def test_check_packages(tmp_path, caplog):
    """The packages that are missing are logged; without a file there is nothing to say."""
    runner = ModuleRunner(str(tmp_path))
    runner.check_packages()
    assert caplog.text == ""
    (tmp_path / "requirements.txt").write_text("pytest\nlongop-none\n")
    runner.check_packages()
    assert [one.getMessage() for one in caplog.records] == [
        f"{tmp_path / 'requirements.txt'} asks for longop-none, which is not installed"]


# What an adapter calls


def test_call_api(monkeypatch):
    """call_api sends a form to the server, while other coroutines go on."""
    calls = []

    def post_form(url, data, files):
        calls.append((url, data, files))
        return {"success": True}

    monkeypatch.setattr(helpers, "post_form", post_form)
    runner = ModuleRunner()
    assert asyncio.run(runner.call_api("vision/face")) == {"success": True}
    asyncio.run(runner.call_api("a", {"f": ("n", b"x", "t")}, {"k": 1}))
    assert calls == [("http://localhost:32168/v1/vision/face", {}, {}),
                     ("http://localhost:32168/v1/a", {"k": 1}, {"f": ("n", b"x", "t")})]


def test_nothing_to_log(caplog):
    """An entry without anything in it is not logged."""
    ModuleRunner().log(LogMethod.Info, {})
    ModuleRunner().log(LogMethod.Info, None)
    assert caplog.records == []


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
    """An adapter must override process() only."""
    runner = ModuleRunner()
    assert runner.selftest() == {"success": True}
    assert runner.module_status() == runner.status() == runner.command_status() == {}
    assert runner.cancel_command_task() is runner.cleanup() is None
    with pytest.raises(NotImplementedError):
        runner.process(RequestData())


def test_pillow_is_not_imported():
    """Importing the adapter's names imports neither Pillow nor numpy."""
    script = "import sys, longop.codeproject; print(*{'PIL', 'numpy', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True,
                          text=True).stdout == "\n"

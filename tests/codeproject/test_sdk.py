"""`longop.codeproject.sdk`: what an adapter is written with."""

import logging
import os
import subprocess
import sys

import pytest

from longop.codeproject import LogMethod, LogVerbosity, ModuleRunner, RequestData


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

"""`longop.codeproject.options`: what CodeProject tells a module in its environment."""

import json
import os

import pytest

from longop.codeproject import LogVerbosity, ModuleOptions

NAMES = ["accel_device_name", "base_api_url", "current_file_path", "enable_GPU", "half_precision",
         "launched_by_server", "log_verbosity", "module_id", "module_name", "module_path",
         "parallelism", "port", "python_dir", "queue_name", "required_MB", "server_root_path"]


def test_get_env_variable(monkeypatch):
    """getEnvVariable reads the environment; an empty variable is like a missing one."""
    monkeypatch.setenv("LONGOP_X", "1")
    monkeypatch.setenv("LONGOP_EMPTY", "")
    assert ModuleOptions.getEnvVariable("LONGOP_X", "2") == "1"
    assert ModuleOptions.getEnvVariable("LONGOP_Y", "2") == "2"
    assert ModuleOptions.getEnvVariable("LONGOP_EMPTY", "2") == "2"
    assert ModuleOptions.getEnvVariable("LONGOP_EMPTY") == ""
    assert ModuleOptions.getEnvVariable("LONGOP_EMPTY", None) is None


def test_defaults(monkeypatch, tmp_path):
    """Without CodeProject, and with empty variables, all options have the SDK's defaults."""
    folder = tmp_path / "TheModule"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    expected = {
        "accel_device_name": None, "base_api_url": "http://localhost:32168/v1/",
        "enable_GPU": True, "half_precision": None, "launched_by_server": False,
        "log_verbosity": LogVerbosity.Quiet, "module_id": "TheModule", "module_name": "TheModule",
        "module_path": str(folder), "parallelism": 4, "port": 32168,
        "queue_name": "themodule_queue", "required_MB": 0, "server_root_path": None}
    for name in ["ACCEL_DEVICE_NAME", "APPROOTPATH", "HALF_PRECISION", "LOG_VERBOSITY",
                 "MODULE_ENABLE_GPU", "MODULE_ID", "MODULE_NAME", "MODULE_PARALLELISM",
                 "MODULE_PATH", "MODULE_QUEUENAME", "MODULE_REQUIRED_MB",
                 "MODULE_SERVER_LAUNCHED", "PORT"]:
        assert {name: getattr(ModuleOptions, name) for name in expected} == expected
        monkeypatch.setenv(f"CPAI_{name}", "")
    assert {name: getattr(ModuleOptions, name) for name in expected} == expected
    assert all(hasattr(ModuleOptions(), name) and name in dir(ModuleOptions) for name in NAMES)


def test_they_are_read_when_they_are_asked_for(monkeypatch):
    """What the environment says now counts, of the class and of its objects."""
    options = ModuleOptions()
    for port in "5000", "5001":
        monkeypatch.setenv("CPAI_PORT", port)
        assert ModuleOptions.port == options.port == int(port)
        assert ModuleOptions.base_api_url == f"http://localhost:{port}/v1/"


def test_they_can_be_set(monkeypatch):
    """An adapter may set an option, as it may with the SDK."""
    monkeypatch.setattr(ModuleOptions, "enable_GPU", False)
    assert ModuleOptions.enable_GPU is False


def test_identity(monkeypatch, tmp_path):
    """The settings in the module's folder tell its id and name; if they are wrong, the folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "modulesettings.json"
    file.write_text(json.dumps({"Modules": {"Mod": {"Name": "A module"}}}))
    assert (ModuleOptions.module_id, ModuleOptions.module_name, ModuleOptions.queue_name) == (
        "Mod", "A module", "mod_queue")
    file.write_text("[")
    assert ModuleOptions.module_id == ModuleOptions.module_name == tmp_path.name
    monkeypatch.setenv("CPAI_MODULE_NAME", "Another")
    assert (ModuleOptions.module_id, ModuleOptions.module_name) == (tmp_path.name, "Another")


@pytest.mark.parametrize(("variable", "option", "texts"), [
    ("PORT", "port", {"5000": 5000, "x": 32168, "99999": 32168}),
    ("MODULE_REQUIRED_MB", "required_MB", {"100": 100, "-1": 0, "lots": 0}),
    ("MODULE_PARALLELISM", "parallelism", {"3": 3}),
    ("MODULE_ENABLE_GPU", "enable_GPU", {"True": True, "False": False, "no": False}),
    ("HALF_PRECISION", "half_precision", {"force": "force", "Force": None, "yes": None}),
    ("LOG_VERBOSITY", "log_verbosity", {"Loud": LogVerbosity.Loud, "x": LogVerbosity.Quiet}),
    ("APPROOTPATH", "server_root_path", {"/app": "/app"})])
def test_values(monkeypatch, variable, option, texts):
    """A value that makes no sense is ignored."""
    for text, value in texts.items():
        monkeypatch.setenv(f"CPAI_{variable}", text)
        assert getattr(ModuleOptions, option) == value

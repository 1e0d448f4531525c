"""`longop.codeproject.system`: what an adapter may ask about its machine."""

import sys

from longop.codeproject import ModuleOptions, SystemInfo


def test_module_options(monkeypatch):
    """getEnvVariable reads the environment, with a default."""
    monkeypatch.setenv("LONGOP_X", "1")
    assert ModuleOptions.getEnvVariable("LONGOP_X", "2") == "1"
    assert ModuleOptions.getEnvVariable("LONGOP_Y", "2") == "2"


def test_system_info():
    """A device whose package is missing is False; other names are no attributes."""
    info = SystemInfo()
    assert info.hasTorchCuda is info.hasTorchMPS is info.hasAnything is False
    assert info.os in ("Linux", "Windows", "macOS")
    assert not hasattr(info, "nothing")


def test_defect_20_what_the_machine_is():
    """SystemInfo does not spend a second on examining the machine."""
    before = {*sys.modules}
    info = SystemInfo()
    assert info.cpu_arch
    assert info.os in ("Linux", "macOS", "Windows")
    assert not {"cpuinfo", "multiprocessing"} & ({*sys.modules} - before)


def test_defect_22_no_gpu_is_no_gpu(monkeypatch):
    """If no GPU is found, there is none."""
    monkeypatch.setitem(sys.modules, "torch", None)
    info = SystemInfo()
    assert (info.hasNvidiaGPU, info.hasTorchCuda, info.hasTorchMPS) == (False, False, False)

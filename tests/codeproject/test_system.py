"""`longop.codeproject.system`: what an adapter may ask about its machine."""

import builtins
import platform
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from longop.codeproject import SystemInfo, system

DEVICES = ["hasCoralTPU", "hasFastDeployRockNPU", "hasNvidiaGPU", "hasONNXRuntime",
           "hasONNXRuntimeGPU", "hasOpenVINO", "hasPaddleGPU", "hasTensorflowGPU", "hasTorchCuda",
           "hasTorchDirectML", "hasTorchHalfPrecision", "hasTorchMPS", "hasTorchROCm"]
PACKAGES = ["fastdeploy", "onnxruntime", "openvino", "paddle", "pycoral", "tensorflow",
            "tflite_runtime", "torch", "torch_directml"]


@pytest.fixture
def package(monkeypatch):
    """Return a function that puts a package, or a part of one, in the place of the real one."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)

    def package(dotted, **members):
        *above, _ = dotted.split(".")
        for count in range(len(above)):
            name = ".".join(above[:count + 1])
            if sys.modules.get(name) is None:
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
        module = ModuleType(dotted)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, dotted, module)

    return package


@pytest.fixture
def output(monkeypatch):
    """Return what programs print, by their names: nothing, until the test fills it."""
    texts = {}

    def run(command, **options):
        if command[0] not in texts:
            raise FileNotFoundError(command[0])
        return SimpleNamespace(stdout=texts[command[0]])

    monkeypatch.setattr(subprocess, "run", run)
    return texts


def answers(ask):
    return lambda *ignored: ask


# The machine


def test_this_machine():
    """The names of the system and of its architecture are there; other names are no attributes."""
    info = SystemInfo()
    assert info.os in ("Linux", "Windows", "macOS")
    assert info.cpu_arch
    assert isinstance(info.osVersion, str)
    assert not hasattr(info, "nothing")
    assert not hasattr(info, "hasAnything")


@pytest.mark.parametrize(("model", "name"), [
    ("Raspberry Pi 4 Model B Rev 1.4\0", "Raspberry Pi"), ("Orange Pi 5", "Orange Pi"),
    ("Radxa ROCK 5B", "Radxa ROCK"), ("NVIDIA Jetson Nano Developer Kit", "Jetson"),
    ("Another board", "Linux"), ("", "Linux")])
def test_boards(monkeypatch, model, name):
    """A board is told by its model; what is none that the SDK knows is its system."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(system, "_read", lambda file: model)
    assert (SystemInfo().system, SystemInfo().os) == (name, "Linux")


@pytest.mark.parametrize(("name", "shown"), [("Darwin", "macOS"), ("Windows", "Windows")])
def test_no_boards(monkeypatch, name, shown):
    """Elsewhere no file is read for it."""
    monkeypatch.setattr(platform, "system", lambda: name)
    monkeypatch.setattr(system, "_read", None)
    assert (SystemInfo().system, SystemInfo().os, SystemInfo().in_WSL) == (shown, shown, False)


@pytest.mark.parametrize(("release", "is_wsl"), [
    ("5.15.90.1-microsoft-standard-WSL2", True), ("6.1.0-18-amd64", False)])
def test_in_wsl(monkeypatch, release, is_wsl):
    """Linux within Windows has a release of its own."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: release)
    assert SystemInfo().in_WSL is is_wsl


@pytest.mark.parametrize(("text", "version"), [
    ('NAME="Debian"\nVERSION="12 (bookworm)"\nVERSION_ID="12"\n', "12 (bookworm)"),
    ("VERSION=12\n", "12"), ("NAME=Arch\n", ""), ("", "")])
def test_os_version(monkeypatch, text, version):
    """The version of a Linux is what its file says."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(system, "_read", lambda file: text)
    assert SystemInfo().osVersion == version


@pytest.mark.parametrize(("text", "brand", "vendor"), [
    ("processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7\n", "Intel(R) Core(TM) i7", "Intel"),
    ("model name : AMD Ryzen 7\n", "AMD Ryzen 7", "AMD Ryzen 7"),
    ("Hardware\t: BCM2835\n", "BCM2835", "BCM2835"), ("", "", "")])
def test_the_processor(monkeypatch, text, brand, vendor):
    """The processor's name is what the system says, without a start of a program."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(system, "_read", lambda file: text)
    info = SystemInfo()
    assert (info.cpu_brand, info.cpu_vendor) == (brand, vendor)


def test_the_processor_of_a_mac(monkeypatch, output):
    """On a Mac a program tells it."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    output["sysctl"] = "Apple M2 Pro\n"
    info = SystemInfo()
    assert (info.cpu_brand, info.cpu_vendor) == ("Apple M2 Pro", "Apple")


# Devices


def test_nothing_is_found_before_it_is_asked_for(monkeypatch):
    """SystemInfo imports no package, starts no program and reads no file (defect 20)."""
    monkeypatch.setattr(system, "import_module", None)
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(builtins, "open", None)
    assert not vars(SystemInfo())


def test_what_is_found_is_kept(package):
    """A device is looked for once, and an adapter may set what was found."""
    asked = []
    package("torch", cuda=SimpleNamespace(is_available=lambda: asked.append(1) or True))
    info = SystemInfo()
    assert info.hasTorchCuda
    assert info.hasTorchCuda
    assert asked == [1]
    info.hasTorchCuda = False
    assert info.hasTorchCuda is False


@pytest.mark.parametrize("name", DEVICES)
def test_without_packages_there_are_no_devices(package, output, monkeypatch, name):
    """Where nothing is installed there is no device (defect 22), and no error."""
    monkeypatch.setattr(SystemInfo, "system", "Linux")
    assert getattr(SystemInfo(), name) is False


@pytest.mark.parametrize("name", DEVICES)
def test_packages_that_fail(monkeypatch, output, name):
    """A package that fails when it is imported, in whatever way, is like one that is missing."""
    def fail(name):
        raise OSError("libcuda.so: cannot open shared object file")

    monkeypatch.setattr(system, "import_module", fail)
    assert getattr(SystemInfo(), name) is False


CUDA = {"is_available": lambda: True, "get_device_capability": lambda: (8, 6),
        "get_device_name": lambda: "NVIDIA GeForce RTX 3060"}


@pytest.mark.parametrize(("name", "dotted", "members"), [
    ("hasTorchCuda", "torch", {"cuda": SimpleNamespace(**CUDA)}),
    ("hasTorchHalfPrecision", "torch", {"cuda": SimpleNamespace(**CUDA)}),
    ("hasTorchROCm", "torch", {"cuda": SimpleNamespace(**CUDA),
                               "version": SimpleNamespace(hip="6.0")}),
    ("hasTorchMPS", "torch", {"backends": SimpleNamespace(
        mps=SimpleNamespace(is_available=lambda: True))}),
    ("hasTensorflowGPU", "tensorflow", {"config": SimpleNamespace(
        list_physical_devices=lambda kind: ["a GPU"] if kind == "GPU" else [])}),
    ("hasONNXRuntime", "onnxruntime", {"get_available_providers": answers(["CPU"])}),
    ("hasONNXRuntimeGPU", "onnxruntime", {"get_device": answers("GPU")}),
    ("hasOpenVINO", "openvino", {}),
    ("hasPaddleGPU", "paddle", {"device": SimpleNamespace(get_device=answers("gpu:0"))}),
    ("hasCoralTPU", "pycoral.utils.edgetpu", {"list_edge_tpus": answers([{"type": "usb"}])}),
    ("hasCoralTPU", "tflite_runtime.interpreter", {"load_delegate": lambda library: library}),
    ("hasCoralTPU", "tensorflow", {"lite": SimpleNamespace(
        experimental=SimpleNamespace(load_delegate=lambda library: library))}),
    ("hasFastDeployRockNPU", "fastdeploy", {"RuntimeOption": lambda: SimpleNamespace(
        use_rknpu2=answers(None))})])
def test_devices_that_are_there(package, name, dotted, members):
    """A device that its package finds is there: a Pi with a Coral stick is told that it has one."""
    package(dotted, **members)
    assert getattr(SystemInfo(), name) is True


@pytest.mark.parametrize(("name", "dotted", "members"), [
    ("hasTorchROCm", "torch", {"cuda": SimpleNamespace(**CUDA),
                               "version": SimpleNamespace(hip=None)}),
    ("hasTensorflowGPU", "tensorflow", {"config": SimpleNamespace(
        list_physical_devices=answers([]))}),
    ("hasONNXRuntimeGPU", "onnxruntime", {"get_device": answers("CPU")}),
    ("hasPaddleGPU", "paddle", {"device": SimpleNamespace(get_device=answers("cpu"))}),
    ("hasCoralTPU", "pycoral.utils.edgetpu", {"list_edge_tpus": answers([])})])
def test_packages_without_devices(package, name, dotted, members):
    """A package may be there without a device."""
    package(dotted, **members)
    assert getattr(SystemInfo(), name) is False


@pytest.mark.parametrize(("capability", "card", "can"), [
    ((8, 6), "NVIDIA GeForce RTX 3060", True), ((6, 1), "NVIDIA GeForce GTX 1080", True),
    ((5, 2), "NVIDIA GeForce GTX 970", False), ((7, 5), "NVIDIA GeForce GTX 1660 Ti", False),
    ((7, 5), "NVIDIA T400 4GB", False), ((7, 5), "Tesla T4", True)])
def test_half_precision(package, capability, card, can):
    """Half precision needs a card from Pascal on, and not one that fails at it."""
    package("torch", cuda=SimpleNamespace(get_device_capability=lambda: capability,
                                          get_device_name=lambda: card))
    assert SystemInfo().hasTorchHalfPrecision is can


@pytest.mark.parametrize(("name", "is_wsl", "found"), [
    ("Windows", False, True), ("Linux", True, True), ("Linux", False, False)])
def test_direct_ml(package, monkeypatch, name, is_wsl, found):
    """DirectML is looked for in Windows and within it."""
    package("torch_directml", is_available=lambda: True)
    monkeypatch.setattr(SystemInfo, "os", name)
    monkeypatch.setattr(SystemInfo, "in_WSL", is_wsl)
    assert SystemInfo().hasTorchDirectML is found


SMI = """\
| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2     |
"""
NVCC = "Cuda compilation tools, release 11.8, V11.8.89\nBuild cuda_11.8.r11.8\n"


@pytest.mark.parametrize(("texts", "version"), [
    ({"nvcc": NVCC, "nvidia-smi": SMI}, (11, 8)), ({"nvidia-smi": SMI}, (12, 2)),
    ({"nvcc": "nothing of use"}, (None, None)), ({}, (None, None))])
def test_cuda_version(output, texts, version):
    """getCudaVersion is a property: two numbers, or None and None."""
    output.update(texts)
    assert SystemInfo().getCudaVersion == version
    major, minor = SystemInfo().getCudaVersion
    assert (major, minor) == version


@pytest.mark.parametrize(("name", "text", "found"), [
    ("Linux", "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n", True), ("Linux", "", False),
    ("Jetson", "", True)])
def test_a_card_of_nvidias(monkeypatch, output, name, text, found):
    """A card is there if its driver lists it, and on a board that always has one."""
    output["nvidia-smi"] = text
    monkeypatch.setattr(SystemInfo, "system", name)
    assert SystemInfo().hasNvidiaGPU is found


def test_programs_that_fail(monkeypatch):
    """A program that is missing, fails or does not end tells nothing."""
    assert system._output(sys.executable, "-c", "print('text')") == "text\n"
    assert system._output(sys.executable, "-c", "print('text'); raise SystemExit(1)") == ""
    assert system._output("longop-no-such-program") == ""
    monkeypatch.setattr(system, "PROBE_TIMEOUT", 0.0)
    assert system._output(sys.executable, "-c", "input()") == ""

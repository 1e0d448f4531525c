"""`SystemInfo`: what an adapter may ask about its machine, by the SDK's names.

Each answer is found when it is asked for, and kept. Until then it costs nothing: most of them
import a large package, or start a program.
"""

from __future__ import annotations

import contextlib
import platform
import re
from functools import cached_property
from importlib import import_module
from typing import Any, Callable

PROBE_TIMEOUT = 10.0  # seconds for a program that tells about the machine

#: Where Linux has the name of a board, and the boards that are told apart, in lower case.
_MODEL_FILES = ("/sys/firmware/devicetree/base/model", "/proc/device-tree/model")
_BOARDS = {
    "raspberry pi": "Raspberry Pi",
    "orange pi": "Orange Pi",
    "radxa rock": "Radxa ROCK",
    "nvidia jetson": "Jetson",
}
#: NVIDIA's cards that are new enough for half precision, but are known to fail at it, or are
#: related to some that do.
_WITHOUT_HALF_PRECISION = re.compile(
    r"MX[45]50|GTX 16[56]0|\bT(400|500|600|1000|1200|2000)\b|TU10[246]|TU11[67]")
#: The library of Coral's accelerator, by the name of the system.
_EDGE_LIBRARIES = {"Linux": "libedgetpu.so.1", "macOS": "libedgetpu.1.dylib",
                   "Windows": "edgetpu.dll"}


class SystemInfo:
    """What is known about this machine.

    Attributes such as ``hasTorchCuda`` say whether there is such a device, and the package
    that computes on it. Without the package there is none.
    """

    @cached_property
    def os(self) -> str:
        """``Linux``, ``macOS`` or ``Windows``."""
        return platform.system().replace("Darwin", "macOS")

    @cached_property
    def system(self) -> str:
        """The board, such as ``Raspberry Pi``; on any other machine, `os`."""
        if self.os != "Linux":
            return self.os
        model = "".join(map(_read, _MODEL_FILES)).lower()
        for part, name in _BOARDS.items():
            if part in model:
                return name
        return self.os

    @cached_property
    def in_WSL(self) -> bool:  # noqa: N802
        """Whether this is Linux within Windows."""
        return self.os == "Linux" and "microsoft-standard-WSL" in platform.release()

    @cached_property
    def osVersion(self) -> str:  # noqa: N802
        """The version of the operating system, such as ``12 (bookworm)``."""
        if self.os == "Windows":
            return platform.version()
        if self.os == "macOS":
            return platform.mac_ver()[0]
        found = re.search(r'^VERSION="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
        return "" if found is None else found[1].strip()

    @cached_property
    def cpu_brand(self) -> str:
        """The name of the processor, or an empty string."""
        if self.os == "Windows":
            return _windows_cpu()
        if self.os == "macOS":
            return _output("sysctl", "-n", "machdep.cpu.brand_string").strip()
        names = r"^(?:model name|Hardware|Model)\s*:\s*(.+)"
        found = re.search(names, _read("/proc/cpuinfo"), re.MULTILINE)
        return "" if found is None else found[1].strip()

    @cached_property
    def cpu_vendor(self) -> str:
        """``Apple``, ``Intel``, or of all others what `cpu_brand` is."""
        if self.cpu_brand.startswith("Apple M"):
            return "Apple"
        return "Intel" if "Intel(R)" in self.cpu_brand else self.cpu_brand

    @cached_property
    def cpu_arch(self) -> str:
        """The architecture of the processor, such as ``x86_64`` or ``arm64``."""
        return platform.machine()

    # NVIDIA, and PyTorch

    @cached_property
    def getCudaVersion(self) -> tuple[int | None, int | None]:  # noqa: N802
        """The version of CUDA, as two numbers, which are None without it."""
        asks = ((r"release .*V(\d+)\.(\d+)", "nvcc", "--version"),
                (r"CUDA Version: *(\d+)\.(\d+)", "nvidia-smi"))
        for pattern, *command in asks:
            found = re.search(pattern, _output(*command))
            if found is not None:
                return int(found[1]), int(found[2])
        return None, None

    @cached_property
    def hasNvidiaGPU(self) -> bool:  # noqa: N802
        """Whether there is a card of NVIDIA's, or a board that has one."""
        return self.system == "Jetson" or "GPU 0" in _output("nvidia-smi", "-L")

    @cached_property
    def hasTorchCuda(self) -> bool:  # noqa: N802
        """Whether PyTorch computes on CUDA."""
        return _holds(lambda: import_module("torch").cuda.is_available())

    @cached_property
    def hasTorchROCm(self) -> bool:  # noqa: N802
        """Whether PyTorch computes on ROCm, which it then shows as CUDA as well."""
        return self.hasTorchCuda and _holds(lambda: import_module("torch").version.hip)

    @cached_property
    def hasTorchDirectML(self) -> bool:  # noqa: N802
        """Whether PyTorch computes on DirectML."""
        if not (self.in_WSL or self.os == "Windows"):
            return False
        return _holds(lambda: import_module("torch_directml").is_available())

    @cached_property
    def hasTorchMPS(self) -> bool:  # noqa: N802
        """Whether PyTorch computes on the GPU of an Apple processor."""
        return _holds(lambda: import_module("torch").backends.mps.is_available())

    @cached_property
    def hasTorchHalfPrecision(self) -> bool:  # noqa: N802
        """Whether the card of NVIDIA's computes with half precision, from Pascal on."""
        return _holds(_has_half_precision)

    # Other packages, other devices

    @cached_property
    def hasTensorflowGPU(self) -> bool:  # noqa: N802
        """Whether TensorFlow has a GPU."""
        return _holds(lambda: import_module("tensorflow").config.list_physical_devices("GPU"))

    @cached_property
    def hasONNXRuntime(self) -> bool:  # noqa: N802
        """Whether the ONNX runtime is there."""
        return _holds(lambda: import_module("onnxruntime").get_available_providers())

    @cached_property
    def hasONNXRuntimeGPU(self) -> bool:  # noqa: N802
        """Whether the ONNX runtime has a GPU."""
        return _holds(lambda: import_module("onnxruntime").get_device() == "GPU")

    @cached_property
    def hasOpenVINO(self) -> bool:  # noqa: N802
        """Whether OpenVINO is there. If need be, its libraries are put on the path."""
        if not _holds(lambda: import_module("openvino")):
            return False
        _holds(lambda: import_module("openvino.utils").add_openvino_libs_to_path())
        return True

    @cached_property
    def hasPaddleGPU(self) -> bool:  # noqa: N802
        """Whether PaddlePaddle has a GPU."""
        return _holds(lambda: import_module("paddle").device.get_device().startswith("gpu"))

    @cached_property
    def hasCoralTPU(self) -> bool:  # noqa: N802
        """Whether there is an accelerator of Coral's, and a package that reaches it."""
        listed = _holds(lambda: import_module("pycoral.utils.edgetpu").list_edge_tpus())
        return listed or _holds(lambda: _loader_of_delegates()(_EDGE_LIBRARIES[self.os]))

    @cached_property
    def hasFastDeployRockNPU(self) -> bool:  # noqa: N802
        """Whether FastDeploy computes on the NPU of a Rockchip processor."""
        def use() -> bool:
            import_module("fastdeploy").RuntimeOption().use_rknpu2()
            return True

        return _holds(use)


def _holds(ask: Callable[[], Any]) -> bool:
    """Return whether an answer is yes. A package that is missing or fails says no."""
    with contextlib.suppress(Exception):  # it may fail in any way when it is imported
        return bool(ask())
    return False


def _has_half_precision() -> bool:
    cuda = import_module("torch").cuda
    major, _ = cuda.get_device_capability()
    return major >= 6 and not _WITHOUT_HALF_PRECISION.search(cuda.get_device_name())


def _loader_of_delegates() -> Any:
    """Return what loads a library for TensorFlow Lite, from either of its packages."""
    with contextlib.suppress(ImportError):
        return import_module("tflite_runtime.interpreter").load_delegate
    return import_module("tensorflow").lite.experimental.load_delegate


def _windows_cpu() -> str:
    winreg: Any = import_module("winreg")
    place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    with contextlib.suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
        return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    return ""


def _read(file: str) -> str:
    """Return the text of a file of the system, or an empty one."""
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            return source.read()
    except OSError:
        return ""


def _output(*command: str) -> str:
    """Return what a program prints, or an empty text if it is missing or fails."""
    import subprocess  # few adapters ask for what needs it

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=True, timeout=PROBE_TIMEOUT, encoding="utf-8",
                              errors="replace")
        return done.stdout
    return ""

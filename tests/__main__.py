"""Run the tests: ``python3 -m tests [pytest's arguments]``.

Where there is no pytest, a virtual environment with it is made in ``.venv-tests`` first.
"""

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    os.chdir(ROOT)
    if importlib.util.find_spec("pytest") is None:
        return subprocess.call([environment(), "-m", "tests", *sys.argv[1:]])
    import pytest

    return pytest.main(sys.argv[1:])


def environment() -> str:
    """Return the Python of a virtual environment that has pytest."""
    folder = ROOT / ".venv-tests" / "{}.{}".format(*sys.version_info)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    check = [python, "-c", "import pytest"]
    if not Path(python).exists() or subprocess.call(check, stderr=subprocess.DEVNULL):
        print(f"no pytest here: making {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", "pytest"])
    return python


if __name__ == "__main__":
    sys.exit(main())

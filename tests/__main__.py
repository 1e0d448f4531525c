"""Run the tests: ``python3 -m tests [pytest's arguments]``.

Where there is no pytest, a virtual environment with it is made in ``.venv-tests`` first. All tests
run in several processes, a file in each.
"""

import importlib.util
import os
import re
import subprocess
import sys
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    os.chdir(ROOT)
    if importlib.util.find_spec("pytest") is None:
        return subprocess.call([environment(), "-m", "tests", *sys.argv[1:]])
    import pytest

    some = [text for text in sys.argv[1:] if text not in ("-q", "-v", "-x")]
    return pytest.main(sys.argv[1:]) if some else run_all(sys.argv[1:])


def run_all(arguments: "list[str]") -> int:
    """Run all tests; return 0 if all is well."""
    files = sorted(Path("tests").rglob("test_*.py"), key=lambda path: -path.stat().st_size)
    counts: Counter[str] = Counter()
    # The large ones first; and one more than there are cores, for many wait more than they work.
    with ThreadPoolExecutor(1 + (os.cpu_count() or 1)) as pool:
        for file, (code, text) in zip(files, pool.map(lambda file: run(file, arguments), files)):
            last = next((line for line in reversed(text.splitlines())
                         if re.search(" in [0-9.]+s", line)), "pytest has just ended")
            print(text if code else f"{file}: {last}", flush=True)
            for line in text.splitlines():
                if line.startswith("SKIPPED"):
                    print(line)
            counts.update({word: int(number) for number, word in re.findall(
                "([0-9]+) (passed|failed|skipped|error)", last)})
            counts["failed"] += bool(code) and not re.search("failed|error", last)
    print(f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed, "
          f"{counts['skipped']} skipped")
    return int(counts["failed"] + counts["error"] > 0)


def run(file: Path, arguments: "list[str]") -> "tuple[int, str]":
    """Return pytest's exit code for a file, and what it has printed."""
    done = subprocess.run([sys.executable, "-m", "pytest", *arguments, str(file)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


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

"""Run the tests: ``python3 -m tests [pytest's arguments]``.

Where there is no pytest, a virtual environment with it is made in ``.venv-tests`` first. All tests
run in several processes: a large file in each, or the small files of a folder together.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Bytes of a file that has a process of its own. pytest needs longer to start than most of the
#: smaller ones take.
LARGE = 15_000
#: Seconds after which some tests have hung.
LONGEST = 1200


def main() -> int:
    os.chdir(ROOT)
    if importlib.util.find_spec("pytest") is None:
        return subprocess.call([environment(), "-m", "tests", *sys.argv[1:]])
    import pytest

    some = [text for text in sys.argv[1:] if text not in ("-q", "-v", "-x")]
    return pytest.main(sys.argv[1:]) if some else run_all(sys.argv[1:])


def run_all(arguments: "list[str]") -> int:
    """Run all tests; return 0 if all is well."""
    counts: Counter[str] = Counter()
    units = split(Path("tests"))
    # More than there are cores, for many wait more than they work. Peers work too.
    more = 1 if os.environ.get("LONGOP_INTEROP") else 2
    with ThreadPoolExecutor(more + (os.cpu_count() or 1)) as pool:
        done = pool.map(lambda unit: run(unit[1], arguments), units)
        for (name, _), (code, text) in zip(units, done):
            last = next((line for line in reversed(text.splitlines())
                         if re.search(" in [0-9.]+s", line)), "pytest has just ended")
            print(text if code else f"{name}: {last}", flush=True)
            for line in text.splitlines():
                if line.startswith("SKIPPED"):
                    print(line)
            counts.update({word: int(number) for number, word in re.findall(
                "([0-9]+) (passed|failed|skipped|error)", last)})
            counts["failed"] += bool(code) and not re.search("failed|error", last)
    print(f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed, "
          f"{counts['skipped']} skipped")
    return int(counts["failed"] + counts["error"] > 0)


def split(folder: Path) -> "list[tuple[Path, list[Path]]]":
    """Return what one process runs each, and its name: a file, or a folder's small files.

    Those with the most bytes come first, so that no long one is left when the others have ended.
    """
    units: dict[Path, list[Path]] = defaultdict(list)
    for file in sorted(folder.rglob("test_*.py")):
        # What is small in `interop` is slow all the same: it waits for its peer.
        is_alone = size(file) > LARGE or file.parent.name == "interop"
        units[file if is_alone else file.parent].append(file)
    return sorted(units.items(), key=lambda unit: -sum(map(size, unit[1])))


def size(file: Path) -> int:
    return file.stat().st_size


def run(files: "list[Path]", arguments: "list[str]") -> "tuple[int, str]":
    """Return pytest's exit code for some files, and what it has printed."""
    # In a place of its own: several pytests that tidy up one place are in each other's way.
    with tempfile.TemporaryDirectory() as place:
        # A file and no pipe, which what a test leaves behind would keep open.
        output = Path(place) / "output"
        with output.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-m", "pytest", f"--basetemp={place}/tests",
                                        *arguments, *map(str, files)],
                                       stdout=file, stderr=subprocess.STDOUT)
            try:
                code = process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                # pytest has Python say then where each thread is.
                process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGABRT)
                code = process.wait()
        return code, output.read_text(encoding="utf-8", errors="replace")


def environment() -> str:
    """Return the Python of a virtual environment that has pytest."""
    folder = ROOT / ".venv-tests" / "{}.{}".format(*sys.version_info)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    check = [python, "-c", "import pytest"]
    if not Path(python).exists() or subprocess.call(check, stderr=subprocess.DEVNULL):
        import venv  # an embeddable Python of Windows has none

        print(f"no pytest here: making {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", "pytest"])
    return python


if __name__ == "__main__":
    sys.exit(main())

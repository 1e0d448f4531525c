"""The page in headless Chromium: its first paint on a slow processor, its longest tasks."""

import subprocess
import sys


def bench_page():
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/interop/test_page_watch.py",
               "tests/interop/test_page_results.py", "-k", "the_page_free or first_paint"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
    lines = [line[line.index("page: "):] for line in text.splitlines() if "page: " in line]
    print("\n".join(lines or [f"it needs pytest, chromium and chromedriver:\n{text}"]))

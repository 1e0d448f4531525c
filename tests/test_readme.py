"""The Python and the links of README, docs/ and the other documents are true."""

import ast
import importlib.util
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from .documents import DOCUMENTS, README, ROOT, blocks
from .waiting import WAIT
from .windows import SIGNALS


def test_the_readme_is_short():
    """The README has fewer than 250 lines."""
    assert len(README.splitlines()) < 250


# Python


def python_blocks():
    """Return each Python block, with its document and the output that is shown after it."""
    pattern = r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    found = []
    for document, text in DOCUMENTS.items():
        for number, (code, output) in enumerate(re.findall(pattern, text, re.S), 1):
            found.append(pytest.param(code, output, id=f"{document}-{number}"))
    return found


def packages_of(code):
    """Return the packages that a piece of code imports."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(("code", "output"), python_blocks())
def test_python(code, output):
    """The Python of the documents prints what they show, and closes what it opens."""
    for package in packages_of(code):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"there is no {package} here")
    if SERVES in code:
        pytest.skip("it is tried by test_server")
    done = subprocess.run([*PYTHON, code], cwd=str(ROOT), capture_output=True, timeout=60,
                          text=True)
    printed = done.stdout.replace(LAST_MOMENT, "")
    assert (done.returncode, printed) == (0, output), done.stderr
    assert "ResourceWarning" not in done.stderr


#: A watcher may also see a job between the report at which it stops and its end.
LAST_MOMENT = "cancelling 1 2 3 4\n"
PYTHON = [sys.executable, "-W", "error::SyntaxWarning", "-W", "always::ResourceWarning", "-c"]
SERVES = '("127.0.0.1", 8000), Handler) as server:\n    server.serve_forever()'
ANNOUNCES = '("127.0.0.1", 0), Handler) as server:\n    print(server.server_port, flush=True)\n' \
            "    server.serve_forever()"


@SIGNALS
@pytest.mark.parametrize("document", ["README.md", "docs/embedding.md"])
def test_server(document):
    """The server of the documents serves the page and its own paths, and closes at Ctrl-C."""
    [code] = [block for block in blocks(document, "python") if SERVES in block]
    code = code.replace(SERVES, ANNOUNCES)
    with subprocess.Popen([*PYTHON, code], cwd=str(ROOT), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            with urllib.request.urlopen(f"{url}/jobs", timeout=WAIT) as answer:
                assert answer.status == 200
            with pytest.raises(urllib.error.HTTPError, match="404") as raised:
                urllib.request.urlopen(f"{url}/other", timeout=WAIT)
            raised.value.close()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert "ResourceWarning" not in errors


def test_each_output_follows_its_code():
    """No output is shown that no test compares."""
    for document in DOCUMENTS:
        shown = [block.values[1] for block in python_blocks()
                 if block.id.startswith(f"{document}-") and block.values[1]]
        assert shown == blocks(document, "text")


# Links


def anchors(path):
    """Return the places in a document that a link can lead to."""
    headings = re.findall("^#+ (.*)", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_links(document):
    """Every link leads to a file, and to a heading in it."""
    for link in re.findall(r"\]\((?!http)([^)]+)\)", DOCUMENTS[document]):
        place, _, anchor = link.partition("#")
        target = (ROOT / document).parent / place if place else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_document_is_linked():
    """The README leads to each of the documents."""
    for document in DOCUMENTS:
        assert document == "README.md" or f"({document}" in README

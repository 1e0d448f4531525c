"""README, docs/ and the others, and what is in their code blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
README = DOCUMENTS["README.md"]


def blocks(document, kind):
    """Return the contents of a document's code blocks of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", DOCUMENTS[document], re.S)


def shell_lines(document):
    """Return the lines of a document's shell blocks."""
    return [line for block in blocks(document, "sh") for line in block.splitlines()]


def rows(text, heading):
    """Return the rows of the table whose first heading is this one, each a list of cells."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| :]+\n((?:\|.*\n)+)", text, re.M)[1]
    return [re.split(r" *\| *", line)[1:-1] for line in table.splitlines()]

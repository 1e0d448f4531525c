"""`longop.cli.command`: parameters on a command line; `tests.run` tests the rest."""

from typing import List, Optional, Tuple

import pytest

from longop import LongOperation
from longop.cli import command


def takes(callback, n: int = 1, data: bytes = b"", maybe: Optional[bytes] = None,
          several: List[bytes] = [],  # noqa: B006
          pair: Tuple[bytes, int] = (b"", 0), text: str = "contentEncoding"):
    """Take files.

    :param text: of which the description speaks of a contentEncoding
    """


SCHEMA = LongOperation(takes).signature.schema()


def parse(*texts):
    return command.parse_parameters(texts, SCHEMA)


def test_values():
    """A parameter is text; given twice, it is a list; only the first `=` counts."""
    assert parse("n=1", "text=a=b", "n=2", "empty=") == {
        "n": ["1", "2"], "text": ["a=b"], "empty": [""]}


@pytest.mark.parametrize("name", ["data", "maybe", "several", "pair"])
def test_file(tmp_path, name):
    """Where bytes are taken, @ names a file, also in an optional parameter and in a list."""
    file = tmp_path / "some=file"
    file.write_bytes(b"\0\xff")
    assert parse(f"{name}=@{file}", f"{name}=text") == {name: [b"\0\xff", "text"]}
    assert command.parse_parameters([f"{name}=@some=file"], SCHEMA, str(tmp_path)) == {
        name: [b"\0\xff"]}


@pytest.mark.parametrize("name", ["text", "n", "unknown"])
def test_no_file(name):
    """Of every other parameter @ is a letter, whatever its description says."""
    assert parse(f"{name}=@nothing") == {name: ["@nothing"]}


def test_wrong():
    """What is not a parameter, or a file that is not there, is told."""
    with pytest.raises(ValueError, match="'n' is not a parameter: write name=value"):
        parse("n")
    with pytest.raises(OSError, match="nothing"):
        parse("data=@nothing")

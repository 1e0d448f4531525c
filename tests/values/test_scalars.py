"""`longop.values.scalars`: single values. What each takes is in `tests.test_conversion`."""

import datetime
import decimal
import pathlib
import subprocess
import sys

from longop.values.scalars import SCALARS, is_known, text_of


class Mine:
    def __init__(self, text):
        self.text = text


def test_known_classes():
    """A class that has words here is known; any other is called with the text."""
    for known in (*SCALARS, datetime.date, decimal.Decimal, pathlib.Path, type(pathlib.Path())):
        assert is_known(known)
    assert not is_known(Mine)
    assert text_of(Mine).convert("x").text == "x"
    assert text_of(pathlib.PurePosixPath).convert("x") == pathlib.PurePosixPath("x")


def test_a_start_imports_none_of_them():
    """The modules of the classes are not imported until there is such a parameter."""
    code = ("import sys, longop; "
            "print(*{'datetime', 'decimal', 'uuid', 'fractions', 'zoneinfo'} & {*sys.modules})")
    done = subprocess.run([sys.executable, "-Sc", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b""

"""What the tables of docs/values.md are made of: Python expressions."""

import array
import collections
import datetime
import decimal
import fractions
import math
import pathlib
import types
import typing
import uuid

from ..documents import blocks

SPACE = {**vars(typing), "array": array, "collections": collections, "datetime": datetime,
         "decimal": decimal, "fractions": fractions, "math": math, "pathlib": pathlib,
         "types": types, "uuid": uuid, "__name__": __name__}
for _block in blocks("docs/values.md", "python"):
    exec(_block, SPACE)
globals().update(Colour=SPACE["Colour"], Point=SPACE["Point"], Size=SPACE["Size"])


def evaluated(cell):
    """Return the value of a cell of a table."""
    return eval(cell.strip("`"), SPACE)

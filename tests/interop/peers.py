"""Peers that a test needs: skipped by name where one is missing, unless all must be there."""

import importlib.util
import os
import shutil
import sys

import pytest


def needs(*modules, python=(3, 8), group="1"):
    """Return the mark of tests that need some modules, which must be there in their group's run.

    ``LONGOP_INTEROP`` is the group of the run. ``python`` is the first version that the newest
    releases of the modules support.
    """
    if sys.version_info < python:
        return pytest.mark.skip(reason=f"{', '.join(modules)} needs Python {python}")
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    assert not (missing and os.environ.get("LONGOP_INTEROP") == group), missing
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(modules)}")


def needs_program(name):
    """Return the mark of tests that need a program, which must be there with all peers."""
    is_missing = shutil.which(name) is None
    assert not (is_missing and os.environ.get("LONGOP_INTEROP") == "1"), name
    return pytest.mark.skipif(is_missing, reason=f"needs {name}")

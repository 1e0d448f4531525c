"""The version, in one place, which packaging reads too."""

__version__ = "0.1.0"

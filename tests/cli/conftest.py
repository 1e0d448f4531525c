from .screen import folder  # noqa: F401

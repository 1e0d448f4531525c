from ..cli.screen import folder  # noqa: F401

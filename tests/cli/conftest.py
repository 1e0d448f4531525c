from .notebook import pieces  # noqa: F401
from .screen import folder  # noqa: F401

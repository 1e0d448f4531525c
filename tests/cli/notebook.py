"""What a notebook is to its kernel: a display, and standard streams that are no terminal."""

import sys
import types

import pytest


class Pieces(types.ModuleType):
    """What of ``IPython.display`` is used: the pieces of a notebook's output, in their order."""

    def __init__(self):
        super().__init__("IPython.display")
        self.texts = []
        self.sent = 0  # characters

    def display(self, bundle, raw, display_id):
        assert (raw, display_id) == (True, True)
        self.texts.append("")
        self.update_display(bundle, raw, len(self.texts) - 1)
        return types.SimpleNamespace(display_id=len(self.texts) - 1)

    def update_display(self, bundle, raw, display_id):
        self.texts[display_id] = bundle["text/plain"]
        self.sent += len(bundle["text/plain"])


@pytest.fixture
def pieces(monkeypatch):
    """What a notebook shows, in which standard output is a stream of this module's."""
    pieces = Pieces()
    monkeypatch.setitem(sys.modules, "IPython.display", pieces)
    monkeypatch.setattr(Plain, "__module__", "ipykernel.iostream")
    return pieces


class Plain:
    """A stream that has no more than it must, as a notebook's or a logger's."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

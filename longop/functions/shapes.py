"""Ready adapters, for ``report=``: one for each form of callback that is often met.

Each takes what a function passes to its callback, and returns the report that it stands for.
"""

from __future__ import annotations

from typing import Any, Mapping

# Where the dictionaries of different libraries have a part of the report.
_KEYS = {
    "step": ("downloaded_bytes", "completed", "current", "done", "n"),
    "total": ("total_bytes", "total_bytes_estimate", "total"),
    "message": ("status", "message", "description"),
}


def append(piece: Any) -> Mapping[str, Any]:
    """Read ``callback(piece)``, or each piece that is yielded: ``report=longop.append``.

    The result is all pieces so far: a text, bytes, or a list of other items.
    """
    return {"append": piece}


def done_total(done: Any, total: Any = None, message: Any = None) -> Mapping[str, Any]:
    """Read ``callback(done, total, message)``: ``report=longop.done_total``.

    Paramiko reports like this, without the message, and an MCP client with it.
    """
    return {"step": done, "total": _known(total), "message": message}


def fraction_message(fraction: Any, message: Any = None) -> Mapping[str, Any]:
    """Read ``callback(fraction, message)``, 0 to 1: ``report=longop.fraction_message``."""
    return {"step": fraction, "total": 1, "message": message}


def block_size_total(block: int, size: int, total: int) -> Mapping[str, Any]:
    """Read ``reporthook(block, size, total)``: ``report=longop.block_size_total``.

    ``urllib.request.urlretrieve`` reports like this: the number of blocks so far, and the size
    of one and of all in bytes.
    """
    done = block * size
    if total <= 0:  # unknown
        return {"step": done}
    return {"step": min(done, total), "total": total}


def progress_dict(progress: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the dictionary that yt-dlp, Ollama and others pass: ``report=longop.progress_dict``."""
    return {name: next((progress[key] for key in keys if progress.get(key) is not None), None)
            for name, keys in _KEYS.items()}


class BlockSum:
    """Read ``callback(block)`` or ``callback(size)``: ``report=longop.BlockSum``.

    Adds up the sizes of the blocks, in bytes, as ``ftplib`` and boto3 report them.
    """

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, block: Any) -> Mapping[str, Any]:
        """Add one block, or the size of one."""
        self._done += len(block) if hasattr(block, "__len__") else block
        return {"step": self._done}


def _known(total: Any) -> Any:
    """Return a total, or None where 0 or a negative number means that it is unknown."""
    return None if total is None or total <= 0 else total

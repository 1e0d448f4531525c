"""The log of longop. Nothing in an entry can pass for another entry, or steer a terminal.

Entries show what others chose: names, messages of exceptions, what clients sent. All modules
log here, so this is the one place where that is made harmless.
"""

from __future__ import annotations

import contextlib
import logging
import re

logger = logging.getLogger("longop")

# Control characters, what else ends a line or turns it round (Unicode's "bidi" characters),
# and halves of characters, which a file in UTF-8 cannot take. Compiled at the first entry, as
# that takes longer than to load this file.
_UNSAFE = "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def escape(text: str) -> str:
    """Return a text as one line, in which each unsafe character is written as Python does."""
    return re.sub(_UNSAFE, lambda found: found[0].encode("unicode_escape").decode(), text)


class Harmless(logging.Filter):
    """Changes each entry: its message to one line, its traceback to lines that are indented.

    An exception's message may have several lines, but none of them begins like an entry.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change an entry, and let it pass."""
        # What raises when it is shown is left to the handler, which reports that and goes on.
        with contextlib.suppress(Exception):
            record.msg = escape(record.getMessage())
            record.args = None
            if record.exc_info and not record.exc_text:
                # A handler takes this text if it is there.
                text = logging.Formatter().formatException(record.exc_info)
                record.exc_text = "\n".join(f"  {escape(line)}" for line in text.split("\n"))
        return True


logger.addFilter(Harmless())

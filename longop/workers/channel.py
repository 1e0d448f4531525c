"""A connection that carries messages, as pickles between processes or as JSON over a network.

Knows nothing of what the messages lead to.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from ..values import jsontext
from .messages import Message, from_wire, to_wire
from .outcome import Outcome
from .parcel import ATOMS, pack, pickle_plain
from .sent_error import SentError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Codec(NamedTuple):
    """How a tuple of values becomes bytes, and bytes such a tuple."""

    dumps: Callable[[tuple[Any, ...]], bytes]
    loads: Callable[[bytes], Any]


def _pickle_dumps(wire: tuple[Any, ...]) -> bytes:
    # In one go: most messages need no more.
    data = pickle.dumps(wire) if ATOMS.issuperset(map(type, wire)) else pickle_plain(wire)
    if data:
        return data
    # An outcome or an error packs what it holds by itself.
    return pickle.dumps([field if isinstance(field, (Outcome, SentError)) else pack(field)
                         for field in wire])


def _json_dumps(wire: tuple[Any, ...]) -> bytes:
    return jsontext.dumps(wire).encode()


def _json_loads(data: bytes) -> Any:
    return jsontext.loads(data.decode())


# Between processes of one machine that started each other: keeps every type.
PICKLE = Codec(_pickle_dumps, pickle.loads)
# Over a network, because reading a pickle can run any code.
JSON = Codec(_json_dumps, _json_loads)


class Channel:
    """One end of a connection. Any thread may send; one thread at a time may receive."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        self.connection = connection
        self._codec = codec
        # Held while a message is written, so that two do not mix. It belongs to this end in
        # this process alone: a process that is killed takes its own lock along, and no
        # other process waits for it.
        self._sending = threading.Lock()

    def send(self, message: Message) -> bool:
        """Send a message; return False if the other side is gone.

        It raises nothing then, because `receive` does: the one thread that reads also cleans
        up.
        """
        data = self._codec.dumps(to_wire(message))
        with self._sending, contextlib.suppress(OSError):
            self.connection.send_bytes(data)
            return True
        return False

    def receive(self) -> Message:
        """Wait for a message; raise ``OSError`` or ``EOFError`` if the other side is gone."""
        return from_wire(self._codec.loads(self.connection.recv_bytes()))

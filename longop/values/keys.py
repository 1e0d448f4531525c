"""The keys of `start_once`: which job id a key stands for.

Knows nothing of jobs, and keeps only what an id cannot tell: which key joined another job.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Mapping

from .jsontext import dumps
from .kinds import is_upload

_MAX_JOINED = 1_000  # keys that joined another job; about 0.2 MB


class Keys:
    """The keys of one operation.

    :param name: the module and the operation.
    :param salt: secret bytes, without which nobody can tell an id.
    """

    def __init__(self, name: tuple[str, str], salt: bytes) -> None:
        self._name = name
        self._salt = salt
        # The jobs that were joined under a key, by the id that a job of their own would have
        # had. Changed in one thread at a time, read in any. Not kept in a history file.
        self._joined: OrderedDict[str, str] = OrderedDict()

    def ids(self, key: str, parameters: Mapping[str, Any]) -> tuple[str, str]:
        """Return how the id of a job with this key begins, and the whole id.

        The first half of the id is made of the key, the second half of the parameters.
        """
        begin = self._hash("/".join([*self._name, key]))
        values = sorted((name, _in_short(value)) for name, value in parameters.items())
        return begin, begin + self._hash(dumps(values))

    def join(self, id: str, job_id: str) -> None:
        """Record that a key, of which ``id`` was made, joined a job: it then means that job."""
        self._joined[id] = job_id
        if len(self._joined) > _MAX_JOINED:
            self._joined.popitem(last=False)

    def find(self, begin: str) -> str | None:
        """Return the id that begins like this and joined another job, or None."""
        return next((id for id in self._joined if id.startswith(begin)), None)

    def job_id(self, id: str) -> str:
        """Return the id of the job that an id of `ids` stands for: its own, or a joined one."""
        return self._joined.get(id, id)

    def _hash(self, text: str) -> str:
        """Return 16 hex digits that cannot be computed without the salt."""
        import hashlib  # late, because it loads OpenSSL

        return hashlib.blake2b(text.encode(), key=self._salt, digest_size=8).hexdigest()


def _in_short(value: Any) -> Any:
    """Return a parameter, or the hash of one that is binary, which may be large."""
    import hashlib  # late, because it loads OpenSSL

    if isinstance(value, list):
        return [_in_short(item) for item in value]
    if not is_upload(value):
        return value
    return hashlib.blake2b(memoryview(value).tobytes()).hexdigest()

"""Small functions that adapters call, by the SDK's names, and what is behind some of them."""

from __future__ import annotations

import contextlib
import os
import re
from importlib import import_module
from typing import Any, Iterator, Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from ..job import logger
from ..values.jsontext import loads

REPLY_TIMEOUT = 10.0  # seconds that the server has to answer a call
_UNITS = (("yr", 365 * 86_400), ("mth", 30 * 86_400), ("d", 86_400))

#: Files of a form, by the name of their field: a file's name, its content and its type.
Files = Mapping[str, Sequence[Any]]


def timedelta_format(td_object: Any) -> str:
    """Return a span of time for people, such as ``2d 1:02:03``."""
    seconds = int(td_object.total_seconds())
    text = ""
    for label, length in _UNITS:
        if seconds > length:
            count, seconds = divmod(seconds, length)
            is_long = length > 86_400
            text += f"{count}{label}{'s, ' if is_long else ' '}"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{text}{hours}:{minutes:02}:{seconds:02}"


def get_folder_size(folder: str) -> int:
    """Return how many bytes the files and folders in a folder take, and the folder itself.

    A link is followed to a file, but not to a folder: it may lead in a circle.
    """
    size = os.path.getsize(folder)
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):  # it is gone, or is a link to nothing
                size += os.path.getsize(os.path.join(path, name))
    return size


def shorten(text: str, max_length: int) -> str:
    """Return a text of at most so many characters, with dots in the place of its middle."""
    if len(text) <= max_length:
        return text
    length = (max_length - 3) // 2
    if length < 1:
        return text[:max_length]
    return text[:length] + "..." + text[-length:]


def dump_tensors() -> None:
    """Print the tensors of PyTorch that are in memory, with their sizes."""
    import gc

    torch = import_module("torch")
    for found in gc.get_objects():
        with contextlib.suppress(Exception):  # any object may be there, half made too
            if torch.is_tensor(found) or torch.is_tensor(getattr(found, "data", None)):
                print(type(found), found.size())  # noqa: T201


def missing_packages(requirements: str) -> Iterator[str]:
    """Yield the packages of a requirements file that are not installed.

    A line is not looked at if it is an option or an address, or is for some systems only.
    """
    from importlib import metadata  # costs more than all of this module

    with open(requirements, encoding="utf-8") as file:
        lines = [line.partition("#")[0].strip() for line in file]
    for line in lines:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if name is None or re.search("[;@:]", line):
            continue
        try:
            metadata.distribution(name[0])
        except metadata.PackageNotFoundError:
            yield name[0]


# A call of the server


def post_form(url: str, fields: Mapping[str, Any], files: Files) -> Any:
    """Send a form; return the answer: text, or a value of JSON, or "" if there was none."""
    import http.client  # loads email and ssl

    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body, content_type = _encode(fields, files)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port,
                                            timeout=REPLY_TIMEOUT)
    with contextlib.closing(connection):
        try:
            connection.request("POST", target, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            return _decode(answer.headers.get_content_type(), answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            logger.warning("the call of %s was not answered: %r", url, error)
            return ""


def _decode(content_type: str, body: bytes) -> Any:
    text = body.decode()
    if content_type == "application/json":
        return loads(text)
    return text if content_type == "text/plain" else ""


def _encode(fields: Mapping[str, Any], files: Files) -> tuple[bytes, str]:
    """Return a form and its type: with files it is multipart/form-data (RFC 7578)."""
    texts = {name: str(value) for name, value in fields.items()}
    if not files:
        return urlencode(texts).encode(), "application/x-www-form-urlencoded"
    boundary = os.urandom(16).hex()
    parts = [_part(f'name="{_quote(name)}"', "", text.encode())
             for name, text in texts.items()]
    for name, (filename, content, *kind) in files.items():
        place = f'name="{_quote(name)}"; filename="{_quote(filename)}"'
        content_type = f"Content-Type: {kind[0]}\r\n" if kind else ""
        parts.append(_part(place, content_type, _bytes_of(content)))
    separator = f"--{boundary}\r\n".encode()
    body = b"".join(separator + part for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _part(place: str, headers: str, content: bytes) -> bytes:
    head = f"Content-Disposition: form-data; {place}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


def _quote(text: str) -> str:
    """Escape what would end a quoted name, as browsers do."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _bytes_of(content: Any) -> bytes:
    """Return the content of a file: bytes, text, or an open file."""
    if hasattr(content, "read"):
        content = content.read()
    return content.encode() if isinstance(content, str) else bytes(content)

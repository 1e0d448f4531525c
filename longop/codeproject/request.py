"""`RequestData`: a request to a module, as the SDK's adapters see it.

In CodeProject's payload a file is base64. An uploaded file is kept as bytes, and is encoded
only if an adapter looks at the payload itself. A file that came from the queue is
decoded once.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
from importlib import import_module
from typing import Any, Callable, Mapping, Sequence

from ..errors import LongOperationError
from ..job import logger
from ..values.kinds import shown
from ..web.multipart import Upload

_YES = ("y", "yes", "t", "true", "on", "1")


class RequestData:
    """A request to a module: its command, values and files.

    :param json_request_data: an entry of the queue. Without one the request is empty.

    Raises ``ValueError`` or ``AttributeError`` if it is not such an entry.

    One thread uses it at a time: the one that calls ``process()``, and then that of the job.
    """

    def __init__(self, json_request_data: str | None = None) -> None:
        entry = {} if json_request_data is None else json.loads(json_request_data)
        self.request_id: str = entry.get("reqid") or ""
        self._payload: dict[str, Any] = entry.get("payload") or _empty_payload()
        # The uploaded files with their names; None once they are in the payload.
        self._uploads: list[tuple[str, bytes]] | None = None
        # The contents of the payload's files, by their base64 text.
        self._contents: dict[str, bytes] = {}

    @classmethod
    def of(cls, values: Mapping[str, list[Any]], command: str, segments: Sequence[str],
           id: str = "") -> RequestData:
        """Return a request that did not come from the queue.

        :param values: the values of each name; those that are ``bytes`` are uploaded files.
        :param segments: what follows the route in the path.
        """
        data = cls()
        data.request_id = id
        # The keys of an entry of the queue, in their order there.
        data._payload = {"command": command, "values": [], "files": [],
                         "urlSegments": list(segments)}
        data._uploads = []
        for name, given in values.items():
            plain = [value for value in given if not isinstance(value, bytes)]
            if plain:
                data.value_list.append({"key": name, "value": plain})
            data._uploads += [(name, value) for value in given if isinstance(value, bytes)]
        return data

    @property
    def payload(self) -> dict[str, Any]:
        """The request as CodeProject writes it, with the files in base64."""
        if self._uploads is not None:
            self._payload["files"] = [self._entry_of(*upload) for upload in self._uploads]
            # From here on the payload is what counts: an adapter may change it.
            self._uploads = None
        return self._payload

    @payload.setter
    def payload(self, payload: dict[str, Any]) -> None:
        self._payload = payload
        self._uploads = None

    def parameters(self) -> dict[str, list[Any]]:
        """Return the values and the files by their names; files are `Upload`."""
        if self._uploads is None:
            return unfold(self._payload, self._decode)
        found = unfold({"values": self.value_list})
        for name, upload in self._uploads:
            found.setdefault(name, []).append(upload)
        return found

    # The parts of the payload. CodeProject may send null for each.

    @property
    def queue(self) -> Any:
        """The name of the queue, which CodeProject does not say."""
        return self._payload.get("queue")

    @queue.setter
    def queue(self, value: Any) -> None:
        self._payload["queue"] = value

    @property
    def command(self) -> Any:
        """The command of the route that was asked for."""
        return self._payload.get("command")

    @command.setter
    def command(self, value: Any) -> None:
        self._payload["command"] = value

    @property
    def segments(self) -> Any:
        """What follows the route in the path."""
        return self._payload.get("urlSegments")

    @segments.setter
    def segments(self, value: Any) -> None:
        self._payload["urlSegments"] = value

    @property
    def value_list(self) -> Any:
        """The values: a list of ``{"key": ..., "value": [...]}``."""
        return self._payload.get("values")

    @value_list.setter
    def value_list(self, value: Any) -> None:
        self._payload["values"] = value

    @property
    def files(self) -> Any:
        """The files: a list of dicts, in whose ``data`` is base64."""
        return self.payload.get("files")

    @files.setter
    def files(self, value: Any) -> None:
        self.payload["files"] = value

    def json(self) -> str:
        """Return the request as JSON."""
        return json.dumps({"reqid": self.request_id, "payload": self.payload})

    def add_value(self, key: str, value: Any) -> None:
        """Add a value; without a key, do nothing."""
        if not key:
            return
        self.value_list = [*(self.value_list or ()), {"key": key, "value": [value]}]

    def add_file(self, file_name: str) -> None:
        """Add a file from this machine's disk; without a name, do nothing."""
        if not file_name:
            return
        name = os.path.basename(file_name)
        data = self.encode_file_contents(file_name)
        self.files = [*(self.files or ()), {"name": name, "filename": name, "data": data}]

    # What adapters ask for

    def get_value(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return the first value of this name, or the default."""
        for entry in self.value_list or ():
            if entry["key"] == key and entry["value"] and entry["value"][0] is not None:
                return entry["value"][0]
        return defaultValue

    def get_int(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return a value as a whole number, or the default if it is not one."""
        return self._converted(int, key, defaultValue)

    def get_float(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return a value as a number, or the default if it is not one."""
        return self._converted(float, key, defaultValue)

    def get_bool(self, key: str, defaultValue: Any = None) -> Any:  # noqa: N803
        """Return whether a value is one of the words for yes; without a value, the default."""
        value = self.get_value(key)
        if value is None:
            return defaultValue
        return str(value).lower() in _YES

    def get_file_bytes(self, index: int) -> Any:
        """Return the content of an uploaded file, or None if there is no such file."""
        with contextlib.suppress(IndexError, KeyError, TypeError, ValueError):
            if self._uploads is not None:
                return self._uploads[index][1]
            return self._decode(self.files[index]["data"])
        return None

    def get_image(self, index: int, module: str = "pil") -> Any:
        """Return an uploaded image, or None if the file is not an image.

        :param module: ``"pil"`` for an image of Pillow, in RGB, or ``"opencv"`` for an array.

        Raises `LongOperationError` if the package is not installed.
        """
        content = self.get_file_bytes(index)
        if not content:
            return None
        try:
            return _open_array(content) if module == "opencv" else _open_image(content)
        except ImportError as error:
            raise LongOperationError(f"get_image needs a package: {error}") from error
        except Exception:  # whatever the package raises
            logger.warning("the file %d is not an image", index, exc_info=True)
            return None

    # Helpers of the SDK

    @staticmethod
    def clamp(value: Any, min_value: Any, max_value: Any) -> Any:
        """Return the value, or the bound that it is beyond."""
        return max(min(max_value, value), min_value)

    @staticmethod
    def restrict(value: Any, values: Any, default_value: Any) -> Any:
        """Return the value if it is one of these, else the default."""
        return value if value in values else default_value

    @staticmethod
    def encode_image(image: Any, image_format: str = "PNG") -> str:
        """Return an image of Pillow as base64."""
        data = io.BytesIO()
        image.save(data, format=image_format)
        return base64.b64encode(data.getvalue()).decode()

    @staticmethod
    def encode_file_contents(file_name: str) -> str | None:
        """Return the content of a file as base64, or None if it cannot be read."""
        with contextlib.suppress(OSError), open(file_name, "rb") as file:
            return base64.b64encode(file.read()).decode()
        return None

    def _converted(self, kind: Callable[[Any], Any], key: str, default: Any) -> Any:
        try:
            return kind(self.get_value(key))
        except (OverflowError, TypeError, ValueError):
            return default

    def _entry_of(self, name: str, upload: bytes) -> dict[str, Any]:
        """Return an upload as the payload has it."""
        text = base64.b64encode(upload).decode()
        self._contents[text] = upload
        return {
            "name": name,
            # Plain bytes, which a start in Python may pass, have neither.
            "filename": getattr(upload, "filename", ""),
            "contentType": getattr(upload, "content_type", ""),
            "data": text,
        }

    def _decode(self, text: str) -> bytes:
        if text not in self._contents:
            self._contents[text] = base64.b64decode(text)
        return self._contents[text]


def unfold(payload: Mapping[str, Any],
           decode: Callable[[str], bytes] | None = None) -> dict[str, list[Any]]:
    """Return the parameters in a payload by their names; files are `Upload`.

    :param decode: decodes base64; by default the standard library's function.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is not such a payload.
    """
    decode = decode or base64.b64decode
    found: dict[str, list[Any]] = {}
    for entry in payload.get("values") or ():
        found.setdefault(_name(entry["key"]), []).extend(entry["value"])
    for entry in payload.get("files") or ():
        upload = Upload(decode(entry["data"]))
        upload.filename = str(entry.get("filename") or "")
        upload.content_type = str(entry.get("contentType") or "")
        found.setdefault(_name(entry["name"]), []).append(upload)
    return found


def _name(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{shown(given)} is not a name")
    return given


def _empty_payload() -> dict[str, Any]:
    return {"queue": "N/A", "urlSegments": None, "command": None, "files": [], "values": []}


def _open_image(content: bytes) -> Any:
    return import_module("PIL.Image").open(io.BytesIO(content)).convert("RGB")


def _open_array(content: bytes) -> Any:
    cv2 = import_module("cv2")
    numpy = import_module("numpy")
    return cv2.imdecode(numpy.frombuffer(content, numpy.uint8), cv2.IMREAD_COLOR)

"""The tools that scenarios of the official conformance suite call by name."""

import gc
import threading
import time

from longop import Job, LongOperation
from longop.signature import Parameters

PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
         "DwADhgGAWjR9awAAAABJRU5ErkJggg==")
SILENCE = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="


def test_simple_text(callback):
    """Return a text."""
    return "This is a simple text response for testing."


def test_image_content(callback):
    """Return a picture."""
    return PIXEL


def test_audio_content(callback):
    """Return a sound."""
    return SILENCE


def test_error_handling(callback):
    """Fail."""
    raise RuntimeError("This tool intentionally returns an error for testing")


def test_tool_with_progress(callback):
    """Report 0, 50 and 100 of 100."""
    for step in (0, 50, 100):
        callback(f"at {step}", step, 100)
        time.sleep(0.05)
    return "done"


def test_logging_tool(callback):
    """Print, which is not for the client."""
    print("a line of the log")
    return "logged"


def test_streaming_elicitation(callback):
    """Report once, and end."""
    callback("half", 1, 2)
    return "asked nothing"


def test_reconnection(callback):
    """Take a moment."""
    time.sleep(0.1)
    return "no connection was lost"


def greet(callback, name: str = "World"):
    """Greet at once."""
    return f"Hello, {name}!"


def slow_compute(callback, seconds: float = 0, label: str = ""):
    """Wait, unless it is cancelled; a little longer, so that one second is enough for a task."""
    callback(label, 0, seconds)
    callback.wait(seconds and seconds + 0.5)
    return f"{label} took {seconds} seconds"


def failing_job(callback):
    """Fail after a second and a half."""
    time.sleep(1.5)
    raise RuntimeError("this job always fails")


def protocol_error_job(callback):
    """Be interrupted, as by the end of the server: that is an error of the protocol."""
    time.sleep(1.5)
    for job in gc.get_objects():  # a function does not know its job
        if isinstance(job, Job) and threading.current_thread().name.endswith(job.id):
            job.stop("interrupted")
    callback.wait(10)


def confirm_delete(callback, filename: str = ""):
    """End after a second and a half: there is nothing to confirm."""
    time.sleep(1.5)
    return filename


def json_schema_2020_12_tool(**values):
    """Take what its schema says, in words that annotations do not have."""
    return values


class Person(Parameters):
    """The parameters of the tool above."""

    def schema(self):
        """Return the schema that the suite asks for."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}},
                   "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": False,
        }


json_schema_2020_12_tool.signature = Person([], takes_more=True)

# A target has the operations by name.
globals().update({function.__name__: LongOperation(function, limit=20) for function in (
    test_simple_text, test_image_content, test_audio_content, test_error_handling,
    test_tool_with_progress, test_logging_tool, test_streaming_elicitation, test_reconnection,
    greet, slow_compute, failing_job, protocol_error_job, confirm_delete)})
json_schema_2020_12_tool = LongOperation(json_schema_2020_12_tool, callback=False)

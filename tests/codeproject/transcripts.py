"""What the real SDK replies in its transcripts, and where we differ from it."""

import json

COMPLETED = {"success": True, "message": "Command has completed", "commandId": "{job 1}",
             "commandStatus": "completed", "error": None, "result": "1 2 3 4 5 6 7 8 9 10",
             "stop_reason": "completed", "processMs": None, "inferenceMs": None}
CANCELLING = {"success": True, "message": "The command is being cancelled",
              "commandId": "{job 1}", "commandStatus": "cancelling"}
# A page takes the id in a refusal for that of its own command, so this refusal has none.
STILL_STOPPING = {"success": False, "error": "The command before this one is still being stopped: "
                  "try again in a moment"}
CANCELLED = {"success": False, "message": "The command has been cancelled",
             "commandId": "{job 1}", "commandStatus": "cancelled",
             "error": "The command has been cancelled", "result": "1 2 3 4",
             "stop_reason": "cancelled", "processMs": None, "inferenceMs": None}
STATUS = {"success": True, "inferenceDevice": "CPU", "inferenceLibrary": "", "canUseGPU": "false",
          "successfulInferences": None, "failedInferences": None, "numInferences": None,
          "averageInferenceMs": None}
FAILED = {"success": False, "message": "The command has failed", "commandId": "{job 1}",
          "commandStatus": "failed", "error": "boom in long process"}
DONE = {"success": True, "message": "Command has completed", "commandId": "{job 1}",
        "commandStatus": "completed", "error": None}


def whole(head, payload, probe):
    """Return a reply with the keys that every one has."""
    id, name = (("ProbeModule", "Probe Module") if probe else
                ("PythonLongProcess", "Python Long Process Demo"))
    return {**head, "moduleId": id, "moduleName": name,
            "code": 200 if head["success"] == True else 500,  # noqa: E712 as that SDK has it
            "command": payload["command"], "requestId": "{reqid}", "inferenceDevice": "CPU"}


def text_of(reply, wanted):
    """Return a reply as JSON, without the numbers that differ in each."""
    reply = dict(reply)
    for key, value in wanted.items():
        if value is None and isinstance(reply.get(key), (int, float)):
            reply[key] = None
    return json.dumps(reply)

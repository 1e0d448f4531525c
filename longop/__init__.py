"""Turn a function that reports through a callback into one to start, watch and really cancel.

    import longop

    @longop.long_operation
    def count(n: int, callback):
        for number in range(n):
            callback(f"at {number}", number, n)

    job = count.start(n=1000)
    for status in job.updates():
        print(status.state.value, status.result)

Values go to the right. To the left goes a cancel, which sets one ``threading.Event``::

    your function ─ callback ─ job ─ operation ─┬─ web: api ─ handler, wsgi ─ serve
                                │               ├─ client
                            executors           ├─ cli ─ run
                       threads │ workers        ├─ codeproject
                                                └─ mcp

The core, which ``import longop`` loads, each file importing only what stands above it:

==============  ======================================================================
errors          every exception
wings           this copy of longop: its version, and the wings it has
values/         single values: as JSON, and as an annotation wants them
callback        what the function is given: reports go out, a cancel comes in
status          the states of a job, and the record of it that every door shows
updates         the status at each change, with ``for`` or ``async for``
job             the life of one run: a ``concurrent.futures.Future``
guard           stops a job that does not stop by itself: deadlines, and the steps of a cancel
functions/      a user's function: how it reports (``report=``), how a class binds it
executors       a call of the function, and where its code runs: in a thread
signature       the parameters of a call: which one takes the callback, what the others accept
history         finished jobs, in memory
dispatcher      the jobs of one operation: which of them run, which wait
operation       `LongOperation`: one function and its options
==============  ======================================================================

The wings. Each can be deleted; a feature that needs it then says so:

==============  ======================================================================
archive/        finished jobs, in an sqlite3 file
client          operations that another Python serves
workers/        code that runs elsewhere: in processes, in any ``Executor``
web/            a request in, an answer out; `handler` and `wsgi` put it into a server
cli/            operations named on a command line, and a job in a terminal
serve/          ``python -m longop.serve``: an HTTP server for many connections
run/            ``python -m longop.run``: one job in the terminal
codeproject/    modules for CodeProject.AI Server
mcp/            tools for agents: the Model Context Protocol, over stdio and HTTP
==============  ======================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import wings
from .callback import Callback
from .errors import (BadParameters, Busy, DeadlineExceeded, ForgottenJob, HistoryError,
                     KeyReused, LongOperationError, OperationCancelled, ReportCancelled,
                     TargetError, UnknownJob, WorkerLost)
from .history import History
from .job import Job
from .operation import LongOperation, long_operation
from .functions.shapes import (BlockSum, append, block_size_total, done_total,
                               fraction_message, progress_dict)
from .status import State, Status
from .wings import __version__

__all__ = [
    "BadParameters", "BlockSum", "Busy", "Callback", "DeadlineExceeded", "FileHistory",
    "ForgottenJob", "Gate", "Handler", "History", "HistoryError", "Job", "KeyReused", "Limits",
    "LongOperation", "LongOperationError", "OperationCancelled", "ReportCancelled", "State",
    "Status", "TargetError", "UnknownJob", "WorkerLost", "__version__", "append",
    "block_size_total", "connect", "done_total", "fraction_message", "handler", "long_operation",
    "progress", "progress_dict", "wsgi",
]

# The public names that wings define are loaded when they are first used, so that
# ``import longop`` is quick, and works where a wing was deleted.
if TYPE_CHECKING:
    from .archive import FileHistory
    from .cli.terminal import progress
    from .client import connect
    from .web.gate import Gate
    from .web.handler import Handler, handler
    from .web.limits import Limits
    from .web.wsgi import wsgi
else:
    _WINGS = {
        "FileHistory": "archive",
        "Gate": "web.gate",
        "Handler": "web.handler",
        "Limits": "web.limits",
        "connect": "client",
        "handler": "web.handler",
        "progress": "cli.terminal",
        "wsgi": "web.wsgi",
    }

    def __getattr__(name: str) -> Any:
        # PEP 562. Hidden from type checkers, which would take any name to be there.
        if name not in _WINGS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(wings.require(_WINGS[name], f"longop.{name}"), name)
        globals()[name] = value  # from now on it is found without this function
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

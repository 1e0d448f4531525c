"""Turn a function that reports through a callback into one to start, watch and really cancel.

    import longop

    operation = longop.LongOperation(a_long_process)
    job = operation.start()
    for status in job.updates():
        print(status.state.value, status.result)

Who hands what to whom, values to the right; to the left goes one ``threading.Event`` being set:

    your function ─ callback ─┐
          signature ─ executors ─ job ─ operation ─ api ─ wire ─ server ─ serve ─ page.html
      processes, remote ┘     status, guard  └ history, archive └ embed      └ client
      worker ┘

===========  =====================================================================================
errors       every exception
callback     what the function is handed: its reports go out, and a cancel comes in
status       the states of a job, and the record of it that every door shows
job          the life of one run, a ``concurrent.futures.Future``
signature    which parameter takes the callback, and what the others are
guard        what stops a job that does not stop by itself: deadlines, the ladder of a cancel
executors    a call of the function, and where its code runs: in a thread
worker       code that runs elsewhere, and what goes to and fro between it and its job
processes    in a process, which is kept for the next job, and which can be killed
remote       in any ``concurrent.futures.Executor``
history      the finished jobs, in memory
archive      ... in an sqlite3 file, which outlives the server
operation    `LongOperation`: how many run at once, and which is next
tour         operations to try longop with
jsontext     any value as JSON
wire         HTTP/1.1 bytes to a request, a response to bytes
watch        an answer that waits for a job: a long poll, an event stream
gate         who may come in
commands     a start, and CodeProject.AI Server's commands
settings     that server's description of a module
runner       what that server's adapters are written with
adapter      an adapter, or some functions, as a module
explorer     what that server's pages ask for
api          a request in, an answer out
embed        the api as a handler for ``http.server``, and as a WSGI application
connection   a client of the server's, and how far its requests are
server       the api to many connections in one loop
target       ``package.module``, ``module:name`` or ``file.py`` to operations
serve        ``python -m longop.serve``
terminal     a job in a terminal
run          ``python -m longop.run``
client       operations of another Python, which serves them
scaffold     the folder of a module of that server
codeproject  a module that gets its work from that server
===========  =====================================================================================
"""

from typing import Any

from .callback import Callback
from .errors import (BadParameters, Busy, DeadlineExceeded, ForgottenJob, HistoryError, KeyReused,
                     LongOperationError, OperationCancelled, TargetError, UnknownJob, WorkerLost)
from .history import History
from .job import Job
from .operation import LongOperation
from .status import State, Status
from .version import __version__

__all__ = ["BadParameters", "Busy", "Callback", "DeadlineExceeded", "ForgottenJob", "History",
           "HistoryError", "Job", "KeyReused", "LongOperation", "LongOperationError",
           "OperationCancelled", "State", "Status", "TargetError", "UnknownJob", "WorkerLost", "__version__",
           "handler", "progress", "wsgi"]


def handler(*operations: LongOperation, **options: Any) -> Any:
    """Return a request handler class for ``http.server``: see `longop.web.handler.handler`."""
    from .web import handler as embed  # ``import longop`` loads no HTTP

    return embed.handler(*operations, **options)


def progress(job: Any, **options: Any) -> Status:
    """Show how a job goes on, until it has ended: see `longop.terminal.progress`."""
    from .cli import terminal

    return terminal.progress(job, **options)


def wsgi(*operations: LongOperation, **options: Any) -> Any:
    """Return a WSGI application: see `longop.web.wsgi.wsgi`."""
    from .web import wsgi as door

    return door.wsgi(*operations, **options)

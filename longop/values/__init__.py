"""What the core knows of single values.

==============  ======================================================================
texts           numbers, dates, times and durations as text
annotations     what a function or a class is annotated with, as far as it is known
records         the fields of dataclasses, ``NamedTuple`` and ``TypedDict``
kinds           a `Kind`: the JSON Schema of some values, and the converter to them
scalars         the kinds of numbers, texts, dates, bytes and the like
jsontext        any value as JSON
pieces          a large value as JSON, piece by piece
given           JSON that somebody sent, within bounds
log             the log, in which nothing is forged
growth          a result that grows at its end
series          the numbers that a job reported, thinned
tail            the end of what a job printed
conversion      an annotation as a `Kind`
sockets         a socket that listens, or that sends at once; only its users load it
waits           waits that Ctrl-C always ends
keys            the ids of jobs that `start_once` starts
==============  ======================================================================
"""

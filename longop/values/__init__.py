"""What the core knows of single values.

==============  ======================================================================
texts           numbers, dates, times and durations as text
records         the fields of dataclasses, ``NamedTuple`` and ``TypedDict``
kinds           a `Kind`: the JSON Schema of some values, and the converter to them
scalars         the kinds of numbers, texts, dates, bytes and the like
jsontext        any value as JSON
conversion      an annotation as a `Kind`
keys            the ids of jobs that `start_once` starts
==============  ======================================================================
"""

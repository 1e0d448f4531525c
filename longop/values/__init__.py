"""What the core knows of values without their JSON Schema: texts and records.

==============  ======================================================================
texts           numbers, dates, times and durations as text
records         the fields of dataclasses, ``NamedTuple`` and ``TypedDict``
==============  ======================================================================
"""

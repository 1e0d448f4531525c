import os

# What the tests start is to be as on any machine: with these, output is never buffered, and every
# start compiles all of longop again.
for _name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(_name, None)

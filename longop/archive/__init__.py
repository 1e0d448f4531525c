"""Finished jobs in an sqlite3 file.

============  ======================================================================
database      a file that one process at a time uses; knows nothing of what is in it
tables        what is in it: the rows of jobs, as they are written and read
allowance     how much partial results may write
file_history  `FileHistory`: when what is written, and what becomes of it
============  ======================================================================
"""

from .file_history import FileHistory as FileHistory

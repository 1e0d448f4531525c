"""The adapter of A long process: what CodeProject.AI Server starts.

Without that server: python3 -m longop.serve a_long_process_adapter.py
"""

import sys

import longop
from long_process import a_long_process, cancel_process

operation = longop.LongOperation(a_long_process, cancel=cancel_process)

if __name__ == "__main__":
    from longop.codeproject import main

    sys.exit(main([__file__, *sys.argv[1:]]))

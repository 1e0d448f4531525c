"""Run a long operation in a script: watch it, and cancel it with Ctrl-C.

python3 -m examples.script
"""

import longop

from .long_process import a_long_process

operation = longop.LongOperation(a_long_process)


def main():
    """Run it once."""
    job = operation.start()
    try:
        for status in job.updates():
            print(f"{status.state.value:10} {status.result or ''}")
    except KeyboardInterrupt:
        job.cancel()
        for status in job.updates():
            print(f"{status.state.value:10} {status.result or ''}")


if __name__ == "__main__":
    main()

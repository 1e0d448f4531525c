"""Measure as ratios in one run: ``python3 -m tests.bench [NAME...] [--rounds N] [--seconds S]``."""

import argparse
import sys

from . import library, module, page, servers

LIBRARY = "import", "report", "cancel", "process", "history", "memory", "terminal"
SERVERS = "servers", "start", "idle", "watch", "delay"  # beside peers; needs Linux, and pip once
WHERE = {**dict.fromkeys(LIBRARY, library), **dict.fromkeys(SERVERS, servers), "module": module,
         "page": page}


def main():
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(WHERE)}; default: all")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default: "
                        f"{library.ROUNDS} of the library's, {servers.ROUNDS} of the others)")
    parser.add_argument("--seconds", type=float, help="of each measurement of the servers")
    options = parser.parse_args()
    unknown = set(options.name).difference(WHERE)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    library.ROUNDS = options.rounds or library.ROUNDS
    servers.ROUNDS = options.rounds or servers.ROUNDS
    servers.SECONDS = options.seconds or servers.SECONDS
    print(f"Python {sys.version.split()[0]}\n")
    for name in options.name or WHERE:
        getattr(WHERE[name], f"bench_{name}")()


if __name__ == "__main__":
    main()

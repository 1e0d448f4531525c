"""Measure as ratios in one run: ``python3 -m tests.bench [NAME...] [--rounds N] [--seconds S]``."""

import argparse
import sys

from . import growth, kill, library, mcp, module, page, requests, servers

LIBRARY = "import", "report", "cancel", "process", "history", "memory", "terminal"
SERVERS = "servers", "start", "idle", "watch", "delay"  # beside peers; needs Linux, and pip once
GROWTH = "growth", "crowd"  # of texts, beside peers, and for a thousand watchers; the same
REQUESTS = "heads", "bodies", "mutate"  # "bodies" needs Linux
WHERE = {**dict.fromkeys(LIBRARY, library), **dict.fromkeys(SERVERS, servers),
         **dict.fromkeys(GROWTH, growth), **dict.fromkeys(REQUESTS, requests),
         "module": module, "page": page, "kill": kill, "mcp": mcp}


def main():
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(WHERE)}; default: all")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default: "
                        f"{library.ROUNDS} of the library's, {servers.ROUNDS} of the others)")
    parser.add_argument("--seconds", type=float, help="of each measurement of the servers")
    parser.add_argument("--count", type=int, help="requests that are changed at random (default: "
                        f"{requests.COUNT:,})")
    parser.add_argument("--seed", type=int, help="what they are made of (default: 1)")
    options = parser.parse_args()
    unknown = set(options.name).difference(WHERE)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    library.ROUNDS = options.rounds or library.ROUNDS
    kill.ROUNDS = options.rounds or kill.ROUNDS
    servers.ROUNDS = options.rounds or servers.ROUNDS
    growth.ROUNDS = options.rounds or growth.ROUNDS
    servers.SECONDS = options.seconds or servers.SECONDS
    requests.COUNT = options.count or requests.COUNT
    requests.SEED = options.seed or requests.SEED
    print(f"Python {sys.version.split()[0]}\n")
    for name in options.name or WHERE:
        getattr(WHERE[name], f"bench_{name}")()


if __name__ == "__main__":
    main()

"""Sends to a name that has to be resolved, by the protocol in its argument; prints what became of it, and the seconds."""

import json
import sys
import time

from sending import send, to


def main() -> None:
    """Send once."""
    port = "" if sys.argv[1] == "grpc" else ":4318"
    start_s = time.monotonic()
    outcome = send(to(f"http://backend.example{port}", protocol=sys.argv[1], timeout_s=1.0))
    print(json.dumps([outcome.kind, outcome.reason, time.monotonic() - start_s]))


if __name__ == "__main__":
    main()

"""Sends twice to the address, and by the protocol, in its arguments; prints what became of the second, and by how many KiB memory grew."""

import sys

from sending import send, spans, to


def peak_kb() -> int:
    """Return the most memory that this process has had."""
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1])


def main() -> None:
    """Send a first time for what is imported and kept anyway, then against the attack."""
    send(to("", endpoint=sys.argv[1], protocol=sys.argv[2]))
    before = peak_kb()
    outcome = send(
        to("", endpoint=sys.argv[1], protocol=sys.argv[2], timeout_s=30.0), spans(first=2)
    )
    print(outcome.kind, peak_kb() - before)


if __name__ == "__main__":
    main()

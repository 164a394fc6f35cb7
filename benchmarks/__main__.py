"""Measures, prints, and with --write keeps what it found.

python -m benchmarks                     everything, about a quarter of an hour
python -m benchmarks call hello          two of them
python -m benchmarks --quick             a look: few rounds, small numbers
python -m benchmarks --write             also into docs/performance.md and benchmarks/results/
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    call,
    encoding,
    hello,
    keep,
    machine,
    million,
    ours,
    peers,
    policy,
    project,
    survival,
)
from benchmarks.result import Result
from benchmarks.setting import Setting
from benchmarks.sink import Sink

BENCHMARKS: dict[str, Callable[[Setting], Result]] = {
    "call": call.run,
    "hello": hello.run,
    "project": project.run,
    "million": million.run,
    "encoding": encoding.run,
    "policy": policy.run,
    "survival": survival.run,
}


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Rheostat beside its peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement")
    parser.add_argument("--quick", action="store_true", help="three rounds of a tenth")
    parser.add_argument("--write", action="store_true", help="keep the findings in the repository")
    parser.add_argument(
        "--rheostat", type=Path, help="the command to measure; else the installed one"
    )
    options = parser.parse_args()
    unknown = set(options.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(BENCHMARKS)}"
        )
    return options


def main() -> None:
    """Run what was asked for, one after the other."""
    options = parse_arguments()
    for peer in peers.PEERS:
        print(f"preparing {peer.name}: {peer.folder}", file=sys.stderr, flush=True)
        peer.prepare()
    facts = machine.describe()
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    print(f"peers: {peers.versions()}\n")
    with tempfile.TemporaryDirectory(prefix="rheostat-benchmarks-") as scratch, Sink() as sink:
        folder = Path(scratch)
        setting = Setting(
            rheostat=ours.Rheostat(options.rheostat or ours.installed(), folder),
            sink=sink,
            folder=folder,
            rounds=3 if options.quick else options.rounds,
            scale=0.1 if options.quick else 1,
        )
        for name in options.names or BENCHMARKS:
            result = BENCHMARKS[name](setting)
            print(f"## {name}\n\n{result.markdown()}\n", flush=True)
            if options.write:
                keep.write(result, facts)


if __name__ == "__main__":
    main()

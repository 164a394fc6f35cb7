"""Which spans survive the ways in which processes end. Ours are counted in the history, the peers' in a file that they append to."""

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import peers
from benchmarks.result import Goal, Result, Table
from benchmarks.setting import PROGRAMS, Setting

FOLDER = PROGRAMS / "survival"
METHODS = ("fork", "spawn", "forkserver")
EXPECTED = {
    **{f"Process {method}": 5 for method in METHODS},
    **{f"ProcessPoolExecutor {method}": 9 for method in METHODS},
    **{f"Pool {method}": 9 for method in METHODS},
    **dict.fromkeys(
        ("SIGTERM", "SIGKILL", "segfault", "os._exit", "os.exec", "SIGINT", "sys.exit"), 3
    ),
}
NAMES = {"child", "open_child", "processes", "executor", "pool", "ending"}
OURS, PEERS = "rheostat", (peers.OPENTELEMETRY, peers.LOGFIRE)
LIMIT_S = 60


def run(setting: Setting) -> Result:
    """Run every scenario with every contender."""
    found: dict[str, dict[str, Counter[str]]] = {
        scenario: {
            OURS: _ours(setting, scenario),
            **{peer.name: _peer(setting, peer, scenario) for peer in PEERS},
        }
        for scenario in EXPECTED
    }
    names = [OURS, *(peer.name for peer in PEERS)]
    rows = [
        [scenario, *(_cell(found[scenario][name], expected) for name in names)]
        for scenario, expected in EXPECTED.items()
    ]
    whole = [
        scenario
        for scenario, expected in EXPECTED.items()
        if len(found[scenario][OURS]) == expected == found[scenario][OURS].total()
    ]
    return Result(
        "survival",
        Table(("spans that survive", *names), rows),
        "spans found, by id",
        {
            scenario: {name: [len(ids), ids.total()] for name, ids in by_name.items()}
            for scenario, by_name in found.items()
        },
        [
            Goal(
                "every span of ours, once",
                f"{len(whole)} of {len(EXPECTED)} scenarios",
                len(whole) == len(EXPECTED),
            )
        ],
    )


def _cell(ids: Counter[str], expected: int) -> str:
    """Return `found/expected`, and how many came more than once."""
    again = ids.total() - len(ids)
    return f"{len(ids)}/{expected}" + (f" +{again} again" if again else "")


def _ours(setting: Setting, scenario: str) -> Counter[str]:
    environment = {**setting.rheostat.environment(), "PYTHONPATH": str(FOLDER / OURS)}
    command = setting.rheostat.run("--quiet", "--wait", "0", FOLDER / "scenarios.py", scenario)
    _run(command, environment, setting.folder)
    setting.rheostat.wait_for_agents()
    spans = setting.rheostat.spans()
    return Counter(ident for ident, name in spans if name.rpartition(".")[2] in NAMES)


def _peer(setting: Setting, peer: peers.Peer, scenario: str) -> Counter[str]:
    file = setting.folder / "spans"
    file.write_text("")
    environment = {
        **peers.clean_environment(),
        "LOGFIRE_SEND_TO_LOGFIRE": "false",
        "PYTHONPATH": f"{FOLDER / peer.name}:{FOLDER}",
        "SPANS": str(file),
    }
    _run([peer.python, FOLDER / "scenarios.py", scenario], environment, setting.folder)
    lines = (line.partition(" ") for line in file.read_text().splitlines())
    return Counter(ident for ident, _, name in lines if name in NAMES)


def _run(command: Iterable[str | Path], environment: dict[str, str], folder: Path) -> None:
    """Run the command to its end, which may be any."""
    subprocess.run(
        list(map(str, command)),
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )

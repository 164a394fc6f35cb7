"""The own test suites of well-known packages, run plain and observed, with every function of the package recorded.

Left out by default, for time: see packages.py; everything runs with RHEOSTAT_TEST_ALL=1. Needs PyPI once.
"""

import os
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packages import PACKAGES, Package, environment, source

from harness import Lab
from rheostat.spool import events, layout


def outcomes(report: Path) -> Counter[tuple[str | None, str | None, str]]:
    """Return how often each (class, test, outcome) stands in a JUnit *report*."""
    found: Counter[tuple[str | None, str | None, str]] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {part.tag for part in case} & {"failure", "error", "skipped"}
        found[case.get("classname"), case.get("name"), " ".join(sorted(kinds))] += 1
    return found


def recorded(spool: Path) -> tuple[int, int, list[str]]:
    """Return the number of spans in *spool*, of those left open, and the notes."""
    spans = still_open = 0
    notes = []
    for path in spool.glob("*" + layout.SPANS_SUFFIX):
        for record in layout.RECORD.iter_unpack(path.read_bytes()[layout.RECORD_SIZE :]):
            spans += bool(record[layout.HEAD])
            still_open += bool(record[layout.HEAD]) and not record[layout.ENDED]
    for path in spool.glob("*" + layout.EVENTS_SUFFIX):
        for kind, fields, _ in events.decode_frames(path.read_bytes()):
            if kind == events.NOTE:
                notes.append(str(fields[1]))
    return spans, still_open, notes


@pytest.mark.downstream
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_suite(package: Package, tmp_path: Path) -> None:
    """Each test has the same outcome observed as alone, spans are recorded throughout, and none is left open."""
    folder = environment()
    lab = Lab(tmp_path, str(folder / "venv/bin/python"))
    everything = bool(os.environ.get("RHEOSTAT_TEST_ALL"))
    tests = (package.tests or ("networkx",)) if everything else (*package.tests, *package.slow)
    variables = {
        "PYTHONHASHSEED": "0",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis"),
    }
    limits = {"cwd": source(folder, package), "env": variables, "timeout": 3600}

    def command(report: str) -> list[str]:
        keep = ["-p", "no:cacheprovider", "-q", f"--junitxml={tmp_path}/{report}"]
        return ["-P", "-m", "pytest", *keep, *tests]

    plain = lab.plain(*command("plain.xml"), **limits)
    observed = lab.plain(
        *command("observed.xml"),
        **limits | {"env": variables | lab.environment(include=package.include)},
    )
    assert plain.returncode in (0, 1), plain.stdout[-2000:]
    one, other = outcomes(tmp_path / "plain.xml"), outcomes(tmp_path / "observed.xml")
    assert (one - other, other - one) == (Counter(), Counter()), observed.stdout[-4000:]
    assert observed.returncode == plain.returncode
    assert sum(one.values()) > 100
    spans, still_open, notes = recorded(lab.spool)
    assert (still_open, notes) == (0, [])
    assert spans > package.spans

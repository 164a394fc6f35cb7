"""Keeps findings in the repository: the raw numbers as JSON, the tables in docs/performance.md.

The page is written by hand, but for what stands between `<!-- NAME -->` and `<!-- /NAME -->`: that is ours.
"""

import json
import re

from benchmarks import peers
from benchmarks.machine import ROOT
from benchmarks.result import Result

PAGE = ROOT / "docs" / "performance.md"
RAW = ROOT / "benchmarks" / "results"


def write(result: Result, facts: dict[str, str]) -> None:
    """Keep one result and the machine it is from. Raises ValueError if the page has no place for it."""
    told = f"*{facts['date']}, rheostat {facts['rheostat']}, Python {facts['python']}, "
    told += f"{facts['processor']}, {facts['system']}, load before {facts['load']}*"
    text = f"<!-- {result.name} -->\n{told}\n\n{result.markdown()}\n<!-- /{result.name} -->"
    place = re.compile(rf"<!-- {result.name} -->.*<!-- /{result.name} -->", re.DOTALL)
    page, found = place.subn(lambda _: text, PAGE.read_text())
    if found != 1:
        raise ValueError(f"{PAGE} has no lines <!-- {result.name} --> and <!-- /{result.name} -->")
    PAGE.write_text(page)
    RAW.mkdir(exist_ok=True)
    whole = {"unit": result.unit, "machine": facts, "peers": peers.versions(), "raw": result.raw}
    (RAW / f"{result.name}.json").write_text(json.dumps(whole, indent=1, default=list) + "\n")

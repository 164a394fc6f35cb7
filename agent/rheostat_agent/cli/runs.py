"""`rheostat runs` and `rheostat runs prune`."""

import json
import os
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rheostat_agent.cli import fail
from rheostat_agent.cli.access import Trouble, all_runs, open_state
from rheostat_agent.history.index import Index
from rheostat_agent.history.query import HistoryMissing, Run, open_history, read_deliveries
from rheostat_agent.history.schema import NewerSchema
from rheostat_agent.recovery import is_read
from rheostat_agent.rundirectory import unfinished_runs
from rheostat_agent.show.summary import ending
from rheostat_agent.show.text import count, duration, plain, size


def runs(values: dict[str, Any], words: list[str]) -> int:
    """List runs."""
    try:
        found = all_runs(open_state(), values["workflow"])
    except Trouble as error:
        return fail(str(error))
    found = found[: values["limit"] or None]
    if values["json"]:
        rows = [{**run.as_dict(), "undelivered_why": _why(run)} for run in found]
        json.dump(rows, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    if not found:
        which = f"no runs of {values['workflow']}" if values["workflow"] else "no runs yet"
        sys.stderr.write(f"{plain(which)}: start one by `rheostat run SCRIPT`\n")
        return 0
    sys.stdout.write(_table(found))
    return 0


def _why(run: Run) -> str:
    """Return why the backend does not have all of *run*, as far as it is known."""
    if not run.undelivered:
        return ""
    try:
        history = open_history(run.directory)
    except (HistoryMissing, NewerSchema):
        return ""
    try:
        reasons = [state.reason for state in read_deliveries(history) if state.undelivered]
    finally:
        history.close()
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def _table(found: list[Run]) -> str:
    rows = [("RUN", "WORKFLOW", "STARTED", "TOOK", "SPANS", "FAILED", "HOW IT ENDED")]
    for run in found:
        started = datetime.fromtimestamp(run.started_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S")
        how = ending(run)
        if run.undelivered:
            why = _why(run)
            how += f", {run.undelivered:,} undelivered" + (f" ({plain(why)})" if why else "")
        if run.lost:
            how += f", {count(run.lost, 'call')} not recorded"
        row = (
            run.id,
            plain(run.workflow),
            started,
            duration(run.wall_ns),
            f"{run.spans:,}",
            f"{run.errors:,}",
            how,
        )
        rows.append(row)
    widths = [max(len(row[at]) for row in rows) for at in range(7)]
    lines = []
    for row in rows:
        cells = [
            row[at].rjust(widths[at]) if at in (3, 4, 5) else row[at].ljust(widths[at])
            for at in range(7)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def prune(values: dict[str, Any], words: list[str]) -> int:
    """Remove runs by age and size."""
    if values["older_than"] is None and values["keep_size"] is None:
        return fail("runs prune: say which: --older-than AGE or --keep-size SIZE")
    try:
        state = open_state()
        chosen = _choose(state, values["older_than"], values["keep_size"])
    except Trouble as error:
        return fail(str(error))
    freed = sum(taken for _, taken in chosen)
    for run, taken in chosen:
        verb = "would remove" if values["dry_run"] else "removed"
        if not values["dry_run"]:
            shutil.rmtree(_directory(state, run), ignore_errors=True)
        sys.stdout.write(f"{verb} {run.id} {plain(run.workflow)} ({size(taken)})\n")
    if not values["dry_run"] and chosen:
        index = Index(str(state))
        index.remove(run.id for run, _ in chosen)
        index.close()
    sys.stderr.write(f"{count(len(chosen), 'run')}, {size(freed)}\n")
    return 0


def _choose(
    state: Path, older_than_s: float | None, keep_bytes: int | None
) -> list[tuple[Run, int]]:
    """Return the runs to remove, the oldest first, with the bytes that each takes. Raises Trouble."""
    unfinished = set(unfinished_runs(str(state)))
    found = list(reversed(all_runs(state)))
    sizes = {run.id: _bytes_of(_directory(state, run)) for run in found}
    total = sum(sizes.values())
    now_ns = time.time_ns()
    chosen = []
    for run in found:
        if run.id in unfinished or is_read(str(_directory(state, run))):
            continue
        age_s = (now_ns - (run.ended_ns or run.started_ns)) / 1e9
        is_old = older_than_s is not None and age_s > older_than_s
        if is_old or (keep_bytes is not None and total > keep_bytes):
            chosen.append((run, sizes[run.id]))
            total -= sizes[run.id]
    return chosen


def _directory(state: Path, run: Run) -> Path:
    """Return where *run* lies now: the state directory may have been moved since."""
    return state / "runs" / run.id


def _bytes_of(directory: Path) -> int:
    taken = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                taken += os.lstat(f"{folder}/{name}").st_blocks * 512
            except FileNotFoundError:
                continue  # an agent has read and removed it meanwhile
    return taken

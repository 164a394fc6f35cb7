"""`rheostat export`."""

import sys
from pathlib import Path
from typing import Any, TextIO

from rheostat_agent.cli import fail
from rheostat_agent.cli.access import Trouble, find, history_of, open_state, wait_until_read
from rheostat_agent.rundirectory import RUN, RunInfo


def export(values: dict[str, Any], words: list[str]) -> int:
    """Write a run as a file. It waits until the run has been read to its end."""
    try:
        directory = find(open_state(), words)
        output = values["output"]
        if output is None:
            sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # as the formats have it
            _write(directory, values["format"], sys.stdout)
        else:
            with open(
                output, "w", encoding="utf-8"
            ) as file:  # before the wait: it may not be possible
                _write(directory, values["format"], file)
    except Trouble as error:
        return fail(str(error))
    return 0


def _write(directory: Path, form: str, file: TextIO) -> None:
    from rheostat_agent.export.files import FORMATS

    wait_until_read(directory, None)
    history = history_of(directory)
    try:
        FORMATS[form](history, RunInfo.read(str(directory / RUN)), file)
    finally:
        history.close()

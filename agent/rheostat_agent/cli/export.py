"""`rheostat export`."""

import sys
from typing import Any

from rheostat_agent.cli import fail
from rheostat_agent.cli.access import Trouble, find, history_of, open_state, wait_until_read
from rheostat_agent.rundirectory import RUN, RunInfo


def export(values: dict[str, Any], words: list[str]) -> int:
    """Write a run as a file. It waits until the run has been read to its end."""
    from rheostat_agent.export.files import FORMATS

    try:
        directory = find(open_state(), words)
        wait_until_read(directory, None)
        history = history_of(directory)
        info = RunInfo.read(str(directory / RUN))
    except Trouble as error:
        return fail(str(error))
    write = FORMATS[values["format"]]
    try:
        if values["output"] is None:
            write(history, info, sys.stdout)
            sys.stdout.flush()
        else:
            with open(values["output"], "w", encoding="utf-8") as file:
                write(history, info, file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return fail(f"export: {values['output'] or 'standard output'}: {error.strerror}")
    finally:
        history.close()
    return 0

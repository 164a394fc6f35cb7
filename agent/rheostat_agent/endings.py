"""How processes end: in words for the history, and as the error of the calls that they left open."""

from __future__ import annotations


def signal_name(number: int) -> str:
    """Return SIGKILL for 9; SIG and the number for one without a name."""
    import signal  # for the killed only: it is not quick to import

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def status_of(is_over: bool, exit_code: int | None, signal_number: int | None) -> str:
    """Return how a run stands: running, ok, failed, killed or interrupted."""
    if not is_over:
        return "running"
    if signal_number is not None:
        return "killed"
    if exit_code is None:
        return "interrupted"
    return "failed" if exit_code else "ok"


def cause_of(exit_code: int | None, signal_number: int | None) -> str:
    """Return how a process ended, as the end of a sentence that begins with 'it'; None: not known."""
    if signal_number is not None:
        return f"was killed by {signal_name(signal_number)}"
    if exit_code is not None:
        return f"exited with status {exit_code}"
    return "ended, how is not known"


def error_type_of(exit_code: int | None, signal_number: int | None) -> str | None:
    """Return the error.type of calls that a process left open; None: it chose to end, and well."""
    if signal_number is not None:
        return signal_name(signal_number)
    if exit_code == 0:
        return None
    return "ProcessExit" if exit_code is not None else "_OTHER"

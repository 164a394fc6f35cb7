"""Agents: started beside a program, and again for runs whose agent was killed before it had read and delivered all.

Imported by the launcher: nothing heavy here.
"""

import fcntl
import os
import sys

from rheostat_agent.rundirectory import LOCK, RUN, mark_finished, unfinished_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_AT_ONCE = 4


def start_agent(
    directory: str, environment: "Mapping[str, str]", channel: int | None = None
) -> int:
    """Start the agent of the run in *directory*, in a session of its own; return its pid. Raises OSError.

    *channel* is its end of the channel (supervisor.py); it must be inheritable.
    """
    command = [sys.executable, "-I", "-m", "rheostat_agent.supervisor", directory]
    if channel is not None:
        command.append(str(channel))
    nowhere = [
        (os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)
    ]
    return os.posix_spawn(
        sys.executable, command, environment, file_actions=nowhere, setsid=True, setsigmask=()
    )


def is_read(directory: str) -> bool:
    """Say whether an agent is at work on the run in *directory*."""
    try:
        descriptor = os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def recover(state: str, environment: "Mapping[str, str]", but: str = "") -> list[int]:
    """Start agents for unfinished runs that have none, except for the run *but*; return their pids.

    At most four at once; the next command goes on. Never raises OSError: recovering is never what was asked for.
    """
    started: list[int] = []
    for run in unfinished_runs(state):
        directory = f"{state}/runs/{run}"
        if run == but or is_read(directory):
            continue
        if not os.path.exists(f"{directory}/{RUN}"):
            if not os.path.isdir(directory):
                mark_finished(state, run)  # removed by hand
            continue
        try:
            started.append(start_agent(directory, environment))
        except OSError:
            break
        if len(started) >= _MAX_AT_ONCE:
            break
    return started

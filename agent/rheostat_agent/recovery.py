"""Agents: started beside a program, and again for runs whose agent was killed before it had read and delivered all.

Imported by the launcher: nothing heavy here.
"""

import fcntl
import os
import sys
import time

from rheostat_agent.configuration.otel import ConfigurationRefused, read_destinations
from rheostat_agent.rundirectory import (
    LOCK,
    LOG,
    RUN,
    RunInfo,
    discard,
    is_only_undelivered,
    mark_finished,
    unfinished_runs,
)
from rheostat_agent.streams import inherited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CONSOLE = 3  # descriptor
_MAX_AT_ONCE = 4
_STARTING_S = 600  # by then a launcher has started its program, or never will


def start_agent(
    directory: str,
    environment: "Mapping[str, str]",
    commands: int = -1,
    answers: int = -1,
    has_console: bool = False,
) -> int:
    """Start the agent of the run in *directory*, in a session of its own; return its pid. Raises OSError.

    *commands* and *answers* are the ends of the launcher's pipes that the agent reads and writes (agentprocess.py). It gets
    our standard error too if it *has_console* to write spans to.
    """
    command = [sys.executable, "-I", "-m", "rheostat_agent.supervisor", directory]
    log = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0)
        if pipe < 0
        else (os.POSIX_SPAWN_DUP2, pipe, descriptor)
        for descriptor, pipe in ((0, commands), (1, answers))
    ]
    # One above the limit was opened before the limit was lowered; posix_spawn refuses it, and the agent closes it itself.
    limit = os.sysconf("SC_OPEN_MAX")
    actions += [(os.POSIX_SPAWN_CLOSE, number) for number in inherited() if 2 < number < limit]
    if has_console:
        command.append(str(_CONSOLE))
        actions.append((os.POSIX_SPAWN_DUP2, 2, _CONSOLE))
    actions.append((os.POSIX_SPAWN_OPEN, 2, f"{directory}/{LOG}", log, 0o600))
    return os.posix_spawn(
        sys.executable, command, environment, file_actions=actions, setsid=True, setsigmask=()
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
    named = _named_destinations(environment)
    for run in unfinished_runs(state):
        directory = f"{state}/runs/{run}"
        if run == but or is_read(directory):
            continue
        if not os.path.exists(f"{directory}/{RUN}"):
            _clear_away(state, run)
            continue
        if is_only_undelivered(state, run) and not named & _meant_destinations(directory):
            continue
        try:
            started.append(start_agent(directory, environment))
        except OSError:
            break
        if len(started) >= _MAX_AT_ONCE:
            break
    return started


def _named_destinations(environment: "Mapping[str, str]") -> set[str]:
    """Return the names of the destinations that *environment* knows how to reach."""
    try:
        return {each.name for each in read_destinations(environment, lambda text: None)}
    except ConfigurationRefused:
        return set()


def _meant_destinations(directory: str) -> set[str]:
    try:
        return set(RunInfo.read(f"{directory}/{RUN}").destinations)
    except (OSError, ValueError):
        return set()


def _clear_away(state: str, run: str) -> None:
    """Forget a run that was removed by hand, or whose launcher was killed before it had started the program."""
    directory = f"{state}/runs/{run}"
    try:
        if time.time() - os.stat(directory).st_mtime > _STARTING_S:
            discard(state, directory)
    except FileNotFoundError:
        mark_finished(state, run)
    except OSError:
        return  # something else lies in it: not ours to remove

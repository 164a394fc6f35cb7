"""What /proc tells the launcher of a process. All of it may be out of date as soon as it is read."""

import os

STATE, PARENT, GROUP, SESSION, TERMINAL = 0, 1, 2, 3, 4


def stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(4096).decode("ascii", "replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def status(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status by their names; none if there is no such process."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.read(8192).decode("ascii", "replace").split("\n")
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def signals_in(mask: str) -> set[int]:
    """Return the numbers of the signals in a mask of /proc/PID/status."""
    bits = int(mask, 16)
    return {number for number in range(1, bits.bit_length() + 1) if bits >> (number - 1) & 1}


def pending(pid: int) -> set[int]:
    """Return the signals that the process *pid* was sent and has blocked."""
    return signals_in(status(pid).get("ShdPnd", "0"))


def is_stopped(pid: int) -> bool:
    """Say whether a stop signal has stopped the process *pid*."""
    fields = stat(pid)
    return fields is not None and fields[STATE] == "T"


def is_below(pid: int, ancestor: int) -> bool:
    """Say whether the process *pid* is *ancestor* or was started by it, directly or not, as far as that still shows."""
    for _ in range(64):
        if pid == ancestor:
            return True
        fields = stat(pid) if pid > 1 else None
        if fields is None:
            return False
        pid = int(fields[PARENT])
    return False


def has_job_control() -> bool:
    """Say whether we are a job of a shell: on a terminal, in a group that our parent made for us in its session."""
    parent, own = os.getppid(), stat(os.getpid())
    if own is None or not parent or own[TERMINAL] == "0":
        return False
    above = stat(parent)
    return above is not None and above[GROUP] != own[GROUP] and above[SESSION] == own[SESSION]


def dead_children() -> list[int]:
    """Return the children of this process that have ended and that nobody has waited for."""
    own, found = str(os.getpid()), []
    for name in os.listdir("/proc"):
        fields = stat(int(name)) if name.isdecimal() else None
        if fields is not None and fields[STATE] == "Z" and fields[PARENT] == own:
            found.append(int(name))
    return found

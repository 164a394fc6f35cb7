"""The program has the streams, descriptors and settings of a plain run."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launching import DEADLINE_S, LAUNCHER, await_following, both, line_of, run, started, wait_until

# Isolated, so that it is not observed: an observed interpreter has a descriptor more.
INVENTORY = """
import os, sys
lines = [f"{n} {os.isatty(n)} {os.readlink(f'/proc/self/fd/{n}')} {os.get_blocking(n)}" for n in (0, 1, 2)]
lines.append(f"descriptors {sorted(os.listdir('/proc/self/fd'))}")
mask = os.umask(0)
lines.append(f"{os.getcwd()} {mask} {os.getsid(0)} {os.getpgrp()} {os.getpriority(os.PRIO_PROCESS, 0)}")
lines.append(str(sorted(item for item in os.environ.items() if item[0] not in ("PYTHONPATH", "RHEOSTAT_RUN"))))
lines += [line for line in open("/proc/self/status") if line.startswith(("SigP", "SigB", "SigI", "SigC", "Shd", "NoNewPrivs", "Cap"))]
lines += open("/proc/self/limits").read().splitlines()
os.write(int(sys.argv[1]), "\\n".join(lines).encode())
"""


def inventory(prefix: list[str], terminal: int | None = None, **options: object) -> str:
    """Return what a program under *prefix* finds, through a descriptor that it inherits."""
    reader, writer = os.pipe()
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    command = [*prefix, sys.executable, "-I", "-c", INVENTORY, str(writer)]
    try:
        done = subprocess.run(
            command, timeout=DEADLINE_S, check=True, pass_fds=[writer], **{**streams, **options}
        )
        assert done.returncode == 0
        return os.read(reader, 65536).decode()
    finally:
        os.close(reader)
        os.close(writer)


def test_terminal_is_the_programs() -> None:
    """On a terminal the three streams are that terminal, and no descriptor is added."""
    master, slave = pty.openpty()
    try:
        plain, ours = inventory([], slave), inventory(LAUNCHER, slave)
    finally:
        os.close(master)
        os.close(slave)
    assert plain.startswith("0 True /dev/pts/")
    assert plain == ours


def test_pipes_and_files_are_the_programs(tmp_path: Path) -> None:
    """Pipes, files, the working directory, umask, group, session and limits are those of a plain run."""
    with open(tmp_path / "out", "wb") as out, open("/dev/null", "rb") as null:
        options = {"stdin": null, "stdout": out, "stderr": out, "cwd": tmp_path, "umask": 0o027}
        plain, ours = (inventory(prefix, **options) for prefix in ([], LAUNCHER))
    assert f"{tmp_path} {0o027} " in plain
    assert plain == ours


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_closed_for_the_program(closed: str) -> None:
    """A stream that the launcher was started without is not given to the program, nor anything in its place."""
    script = f'exec 7>&1; "$@" 7 {closed}; exit $?'
    words = [sys.executable, "-I", "-c", INVENTORY.replace("(0, 1, 2)", "()")]
    plain = run(["sh", "-c", script, "sh", *words])
    ours = run(["sh", "-c", script, "sh", *LAUNCHER, *words])

    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.returncode == 0


def test_launcher_does_not_take_its_own_file_for_standard_error() -> None:
    """Started without standard streams, the launcher opens none of its own files in their place."""
    script = """
import os
from rheostat_agent import streams
streams.plug()
print(os.open("/", 0), os.readlink("/proc/self/fd/0"), *map(os.get_inheritable, (0, 1, 2)))
"""
    shell = '"$@" <&- 2>&-; exit $?'
    done = run(["sh", "-c", shell, "sh", sys.executable, "-c", script])

    assert (done.stdout, done.returncode) == ("3 /dev/null False True False\n", 0)


def test_inherited_descriptor_reaches_the_program(tmp_path: Path) -> None:
    """A descriptor from the shell is the program's, with its number."""
    script = 'exec 5>"$0"; "$@"; exit $?'
    done = run(["sh", "-c", script, str(tmp_path / "out"), *LAUNCHER, "sh", "-c", "echo five >&5"])

    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "five\n"


def test_locale_that_the_interpreter_sets_for_itself_is_not_passed_on() -> None:
    """In the C locale CPython sets LC_CTYPE for itself and its children: the program's environment does not have it."""
    kept = ("PATH", "PYTHONPATH", "XDG_CACHE_HOME", "RHEOSTAT_STATE_DIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    plain, ours = both(["env", "-u", "PYTHONPATH", "-u", "RHEOSTAT_RUN"], env=environment)

    assert "LC_CTYPE" not in plain.stdout
    assert plain.stdout == ours.stdout


@pytest.mark.parametrize("stream", [0, 1])
def test_stream_that_the_program_closes_is_closed(stream: int) -> None:
    """Who is at the other end of a pipe learns that the program has closed it, while the program still runs."""
    reader, writer = os.pipe()
    theirs, ours = (reader, writer) if stream == 0 else (writer, reader)
    report, reports = os.pipe()
    script = f"exec {'<' if stream == 0 else '>'}&-; echo closed >&{{reports}}; exec sleep 60"
    command = ["bash", "-c", script.replace("{reports}", str(reports))]
    streams = {"stdin" if stream == 0 else "stdout": theirs}
    with started([*LAUNCHER, *command], pass_fds=[reports], **streams) as process:
        os.close(theirs)
        await_following(process.pid)
        assert os.read(report, 7) == b"closed\n"
        try:
            if stream == 0:
                with pytest.raises(BrokenPipeError):
                    os.write(ours, b"x")
            else:
                assert os.read(ours, 1) == b""
        finally:
            for descriptor in (ours, report, reports):
                os.close(descriptor)


def test_disabled_launcher_becomes_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """With RHEOSTAT_DISABLED the launcher is replaced by the program, with a plain run's signals and descriptors."""
    monkeypatch.setenv("RHEOSTAT_DISABLED", "true")
    with started([*LAUNCHER, "sh", "-c", "echo $$; exit 6"]) as process:
        assert int(line_of(process)) == process.pid
        assert process.wait(DEADLINE_S) == 6

    command = ["sh", "-c", "ls -l /proc/self/fd | wc -l; grep -E '^Sig[BIC]' /proc/self/status"]
    plain, ours = both(command)
    assert plain.stdout == ours.stdout

    missing = run([*LAUNCHER, "./missing"])
    assert (missing.returncode, missing.stdout) == (127, "")
    assert missing.stderr == "rheostat: ./missing: No such file or directory\n"


def test_killed_launcher_leaves_nothing_of_its_own_behind() -> None:
    """When the launcher is killed, the program goes on and no process of the launcher's is left."""
    with started([*LAUNCHER, "sh", "-c", "echo $$; read line; echo $line"], stdin=-1) as process:
        program = int(line_of(process))
        group = os.getpgid(program)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        assert process.stdin is not None
        process.stdin.write("on\n")
        process.stdin.flush()
        assert line_of(process) == "on"
        # End of file: nothing holds the output any more. The group has emptied when it can no longer be signalled.
        assert process.communicate(timeout=DEADLINE_S)[0] == ""
        until_empty(group)


def until_empty(group: int) -> None:
    """Wait until no process of *group* is left."""

    def is_empty() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(is_empty, "the group is empty")

"""The surroundings of a run fail, or the program changes them: seen from `rheostat run` to the history."""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rheostat_agent.history.query import Span
from running import History, Rheostat, wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user or root")

HEAD = """
import os, sys
def leaf(): pass
def before():
    for _ in range(1000): leaf()
def after():
    for _ in range(30000): leaf()
"""


def _lost(history: History) -> int:
    return sum(row["count"] or 0 for row in history.losses)


def _below(history: History, name: str) -> list[Span]:
    (parent,) = history.named(name)
    return [span for span in history.spans if span.parent == parent.id]


def _can(command: list[str]) -> bool:
    return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0


# What the program does to itself


@needs_root
@pytest.mark.parametrize(
    "change",
    ["os.setgid(65534); os.setuid(65534)", "os.chroot(sys.argv[1])"],
    ids=["another user", "another root"],
)
def test_calls_after_the_program_left_its_rights_behind_are_there_or_counted(
    rheostat: Rheostat, change: str
) -> None:
    """After a change of user or root no file can be made: each later call has its span, or is counted."""
    rheostat.write("job.py", HEAD + f"before()\n{change}\nafter()\nprint('done')\n")
    cell = rheostat.folder / "cell"
    cell.mkdir()

    done = rheostat.run("job.py", str(cell))
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert len(_below(history, "job.before")) == 1000
    leaves = history.names()["job.leaf"]
    assert leaves + _lost(history) == 31_000
    assert _lost(history) > 0


def test_program_that_closes_all_descriptors_is_recorded_on(rheostat: Rheostat) -> None:
    """After `os.closerange` the mappings go on, no file of the program is touched, and no call is lost."""
    rheostat.write(
        "job.py",
        HEAD + "before()\nos.closerange(3, 1000)\nmine = [open(f'f{n}', 'w') for n in range(20)]\n"
        "after()\nfor n, file in enumerate(mine): print(n, file=file); file.close()\n"
        "print([open(f'f{n}').read() == f'{n}\\n' for n in range(20)].count(True))\n",
    )

    done = rheostat.run("job.py")
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "20\n")
    assert history.names()["job.leaf"] == 31_000
    assert not history.losses


@pytest.mark.parametrize("number", [12, 64])
def test_few_descriptors_cost_the_program_none(rheostat: Rheostat, number: int) -> None:
    """Under a small limit on descriptors the program can open as many files as alone, and its calls are there or counted."""
    rheostat.write(
        "job.py",
        HEAD + "before()\nmine = []\ntry:\n    while True: mine.append(open(os.devnull))\n"
        "except OSError: pass\nafter()\nprint(len(mine))\n",
    )
    limit = ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh"]

    plain = rheostat.plain("job.py", inside=limit)
    done = rheostat.run("job.py", inside=limit)
    rheostat.await_no_agents()
    assert rheostat.command("runs").returncode == 0
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, plain.stdout)
    assert history.names()["job.leaf"] + _lost(history) == 31_000


def test_limit_on_file_sizes_sends_no_signal(rheostat: Rheostat) -> None:
    """Under `ulimit -f` recording stops at the limit without a signal; the agent, for which it was not meant, writes on."""
    rheostat.write("job.py", HEAD + "before()\nafter()\nprint('done')\n")
    limit = ["sh", "-c", 'ulimit -S -f 512; exec "$@"', "sh"]

    done = rheostat.run("job.py", inside=limit)
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names()["job.leaf"] + _lost(history) == 31_000
    assert _lost(history) > 0


# What happens around it


def test_run_directory_that_is_removed(rheostat: Rheostat) -> None:
    """The program does not notice that its run directory is removed under it; other runs are not touched by that."""
    rheostat.write("job.py", HEAD + "before()\nwhile not os.path.exists('go'): leaf()\nafter()\n")
    rheostat.write("other.py", HEAD + "before()\n")
    process = rheostat.start("job.py", options=("--wait", "0"))
    directory = rheostat.await_run()
    wait_until(lambda: any((directory / "spool").glob("*.spans")), "it is recorded")
    shutil.rmtree(directory)
    (rheostat.project / "go").touch()

    done = rheostat.finish(process)
    rheostat.await_no_agents()
    other = rheostat.run("other.py")

    assert done.returncode == 0
    assert done.stdout == ""
    assert other.returncode == 0
    assert rheostat.await_complete().names()["other.leaf"] == 1000
    assert rheostat.command("runs").returncode == 0


def test_spool_that_is_removed_keeps_what_was_read(rheostat: Rheostat) -> None:
    """Where only the spool is removed, the agent keeps what it has, ends the run, and says that the rest is lost."""
    rheostat.write("job.py", HEAD + "before()\nwhile not os.path.exists('go'): leaf()\nafter()\n")
    process = rheostat.start("job.py", options=("--wait", "0"))
    directory = rheostat.await_run()
    wait_until(lambda: _has_spans(directory), "something was read")
    shutil.rmtree(directory / "spool")
    (rheostat.project / "go").touch()

    done = rheostat.finish(process)
    history = rheostat.await_complete()

    assert done.returncode == 0
    assert history.names()["job.leaf"] >= 1000
    assert any("removed" in note["text"] for note in history.notes)
    assert history.processes[1].exit_code == 0


def _has_spans(directory: Path) -> bool:
    try:
        return len(History(directory).spans) > 1000
    except Exception:  # noqa: BLE001  # there is no history yet
        return False


def test_nothing_is_ever_truncated_behind_a_mapping(rheostat: Rheostat) -> None:
    """Neither agent nor recorder truncates a file of the spool: that would kill whoever has mapped it."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    rheostat.write("job.py", HEAD + "before()\nafter()\n")
    log = rheostat.folder / "calls"
    watched = [
        "strace",
        "-f",
        "-y",
        "-o",
        str(log),
        "-e",
        "trace=ftruncate,truncate,unlinkat,openat",
    ]

    done = rheostat.run("job.py", inside=watched)
    rheostat.await_complete()
    rheostat.await_no_agents()

    assert done.returncode == 0
    calls = log.read_text().splitlines()
    assert any("unlinkat" in call and ".spans" in call for call in calls)
    assert not [call for call in calls if re.match(r"\d+ +f?truncate", call) and "/spool/" in call]
    assert not [call for call in calls if "O_TRUNC" in call and "/spool/" in call]


@needs_root
def test_home_that_cannot_be_written(rheostat: Rheostat) -> None:
    """Where nothing can be kept the program runs all the same, and one line says why nothing was observed."""
    rheostat.write("job.py", HEAD + "before()\nprint('done')\n")
    home = rheostat.folder / "home"
    home.mkdir()
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    inside = ["unshare", "-m", "sh", "-c", script, str(home)]
    if not _can(inside):
        pytest.skip("nothing can be mounted here: a read-only home cannot be had")
    env = {"HOME": str(home), "RHEOSTAT_STATE_DIR": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": ""}

    done = rheostat.run("job.py", inside=inside, env=env)

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.startswith("rheostat: nothing was observed: ")
    assert done.stderr.count("\n") == 1


@needs_root
def test_no_shared_memory_is_no_matter(rheostat: Rheostat) -> None:
    """A read-only /dev/shm changes nothing: nothing is kept there."""
    rheostat.write("job.py", HEAD + "before()\nprint('done')\n")
    inside = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "sh"]
    if not _can(inside):
        pytest.skip("nothing can be mounted here")

    done = rheostat.run("job.py", inside=inside)
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names()["job.leaf"] == 1000


@needs_root
def test_first_process_of_a_container(rheostat: Rheostat) -> None:
    """As process 1 of a pid namespace, Rheostat records the program and its children, and ends as the program does."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not _can(inside):
        pytest.skip("no pid namespaces here")
    rheostat.write(
        "job.py",
        HEAD
        + "before()\nif not os.fork():\n    before()\n    os._exit(0)\nos.wait()\nsys.exit(5)\n",
    )

    done = rheostat.run("job.py", inside=inside)
    assert rheostat.command("runs").returncode == 0
    history = rheostat.await_complete()

    assert done.returncode == 5
    assert history.names()["job.leaf"] == 2000
    assert len(history.processes) == 2


def test_descriptor_beyond_the_limit_stops_no_agent(rheostat: Rheostat) -> None:
    """A descriptor that was opened before the limit was lowered below it is no reason to observe nothing."""
    rheostat.write("job.py", HEAD + "before()\nprint('done')\n")
    inside = ["bash", "-c", 'exec 200</dev/null; ulimit -n 100; exec "$@"', "bash"]

    done = rheostat.run("job.py", inside=inside)
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names()["job.leaf"] == 1000


# What the program itself is like


def test_a_hundred_thousand_calls_deep(rheostat: Rheostat) -> None:
    """A recursion as deep as memory allows is there, call by call, and can be shown and exported."""
    rheostat.write(
        "job.py",
        "import sys, threading\n"
        "def deep(n): return n and deep(n - 1)\n"
        "sys.setrecursionlimit(200_000); threading.stack_size(512 << 20)\n"
        "thread = threading.Thread(target=deep, args=(100_000,)); thread.start(); thread.join()\n"
        "print('done')\n",
    )

    done = rheostat.run("job.py")
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    spans = history.named("job.deep")
    assert len(spans) == 100_001
    assert all(span.parent == above.id for above, span in itertools.pairwise(spans))
    shown = rheostat.command("show", "last")
    assert shown.returncode == 0
    assert "job.deep" in shown.stdout
    for kind in ("otlp-json", "perfetto"):
        exported = rheostat.command("export", "last", "--format", kind)
        assert exported.returncode == 0, exported.stderr
        assert exported.stdout.count("job.deep") >= 100_001


def test_huge_and_hostile_exceptions(rheostat: Rheostat) -> None:
    """Exceptions with a huge text, a cycle, a text that raises or sleeps cost nothing, and leave a short description."""
    rheostat.write(
        "job.py",
        "import time\n"
        "class Slow(Exception):\n    def __str__(self): time.sleep(1000)\n    __repr__ = __str__\n"
        "class Broken(Exception):\n    def __str__(self): raise SystemExit(9)\n    __repr__ = __str__\n"
        "cycle = []; cycle.append(cycle)\n"
        "def fail(error): raise error\n"
        "for error in (ValueError('x' * 100_000_000), KeyError('y' * 100_000_000), TypeError(cycle),\n"
        "              OSError(1, 'z' * 10_000_000), Slow(), Broken(), ValueError({n: n for n in range(10**6)})):\n"
        "    try: fail(error)\n    except Exception: pass\n"
        "print('done')\n",
    )

    done = rheostat.run("job.py")
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    types = [history.error(span) for span in history.named("job.fail")]
    assert types == ["ValueError", "KeyError", "TypeError", "PermissionError", "job.Slow",
                     "job.Broken", "ValueError"] or types[4].endswith("Slow")  # fmt: skip
    assert all(len(error.message or "") <= 4096 for error in history.errors.values())
    assert (rheostat.last() / "history.sqlite").stat().st_size < 2_000_000

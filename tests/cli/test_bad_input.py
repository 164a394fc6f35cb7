"""What cannot be done is said in one line on stderr, with the status that a shell would give."""

import os
import sys
from pathlib import Path

import pytest

from rheostat_agent import cli
from running import RHEOSTAT, Done, Rheostat


def assert_refused(done: Done, status: int, *parts: str) -> None:
    """Nothing on stdout, one line on stderr that has *parts* in it."""
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("rheostat: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    for part in parts:
        assert part in done.stderr


def refused_run(rheostat: Rheostat, *words: str, **options: object) -> Done:
    """Run `rheostat run *words*`, without a --python that the fixture would give."""
    done = rheostat.command("run", *words, **options)
    assert not rheostat.state.exists() or rheostat.directories() == []
    return done


def test_a_missing_script(rheostat: Rheostat) -> None:
    """127, as a shell has it for what it cannot find."""
    done = refused_run(rheostat, "nowhere/etl.py")

    assert_refused(done, 127, "nowhere/etl.py: No such file or directory")


def test_a_missing_command(rheostat: Rheostat) -> None:
    """127."""
    assert_refused(refused_run(rheostat, "no-such-command"), 127, "command not found")


def test_a_directory(rheostat: Rheostat) -> None:
    """126, if there is no __main__ in it."""
    (rheostat.project / "folder").mkdir()

    assert_refused(refused_run(rheostat, "folder"), 126, "folder: Is a directory")


def test_a_file_that_is_not_executable(rheostat: Rheostat) -> None:
    """126."""
    rheostat.write("job.sh", "#!/bin/sh\n").chmod(0o644)

    assert_refused(refused_run(rheostat, "./job.sh"), 126, "./job.sh: Permission denied")


def test_a_file_that_no_kernel_runs(rheostat: Rheostat) -> None:
    """126, found out only when it is started; no run is left behind."""
    rheostat.write("job", "\0\1\2").chmod(0o755)

    assert_refused(
        refused_run(rheostat, "./job"), 126, "./job: cannot execute binary file: Exec format error"
    )
    assert list(rheostat.state.glob("unfinished/*")) == []


@pytest.mark.parametrize("python", ["/nowhere/python", "no-such-python"])
def test_a_bad_interpreter(rheostat: Rheostat, python: str) -> None:
    """--python that is not there: 127."""
    rheostat.write("job.py", "")

    assert_refused(refused_run(rheostat, "--python", python, "job.py"), 127, python)


def test_a_script_whose_interpreter_is_missing(rheostat: Rheostat) -> None:
    """A #! line that leads nowhere: what the kernel says."""
    rheostat.write("job", "#!/nowhere/interpreter\n").chmod(0o755)
    done = refused_run(rheostat, "./job")

    assert_refused(done, done.returncode, "./job")
    assert done.returncode in (126, 127)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["run", "--nmae", "x", "job.py"], ["unknown option --nmae", "did you mean --name?"]),
        (["run", "-x", "job.py"], ["unknown option -x"]),
        (["run", "--name"], ["option --name needs a value: NAME"]),
        (["run", "--wait", "soon", "job.py"], ["option --wait: 'soon' is no SECONDS"]),
        (["run", "--max-spans", "-1", "job.py"], ["option --max-spans: '-1' is no N"]),
        (["run", "--max-disk", "2XB", "job.py"], ["option --max-disk: '2XB' is no SIZE"]),
        (["run", "--summary", "long", "x"], ["'long' is none of none, short, full"]),
        (["run", "--quiet=yes", "job.py"], ["option --quiet takes no value"]),
        (["run"], ["nothing to run"]),
        (["run", "--quiet"], ["nothing to run"]),
        (["run", "-m"], ["-m needs the name of a module"]),
        (["run", "-c"], ["-c needs code"]),
        (["runs", "--jsno"], ["unknown option --jsno", "did you mean --json?"]),
        (["runs", "prnue"], ["there is no prnue", "did you mean prune?"]),
        (["runs", "--limit", "few"], ["option --limit: 'few' is no N"]),
        (["runs", "prune"], ["--older-than AGE or --keep-size SIZE"]),
        (["runs", "prune", "--older-than", "old"], ["'old' is no AGE"]),
        (["show", "--min", "120%"], ["'120%' is no SHARE"]),
        (["show", "a", "b"], ["one run at a time"]),
        (["show"], ["there are no runs yet"]),
        (["export", "--format", "csv"], ["'csv' is none of otlp-json, perfetto"]),
        (["export", "abc"], ["there are no runs yet"]),
        (["completion"], ["bash, zsh or fish"]),
        (["completion", "tcsh"], ["bash, zsh or fish"]),
        (["rnu", "job.py"], ["unknown command rnu", "did you mean run?"]),
        (["--hlep"], ["unknown command --hlep"]),
    ],
)
def test_a_command_line_that_makes_no_sense(
    rheostat: Rheostat, words: list[str], parts: list[str]
) -> None:
    """125, with what is wrong, and what may have been meant."""
    assert_refused(rheostat.command(*words), 125, *parts)


def test_an_option_behind_the_target_is_the_programs(rheostat: Rheostat) -> None:
    """What stands behind the target is not looked at."""
    rheostat.write("job.py", "import sys\nprint(sys.argv[1:])\n")
    done = rheostat.run("job.py", "--nmae", "-x", "--help", "--")

    assert (done.returncode, done.stdout) == (0, "['--nmae', '-x', '--help', '--']\n")


def test_no_command(rheostat: Rheostat) -> None:
    """The help, and 125: nothing was done."""
    done = rheostat.command()

    assert (done.returncode, done.stderr) == (125, "")
    assert done.stdout.startswith("usage: rheostat ")


@pytest.fixture(params=["file", "link", "below a file"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A state directory that cannot be used, by root either."""
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    return str(tmp_path / {"below a file": "file/state"}.get(request.param, request.param))


def test_without_a_state_directory_the_program_runs(rheostat: Rheostat, unusable: str) -> None:
    """With its own output and status; one line says that nothing was observed."""
    rheostat.write("job.py", "print('done')\nraise SystemExit(3)\n")
    done = rheostat.run("job.py", env={"RHEOSTAT_STATE_DIR": unusable})

    assert (done.returncode, done.stdout) == (3, "done\n")
    assert done.stderr.startswith("rheostat: nothing was observed: ")
    assert done.stderr.count("\n") == 1
    assert unusable in done.stderr


def test_without_a_state_directory_quiet_is_quiet(rheostat: Rheostat, unusable: str) -> None:
    """--quiet holds for this line as well."""
    rheostat.write("job.py", "")
    done = rheostat.run("job.py", options=("--quiet",), env={"RHEOSTAT_STATE_DIR": unusable})

    assert done == Done(0, "", "")


@pytest.mark.parametrize(
    "words", [["runs"], ["show"], ["export"], ["runs", "prune", "--older-than", "1d"]]
)
def test_without_a_state_directory_nothing_is_found(
    rheostat: Rheostat, unusable: str, words: list[str]
) -> None:
    """The other commands say why."""
    done = rheostat.command(*words, env={"RHEOSTAT_STATE_DIR": unusable})

    assert_refused(done, 125, unusable)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_directory_that_may_not_be_written(rheostat: Rheostat) -> None:
    """On a file system that is read-only: the program runs, and the reason is told."""
    rheostat.state.mkdir(mode=0o700)
    rheostat.write("job.py", "print('done')\n")
    mount = f"mount --bind {rheostat.state} {rheostat.state}"
    script = f"{mount} && mount -o remount,bind,ro {rheostat.state} && exec {RHEOSTAT} run job.py"
    done = rheostat._wait(rheostat._start(["unshare", "-m", "sh", "-ec", script]))

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr == f"rheostat: nothing was observed: {rheostat.state} is not writable\n"


@pytest.mark.parametrize("variable", ["RHEOSTAT_DISABLED", "OTEL_SDK_DISABLED"])
@pytest.mark.parametrize("value", ["true", "TRUE"])
def test_disabled_the_launcher_becomes_the_program(
    rheostat: Rheostat, variable: str, value: str
) -> None:
    """It executes the program in its own place: same pid, nothing kept, nothing said."""
    rheostat.write(
        "job.py",
        "import os\nprint(os.getppid(), 'RHEOSTAT_RUN' in os.environ)\nraise SystemExit(4)\n",
    )
    done = rheostat.run("job.py", env={variable: value})

    assert done == Done(4, f"{os.getpid()} False\n", "")
    assert not rheostat.state.exists()


def test_on_other_systems_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """macOS and Windows: one line, 125, whatever was asked for."""
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)

        assert cli.main(["run", "job.py"]) == 125
        assert capsys.readouterr() == ("", "rheostat: only Linux is supported so far\n")


def test_a_full_standard_output_is_said(rheostat: Rheostat) -> None:
    """Results that cannot be written are a failure, not a traceback."""
    with open("/dev/full", "w") as full:
        done = rheostat.command("runs", "--json", stdout=full)

    assert_refused(done, 125, "standard output: No space left on device")


@pytest.mark.parametrize("stream", [1, 2])
def test_closed_streams_are_no_failure(rheostat: Rheostat, stream: int) -> None:
    """A command whose stdout or stderr is closed does what it can."""
    words = f"exec {RHEOSTAT} runs --json {stream}>&-"
    done = rheostat._wait(rheostat._start(["sh", "-c", words]))

    assert (done.returncode, "Traceback" in done.stderr) == (0, False)

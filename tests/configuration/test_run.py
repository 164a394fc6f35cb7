"""What is set, as `rheostat run` goes by it: nothing is started where that makes no sense, and nothing secret is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rheostat_agent.rundirectory import RUN, RunInfo
from running import Rheostat, processes_with

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def info(rheostat: Rheostat) -> RunInfo:
    """Return what the last run is."""
    return RunInfo.read(str(rheostat.last() / RUN))


@pytest.mark.parametrize(
    ("files", "environ", "options", "told"),
    [
        ({"rheostat.toml": "max_span = 1"}, {}, (), "rheostat.toml:1: max_span: unknown key (did you mean max_spans?)"),
        ({"rheostat.toml": "endpoint = 'http://hush'"}, {}, (), ("rheostat.toml:1: endpoint: not from a project's file "
         "(a cloned repository must not redirect telemetry): set OTEL_EXPORTER_OTLP_ENDPOINT or ~/.config/rheostat/rheostat.toml")),
        ({"pyproject.toml": "[tool.rheostat]\nname = "}, {}, (), "pyproject.toml:2:8: Invalid value"),
        ({}, {"RHEOSTAT_WAIT": "soon"}, (), 'RHEOSTAT_WAIT: seconds, or a time such as "10m" is wanted, not "soon"'),
        ({}, {"OTEL_CONFIG_FILE": "o.yaml"}, (), ("OTEL_CONFIG_FILE is set, and Rheostat does not read that file: "
         "unset it, and set OTEL_EXPORTER_OTLP_ENDPOINT")),
        ({}, {}, ("--headers-from", "none"), "--headers-from none: No such file or directory"),
        ({}, {}, ("--endpoint", "http://a:hush@c"), "run: option --endpoint: what was given is no URL"),
        ({}, {}, ("--endpoint", "c:4318"), "run: option --endpoint: what was given is no URL"),
        ({}, {}, ("--export", "some"), "run: option --export: 'some' is none of default, all, errors, none"),
    ],
)  # fmt: skip
def test_nothing_is_started(
    rheostat: Rheostat,
    files: dict[str, str],
    environ: dict[str, str],
    options: tuple[str, ...],
    told: str,
) -> None:
    """One line, status 125, and the program never ran."""
    for name, text in files.items():
        rheostat.write(name, text)
    rheostat.write("job.py", "open('ran', 'w')\n")
    done = rheostat.run("job.py", options=options, env=environ)

    assert (done.returncode, done.stdout, done.stderr) == (125, "", f"rheostat: {told}\n")
    assert not (rheostat.project / "ran").exists()
    assert not rheostat.directories()


@pytest.mark.parametrize("name", ["RHEOSTAT_DISABLED", "OTEL_SDK_DISABLED"])
def test_turned_off(rheostat: Rheostat, name: str) -> None:
    """Then the program runs as it would alone, whatever stands in our files and variables."""
    rheostat.write("rheostat.toml", "max_span = 1\n")
    rheostat.write("job.py", "print('ran')\n")
    done = rheostat.run("job.py", env={name: "true", "OTEL_CONFIG_FILE": "o.yaml"})

    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_settings_of_the_project(rheostat: Rheostat) -> None:
    """They are those of the project of the script, wherever the command is typed; they reach the run."""
    rheostat.write(
        "rheostat.toml",
        "name = 'nightly'\nmax_spans = 7\nexport = 'all'\nexport_when = ['error', 'slow']\npending = 3\n",
    )
    rheostat.write("job.py", "pass\n")
    rheostat.run(str(rheostat.project / "job.py"), cwd=rheostat.folder)
    found = info(rheostat)

    assert (found.workflow, found.max_spans, found.export) == ("nightly", 7, "all")
    assert (found.export_when, found.pending_s) == ("error,slow", 3)


def test_interpreter_of_the_project(rheostat: Rheostat) -> None:
    """A file of the project may say by which interpreter its scripts run; a command is executed itself."""
    (rheostat.project / "python").symlink_to(sys.executable)
    rheostat.write("rheostat.toml", "python = './python'\n")
    rheostat.write("job.py", "import sys; print(sys.executable)\n")
    script = rheostat.command("run", "job.py")
    command = rheostat.command("run", "true")

    assert script.stdout == str(rheostat.project / "./python") + "\n"
    assert info(rheostat).executable.endswith("/true")
    assert "--python" not in command.stderr


def test_doubts_are_told_once(rheostat: Rheostat) -> None:
    """A variable that cannot be used is a line of the summary, also where it counts for two signals."""
    rheostat.write("job.py", "pass\n")
    done = rheostat.run(
        "job.py",
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318", "RHEOSTAT_DISABLED": "1"},
    )

    assert done.returncode == 0
    for line in (
        "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL with http:// or https://: not used",
        'RHEOSTAT_DISABLED is "1", which is not true: it counts as false',
    ):
        assert done.stderr.count(line) == 1


def test_below_a_parent(rheostat: Rheostat) -> None:
    """A run takes over the trace of whoever started it; its own id stays its own, the program sees what was there."""
    rheostat.write("job.py", "import os; print(os.environ['TRACEPARENT'])\n")
    parent = f"00-{TRACE}-{SPAN}-01"
    done = rheostat.run("job.py", env={"TRACEPARENT": parent, "TRACESTATE": "a=1"})
    found = info(rheostat)

    assert done.stdout == parent + "\n"
    assert (found.trace_id, found.parent, found.trace_state) == (TRACE, parent, "a=1")
    assert not TRACE.startswith(found.id)


def test_a_parent_that_is_none(rheostat: Rheostat) -> None:
    """The run begins a trace of its own, and says so."""
    rheostat.write("job.py", "pass\n")
    done = rheostat.run("job.py", env={"TRACEPARENT": "x"})
    found = info(rheostat)

    assert found.trace_id.startswith(found.id)
    assert (found.parent or "", "TRACEPARENT is not a valid traceparent" in done.stderr) == (
        "",
        True,
    )


def test_secrets_reach_agents_alone(rheostat: Rheostat, tmp_path: Path) -> None:
    """A header's value is in the environment of the agent, and in no command line, no file and not in the program."""
    headers = tmp_path / "headers"
    headers.write_text("x-key: hush-hush\n")
    rheostat.write(
        "job.py", "import os, sys\nsys.stdin.read()\nassert 'hush' not in str(os.environ)\n"
    )
    options = ("--endpoint", "http://127.0.0.1:1", "--headers-from", str(headers))
    process = rheostat.start("job.py", options=options, stdin=subprocess.PIPE)
    directory = rheostat.await_run()
    agent = rheostat.await_agent()
    environment = Path(f"/proc/{agent}/environ").read_bytes()
    seen = processes_with("hush-hush")
    done = rheostat.finish(process)

    assert b"OTEL_EXPORTER_OTLP_HEADERS=x-key=hush-hush\0" in environment
    assert not seen
    assert done.returncode == 0
    assert "hush" not in done.stdout + done.stderr
    rheostat.await_no_agents()
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hush" in path.read_bytes()]


def test_the_users_file_reaches_later_agents(rheostat: Rheostat) -> None:
    """What `run` finds in the user's own file, it hands to its agent."""
    own = rheostat.folder / "config/rheostat/rheostat.toml"
    own.parent.mkdir(parents=True)
    own.write_text("endpoint = 'http://127.0.0.1:1/x'\n")
    rheostat.write("job.py", "pass\n")
    rheostat.run("job.py")

    assert info(rheostat).destinations == [
        "traces http/protobuf http://127.0.0.1:1/x/v1/traces",
        "logs http/protobuf http://127.0.0.1:1/x/v1/logs",
    ]


@pytest.mark.parametrize(
    ("text", "is_parsed"), [("[project]\nname = 'x'\n", False), ("[tool.rheostat]\n", True)]
)
def test_nothing_is_parsed_in_vain(rheostat: Rheostat, text: str, is_parsed: bool) -> None:
    """The parser of TOML costs time: it is imported where there is something of ours to parse."""
    rheostat.write("pyproject.toml", text)
    code = (
        "import os, sys\nfrom rheostat_agent.configuration.settings import Configuration\n"
        "c = Configuration({}, os.environ); c.read_project(os.getcwd(), os.getcwd()); c.read_own()\n"
        "print({'tomllib', 're', 'typing', 'dataclasses'} & sys.modules.keys() != set())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        check=True, capture_output=True, text=True, timeout=30, cwd=rheostat.project,
        env={"HOME": str(rheostat.folder), "PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert done.stdout == f"{is_parsed}\n"

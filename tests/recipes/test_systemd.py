"""docs/recipes/systemd.md and packaging/systemd: checked by systemd itself, and run with a unit's environment."""

import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from recipe import REPOSITORY, Host, block, blocks

UNITS = REPOSITORY / "packaging" / "systemd"
TIMERS = {"etl.timer": "etl.service", "rheostat-send@.timer": "rheostat-send@.service"}


def parsed(text: str) -> ConfigParser:
    """Return the sections of a unit."""
    unit = ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it
    unit.read_string(text)
    return unit


@pytest.mark.parametrize(("number", "name"), [(0, "etl.service"), (1, "rheostat-send@.service")])
def test_the_document_shows_the_files(number: int, name: str) -> None:
    """What the recipe shows is what lies in packaging/systemd, but for the comment."""
    file = (UNITS / name).read_text()

    assert "".join(file.splitlines(True)[1:]) == blocks("systemd", "ini")[number]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("name", ["etl", "rheostat-send@"])
def test_systemd_accepts_the_units(host: Host, name: str) -> None:
    """`systemd-analyze verify` has nothing to say of service and timer."""
    folder = host.folder / "units"
    folder.mkdir()
    for file in UNITS.iterdir():
        (folder / file.name).write_text(host.here(file.read_text()))
    instance = name.replace("@", "@root")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"./{instance}.service", f"./{instance}.timer"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "etl" in line or "rheostat" in line]

    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize(("timer", "service"), TIMERS.items())
def test_a_timer_starts_its_service(timer: str, service: str) -> None:
    """Both have the same name, as systemd wants it, and the timer says when."""
    assert Path(timer).stem == Path(service).stem
    assert (UNITS / service).exists()
    unit = parsed((UNITS / timer).read_text())
    assert any(key.startswith("On") for key in unit["Timer"])
    assert unit["Install"]["WantedBy"] == "timers.target"


def start(host: Host, name: str) -> tuple[int, str, str]:
    """Run what a unit says, as the manager would: its variables, its command without a shell; then kill what it left."""
    unit = parsed(host.here((UNITS / name).read_text()))
    pairs = (line.split("=", 1) for line in host.here(block("systemd", "env")).split())
    environment = host.environment(INVOCATION_ID="0123456789abcdef", **dict(pairs))
    done = host.run(shlex.split(unit["Service"]["ExecStart"]), environment)
    host.kill_agents()
    return done.returncode, done.stdout, done.stderr


def test_the_job_is_delivered_when_its_unit_ends(host: Host) -> None:
    """Under systemd the launcher waits for delivery: what it leaves behind is killed with the unit."""
    status, out, _ = start(host, "etl.service")

    assert (status, out) == (0, "loaded yesterday\n")
    assert "etl.load" in host.names()


def test_the_second_unit_sends_what_is_left(host: Host) -> None:
    """Its status is 1 as long as something is left, and 0 once the backend has it."""
    host.backend.down()
    assert start(host, "etl.service")[0] == 0
    failed, _, _ = start(host, "rheostat-send@.service")
    host.backend.up()
    sent, _, _ = start(host, "rheostat-send@.service")

    assert (failed, sent) == (1, 0)
    assert "etl.load" in host.names()

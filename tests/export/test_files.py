"""A run as a file: the same spans as a backend gets, in formats that others read."""

import json
import os
import signal
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from backend import Backend
from running import RHEOSTAT, Rheostat, wait_until
from seen import read_lines

JOB = """
import os, sys, threading

class Broken(Exception):
    pass

def load(text):
    return int(text)

def worker():
    try:
        load("x")
    except ValueError:
        pass

def numbers():
    yield 1
    yield 2

def fail():
    raise Broken("no such day")

def main():
    thread = threading.Thread(target=worker, name="w\\u00f6rker \\U0001f40d")
    thread.start()
    thread.join()
    list(numbers())
    if os.fork() == 0:
        load("1")
        os._exit(0)
    os.wait()
    fail()

main()
"""


@pytest.fixture
def job(rheostat: Rheostat) -> Rheostat:
    """A run with a thread, a generator, a fork, an exception that was handled, and one that ended it."""
    rheostat.write("job.py", JOB)
    assert rheostat.run("job.py").returncode == 1
    rheostat.await_complete()
    return rheostat


def exported(rheostat: Rheostat, form: str) -> str:
    """Return what `rheostat export` prints."""
    done = rheostat.command("export", "last", "--format", form)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_otlp_lines_are_what_a_backend_gets(rheostat: Rheostat, backend: Backend) -> None:
    """Every line parses as OTLP's JSON; spans, attributes, events and resources equal those that were sent."""
    # The text of an exception of the program's own is known at its end only, when its span may have been sent.
    rheostat.write("job.py", JOB.replace("raise Broken", "raise LookupError"))
    to_backend = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint}
    rheostat.run("job.py", options=("--export", "all"), env=to_backend)
    rheostat.await_complete()
    spans, _ = read_lines(exported(rheostat, "otlp-json"))
    sent = backend.spans()

    assert len(spans) == 8
    assert sorted(spans, key=lambda span: span.id) == sorted(sent, key=lambda span: span.id)


def test_otlp_lines_are_complete(job: Rheostat) -> None:
    """Each call and each process is there once."""
    history = job.await_complete()
    spans, _ = read_lines(exported(job, "otlp-json"))
    expected = [span.id for span in history.spans]
    expected += [process.span_id for process in history.processes.values()]

    assert sorted(span.id for span in spans) == sorted(expected)


def test_exceptions_are_log_records(job: Rheostat) -> None:
    """One for each exception, on the span in which it arose, with the attributes of the conventions."""
    spans, logs = read_lines(exported(job, "otlp-json"))
    names = {span.id: span.name for span in spans}
    found = {log.attributes["exception.type"]: log for log in logs}

    assert len(logs) == len(found) == 2
    assert {names[log.span] for log in logs} == {"job.load", "job.fail"}
    assert {log.trace for log in logs} == {spans[0].trace}
    assert {(log.event, log.severity) for log in logs} == {("exception", "SEVERITY_NUMBER_ERROR")}
    broken = found["__main__.Broken"]
    assert broken.attributes["exception.message"] == "no such day"
    assert broken.attributes["exception.stacktrace"].endswith("__main__.Broken: no such day")
    assert broken.resource["service.name"] == "job"


def test_perfetto_reads_it(job: Rheostat) -> None:
    """JSON with complete events and the names of processes and threads; every call is there."""
    history = job.await_complete()
    trace = json.loads(exported(job, "perfetto"))
    events = trace["traceEvents"]
    calls = [event for event in events if event["ph"] == "X"]
    names = {(event["name"], event["args"]["name"]) for event in events if event["ph"] == "M"}

    assert {event["ph"] for event in events} == {"X", "M"}
    assert sorted(event["name"] for event in calls) == sorted(map(history.name, history.spans))
    assert ("process_name", "job") in names
    assert {("thread_name", "MainThread"), ("thread_name", "wörker 🐍")} <= names
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in calls)


OVERLAPPING = """
import asyncio

def squares(numbers):
    for number in numbers:
        yield square(number)

def square(number):
    return number * number

async def fetch(number):
    await asyncio.sleep(0.001 * (5 - number))
    return await parse(number)

async def parse(number):
    await asyncio.sleep(0.001)
    return square(number)

async def main():
    return await asyncio.gather(*[fetch(number) for number in range(5)])

def consume():
    for number in squares(range(3)):
        square(number)

asyncio.run(main())
consume()
"""


def test_perfetto_nests(rheostat: Rheostat) -> None:
    """Of two calls on one track, one holds the other or is over before; tasks and generators have their own tracks."""
    rheostat.write("job.py", OVERLAPPING)
    rheostat.run("job.py")
    history = rheostat.await_complete()
    events = json.loads(exported(rheostat, "perfetto"))["traceEvents"]
    names = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["tid"]].append(event)

    assert sum(map(len, tracks.values())) == len(history.spans)
    assert sorted(names.values()) == ["MainThread", *(f"MainThread · {n}" for n in range(2, 6))]
    for found in tracks.values():
        assert_nested(found)
    (first,) = [track for track, name in names.items() if name == "MainThread"]
    assert [event["name"] for event in tracks[first]][-4:] == ["job.consume", *["job.square"] * 3]


def test_perfetto_tells_processes_and_threads_apart(job: Rheostat) -> None:
    """Each has a small number of its own, for Perfetto's are of 32 bits."""
    events = json.loads(exported(job, "perfetto"))["traceEvents"]
    tracks = {(event["pid"], event["tid"]) for event in events if event["ph"] == "X"}

    assert len(tracks) == 4  # two threads, a generator, the fork
    assert {pid for pid, _ in tracks} == {1, 2}
    assert max(tid for _, tid in tracks) == 4


def test_threads_one_after_the_other_share_a_track(rheostat: Rheostat) -> None:
    """Where the system gives a thread the number of one that has ended: a thousand tracks would be of no use."""
    rheostat.write(
        "job.py",
        "import threading\ndef work():\n    return 1\nfor n in range(50):\n"
        "    thread = threading.Thread(target=work, name=f'w{n}')\n    thread.start()\n    thread.join()\n",
    )
    rheostat.run("job.py")
    rheostat.await_complete()
    events = json.loads(exported(rheostat, "perfetto"))["traceEvents"]
    names = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    spans, _ = read_lines(exported(rheostat, "otlp-json"))
    told = [span.attributes["thread.name"] for span in spans if span.name == "job.work"]

    assert len(names) < 50
    assert any(name.endswith(", …") for name in names)
    assert sorted(told) == sorted(f"w{n}" for n in range(50))


def assert_nested(events: list[dict[str, Any]]) -> None:
    """Fail where two of *events* overlap and neither holds the other. Times are floats: a nanosecond is nothing."""
    open_ends: list[float] = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        end = event["ts"] + event["dur"]
        while open_ends and open_ends[-1] <= event["ts"] + 0.001:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1] + 0.001, event
        open_ends.append(end)


@pytest.mark.parametrize("form", ["otlp-json", "perfetto"])
def test_a_file_is_written(job: Rheostat, tmp_path: Path, form: str) -> None:
    """--output gets what would have been printed."""
    output = tmp_path / "out"
    done = job.command("export", "--format", form, "--output", str(output))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert output.read_text("utf-8") == exported(job, form)


@pytest.mark.parametrize("output", ["/nowhere/out", "/", "/dev/full"])
def test_a_place_that_cannot_be_written_is_named(job: Rheostat, output: str) -> None:
    """One line, 125."""
    done = job.command("export", "--output", output)

    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("rheostat: export: ")
    assert done.stderr.count("\n") == 1
    if output != "/dev/full":
        assert output in done.stderr


def test_it_waits_for_a_run_that_goes_on(rheostat: Rheostat) -> None:
    """The file is whole: export returns when the program has ended and all of it was read."""
    rheostat.write(
        "job.py",
        "import sys\ndef step():\n    return 1\nstep()\nprint('half', flush=True)\n"
        "sys.stdin.read()\nfor _ in range(999):\n    step()\n",
    )
    process = rheostat.start("job.py", stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    export = rheostat._start([RHEOSTAT, "export", "last"])
    wait_until(lambda: is_waiting(export.pid), "the export waits")
    assert export.poll() is None
    rheostat.finish(process)
    spans, _ = read_lines(rheostat.finish(export).stdout)

    assert len(spans) == 1001


def is_waiting(pid: int) -> bool:
    """Say whether a process sleeps, having imported what it needs."""
    status = Path(f"/proc/{pid}/status").read_text()
    maps = Path(f"/proc/{pid}/maps").read_text()
    return "State:\tS" in status and "sqlite" in maps


def test_an_agent_that_was_killed_is_replaced(rheostat: Rheostat) -> None:
    """A run whose agent was killed is read to its end for the export."""
    rheostat.write(
        "job.py", "import time\ndef step():\n    return 1\nfor _ in range(999):\n    step()\n"
    )
    process = rheostat.start("job.py", options=("--wait", "0"))
    os.kill(rheostat.await_agent(), signal.SIGKILL)
    rheostat.finish(process)
    spans, _ = read_lines(exported(rheostat, "otlp-json"))

    assert len(spans) == 1000


def test_a_reader_may_stop_early(rheostat: Rheostat) -> None:
    """`| head -1` ends quietly, however much there is."""
    rheostat.write("job.py", "def step():\n    return 1\nfor _ in range(20000):\n    step()\n")
    rheostat.run("job.py")
    for command in ("export", "export --format perfetto", "show --json"):
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"set -o pipefail; {RHEOSTAT} {command} | head -1; echo ${{PIPESTATUS[0]}}",
            ],
            capture_output=True,
            text=True,
            env=rheostat.environment(),
            timeout=60,
            check=False,
        )

        assert done.stderr == ""
        assert done.stdout.splitlines()[-1] == "0"


def test_texts_that_utf8_cannot_hold_are_exported(rheostat: Rheostat) -> None:
    """Lone surrogates and control characters do not make a file that others refuse."""
    rheostat.write(
        "odd.py",
        "def load():\n    raise ValueError('a\\udc80\\0\\x1b[31m\"\\n')\ntry:\n    load()\nexcept ValueError:\n    pass\n",
    )
    rheostat.run("odd.py")
    rheostat.await_complete()
    _, (log,) = read_lines(exported(rheostat, "otlp-json"))

    assert log.attributes["exception.message"].endswith('\x1b[31m"\n')
    assert json.loads(exported(rheostat, "perfetto"))

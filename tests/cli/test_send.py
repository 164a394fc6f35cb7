"""`rheostat send`: runs that no backend had, or not wholly."""

from collections.abc import Iterator

import pytest

from running import Rheostat, wait_until
from scripted import Answer
from sink import Sink

JOB = "import os\ndef step():\n    return 1\nfor _ in range(20):\n    step()\nos._exit(0)\n"
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend that is up."""
    with Sink() as made:
        yield made


@pytest.fixture
def recorded(rheostat: Rheostat) -> Rheostat:
    """A run of twenty calls that was meant for no backend."""
    rheostat.write("job.py", JOB)
    rheostat.run("job.py", options=("--export", "all"))
    rheostat.await_complete()
    return rheostat


def test_a_run_without_a_backend_is_sent_afterwards(recorded: Rheostat, sink: Sink) -> None:
    """`send RUN --endpoint` sends all of it, says so, and ends with status 0; sending again sends nothing."""
    done = recorded.command("send", "last", "--endpoint", sink.http)
    again = recorded.command("send", "last", "--endpoint", sink.http)

    assert (done.returncode, again.returncode) == (0, 0)
    assert (
        done.stdout
        == f"{recorded.last().name} job: 21 sent to traces http/protobuf {sink.http}/v1/traces\n"
    )
    assert (len(sink.spans()), len(sink.requests), sink.problems) == (21, 1, [])


def test_a_dead_backend_is_told(recorded: Rheostat) -> None:
    """What is left is counted, with the reason, and the status is 1."""
    done = recorded.command("send", "last", "--endpoint", DEAD)

    assert done.returncode == 1
    assert "21 items left (Connection refused)" in done.stdout
    assert "21 undelivered (Connection refused)" in recorded.command("runs").stdout


def test_what_is_refused_is_left(recorded: Rheostat, sink: Sink) -> None:
    """A refusal ends it at once, with status 1."""
    sink.default = Answer(401)
    done = recorded.command("send", "last", "--endpoint", sink.http)

    assert done.returncode == 1
    assert "21 items left (refused: 401 Unauthorized" in done.stdout
    assert len(sink.requests) == 1


def test_an_agent_at_work_is_waited_for(rheostat: Rheostat, sink: Sink) -> None:
    """While an agent still delivers, `send` waits, and then has nothing left to do."""
    sink.default = Answer(delay_s=1)
    rheostat.write("job.py", JOB.replace("20", "2000"))
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http}
    rheostat.run("job.py", options=("--export", "all", "--wait", "0"), env=environment)
    wait_until(lambda: sink.requests, "the agent delivers")
    done = rheostat.command("send", "last", env=environment)

    assert done.returncode == 0
    assert "2,001 sent to" in done.stdout
    assert (len(sink.spans()), sink.problems) == (2001, [])


def test_all_is_nothing_where_nothing_waits(recorded: Rheostat, sink: Sink) -> None:
    """`send --all` sends what was meant for a backend and is left, not what never was."""
    done = recorded.command("send", "--all", env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})

    assert (done.returncode, done.stderr, sink.requests) == (0, "nothing is waiting\n", [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say which: RUN (an id, or last), or --all"),
        (("last", "--all"), "say which: RUN (an id, or last), or --all"),
        (
            ("last",),
            "there is nowhere to send to: set OTEL_EXPORTER_OTLP_ENDPOINT, or --endpoint URL",
        ),
        (("nonesuch", "--endpoint", DEAD), "there are no runs yet"),
    ],
)
def test_what_makes_no_sense_is_told(rheostat: Rheostat, words: tuple[str, ...], told: str) -> None:
    """One line, status 125."""
    done = rheostat.command("send", *words)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
    assert told in done.stderr

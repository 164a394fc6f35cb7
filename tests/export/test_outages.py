"""Backends that are away, slow or hostile, under a whole run: the program does not notice, and nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Done, History, Rheostat, wait_until
from scripted import Answer
from sink import Sink

JOB = "import os\ndef step():\n    return 1\nfor _ in range({count}):\n    step()\nos._exit(7)\n"
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend that is up, and that may be sent a span twice."""
    with Sink(expects_resends=True) as made:
        yield made


def run(
    rheostat: Rheostat, endpoint: str, count: int, *options: str, **variables: str
) -> tuple[int, str]:
    """Run a program of *count* calls, all to be exported; return its status and what was said."""
    rheostat.write("job.py", JOB.format(count=count))
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **variables}
    done = rheostat.run("job.py", options=("--export", "all", *options), env=environment)
    return done.returncode, done.stderr


def ids(history: History) -> set[bytes]:
    """Return the ids of all spans of a run, as they are sent."""
    found = {span.id for span in history.spans}
    found |= {process.span_id for process in history.processes.values()}
    return {number.to_bytes(8, "big") for number in found}


def test_a_day_without_a_backend_loses_nothing(rheostat: Rheostat, sink: Sink) -> None:
    """Three runs end while the backend is away; once it is back, one command delivers them all."""
    sink.down()
    for _ in range(3):
        assert run(rheostat, sink.http, 600, "--wait", "0")[0] == 7
    directories = rheostat.directories()
    for directory in directories:
        left = rheostat.state / "unfinished" / directory.name
        wait_until(lambda left=left: b"undelivered" in left.read_bytes(), "its agent gives up", 90)
    sink.up()

    done = rheostat.command("send", "--all", env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})

    assert (done.returncode, done.stderr) == (0, "")
    expected = set().union(*(ids(rheostat.await_complete(each)) for each in directories))
    assert (set(sink.spans()), sink.problems) == (expected, [])


def test_each_request_is_bounded(rheostat: Rheostat, sink: Sink) -> None:
    """No request holds more spans than OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512 by default."""
    run(rheostat, sink.http, 3000, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100")
    history = rheostat.await_complete()

    assert set(sink.spans()) == ids(history)
    assert max(len(request.spans) for request in sink.requests) == 100


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_cannot_be_taken_now_is_sent_again(
    rheostat: Rheostat, sink: Sink, status: int
) -> None:
    """After a retryable status the same spans come again, and each is taken once."""
    sink.script(Answer(status), Answer(status))
    run(rheostat, sink.http, 100)
    history = rheostat.await_complete()

    assert set(sink.spans()) == ids(history)
    assert [request.is_taken for request in sink.requests].count(False) == 2
    assert sink.problems == []


def test_a_backend_that_says_when_is_listened_to(rheostat: Rheostat, sink: Sink) -> None:
    """Retry-After: 2 holds the next request back for two seconds."""
    sink.script(Answer(503, headers={"Retry-After": "2"}))
    run(rheostat, sink.http, 10)
    rheostat.await_complete()
    first, second = sink.requests[:2]

    assert second.at_s - first.at_s >= 2


@pytest.mark.parametrize("status", [400, 500])
def test_a_refused_request_is_not_sent_again(rheostat: Rheostat, sink: Sink, status: int) -> None:
    """It is counted and said; what comes behind it is sent; `rheostat send` sends it again."""
    sink.script(Answer(status))
    _, told = run(rheostat, sink.http, 1000)
    history = rheostat.await_complete()
    refused = {span.span_id for span in sink.requests[0].spans}

    assert set(sink.spans()) == ids(history) - refused
    assert f"refused by the backend: {len(refused)} spans, kept (refused: {status}" in told
    again = rheostat.command("send", "last", env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})
    assert (again.returncode, set(sink.spans())) == (0, ids(history))


@pytest.mark.parametrize("status", [401, 403, 415, 422])
def test_a_backend_that_takes_nothing_is_asked_once(
    rheostat: Rheostat, sink: Sink, status: int
) -> None:
    """Where every request would be refused, one is enough; the spans are kept, and that is said once."""
    sink.default = Answer(status)
    _, told = run(rheostat, sink.http, 5000)
    history = rheostat.await_complete()

    assert len(sink.requests) == 1
    assert told.count(f"(refused: {status}") == 1
    assert f"{len(ids(history)):,} spans, kept" in told
    assert (rheostat.last() / "agent.log").read_text().count(str(status)) == 1


def test_a_request_that_is_too_large_is_halved(rheostat: Rheostat, sink: Sink) -> None:
    """After 413 halves are sent, and all arrives."""
    sink.script(Answer(413), Answer(413))
    run(rheostat, sink.http, 511)
    history = rheostat.await_complete()
    sizes = [len(request.spans) for request in sink.requests]

    assert set(sink.spans()) == ids(history)
    assert sizes[1] == sizes[0] // 2
    assert sizes[2] == sizes[0] // 4


def test_a_backend_without_logs_has_them_turned_off(rheostat: Rheostat, sink: Sink) -> None:
    """A 404 for /v1/logs is said once and asked for once; the spans arrive, and the run counts as delivered."""
    rheostat.write("job.py", "open('nowhere')\n")
    with Sink(default=Answer(404)) as logs:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{logs.http}/v1/logs",
        }
        done = rheostat.run("job.py", env=environment)
        history = rheostat.await_complete()

        assert len(logs.requests) == 1
    assert set(sink.spans()) == ids(history)
    assert "delivered" not in done.stderr
    assert (rheostat.last() / "agent.log").read_text().count("it takes no logs (404") == 1


def test_a_dead_destination_does_not_hold_another(rheostat: Rheostat, sink: Sink) -> None:
    """Traces to a dead backend, logs to one that is up: the logs arrive, while the traces wait."""
    sink.down()
    with Sink() as logs:
        rheostat.write("job.py", "open('nowhere')\n")
        environment = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink.http}/v1/traces",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{logs.http}/v1/logs",
        }
        process = rheostat.start("job.py", env=environment)
        (request,) = logs.await_requests(1)
        done = rheostat.finish(process)

    assert request.path == "/v1/logs"
    assert "not delivered: 1 span, kept for a later try (Connection refused)" in done.stderr


def test_the_console_gets_a_line_for_each_request(rheostat: Rheostat, sink: Sink) -> None:
    """OTEL_TRACES_EXPORTER=otlp,console: OTLP's JSON on standard error, and the backend gets the spans too."""
    _, told = run(rheostat, sink.http, 3, OTEL_TRACES_EXPORTER="otlp,console")
    history = rheostat.await_complete()
    lines = [line for line in told.splitlines() if line.startswith('{"resourceSpans":')]

    assert set(sink.spans()) == ids(history)
    assert all(each.hex() in "".join(lines) for each in ids(history))


def test_an_agent_killed_while_it_delivers_is_followed_by_another(
    rheostat: Rheostat, sink: Sink
) -> None:
    """What it had sent may come again, the same bytes; everything comes."""
    sink.default = Answer(delay_s=0.1)
    process = rheostat.start(
        str(rheostat.write("job.py", JOB.format(count=4000))),
        options=("--export", "all", "--wait", "0"),
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http},
    )
    sink.await_requests(2)
    rheostat.finish(process)
    for pid in rheostat.agents():
        os.kill(pid, signal.SIGKILL)
    rheostat.await_no_agents()

    rheostat.command("runs", env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})
    history = rheostat.await_complete()

    assert set(sink.spans()) == ids(history)
    assert sink.problems == []


def test_another_backend_does_not_get_the_run(rheostat: Rheostat, sink: Sink) -> None:
    """A command in an environment that names another backend leaves the run to the one that it was meant for."""
    sink.down()
    run(rheostat, sink.http, 5, "--wait", "0")
    directory = rheostat.last()
    left = rheostat.state / "unfinished" / directory.name
    wait_until(lambda: b"undelivered" in left.read_bytes(), "its agent gives up", 90)
    with Sink() as other:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": other.http}
        rheostat.command("runs", env=environment)
        told = rheostat.command("send", "--all", env=environment)
        rheostat.await_no_agents()

        assert other.requests == []
    assert told.returncode == 0
    assert f"{directory.name} job: not sent: it was meant for another backend" in told.stdout
    assert left.exists()


def is_container_possible() -> bool:
    """Say whether a process name space may be made here."""
    return os.system(" ".join([*CONTAINER, "true"])) == 0


@pytest.mark.skipif(not is_container_possible(), reason="may not make a name space")
class TestFirstProcess:
    """The run as PID 1 of a container, whose end is the agent's too."""

    def run(self, rheostat: Rheostat, sink: Sink, count: int) -> Done:
        """Run a program of *count* calls as the first process."""
        rheostat.write("job.py", JOB.format(count=count))
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http}
        options = ("--export", "all")
        return rheostat.run("job.py", options=options, env=environment, inside=CONTAINER)

    def test_a_slow_backend_gets_everything(self, rheostat: Rheostat, sink: Sink) -> None:
        """A backend that takes three seconds for each of six requests or more has it all when the container ends."""
        sink.default = Answer(delay_s=3)
        done = self.run(rheostat, sink, 2999)

        assert done.returncode == 7
        assert set(sink.spans()) == ids(History(rheostat.last()))
        assert len(sink.requests) >= 6

    def test_a_dead_backend_holds_it_for_ten_seconds(self, rheostat: Rheostat, sink: Sink) -> None:
        """Then the container ends, and standard error says how many spans are undelivered."""
        sink.down()
        before = time.monotonic()
        done = self.run(rheostat, sink, 99)

        assert done.returncode == 7
        assert 10 <= time.monotonic() - before < 20
        assert "not delivered: 100 spans, kept for a later try (Connection refused)" in done.stderr


def test_a_directory_of_the_state_tells_no_secret(rheostat: Rheostat, sink: Sink) -> None:
    """The values of headers reach the backend, and no file that is kept."""
    secret = "s3cr3t-value-of-a-header"
    run(rheostat, sink.http, 5, OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{secret}")
    rheostat.await_complete()
    rheostat.await_no_agents()
    files = [path for path in Path(rheostat.state).rglob("*") if path.is_file()]

    assert sink.requests[0].headers["authorization"] == f"Bearer {secret}"
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]

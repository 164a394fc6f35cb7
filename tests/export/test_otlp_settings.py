"""What a user sets in OTEL_* variables holds, and programs that end badly are told as the conventions ask."""

import pytest

from backend import Backend
from running import Rheostat
from seen import SeenSpan

pytestmark = pytest.mark.usefixtures("exports_all")


def run_one(rheostat: Rheostat, backend: Backend, **environment: str) -> SeenSpan:
    """Run a program of one call; return its span as the backend has it."""
    rheostat.write("one.py", "def load():\n    return 1\nload()\n")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint, **environment}
    assert rheostat.run("one.py", env=variables).returncode == 0
    rheostat.await_complete()
    (found,) = [span for span in backend.spans() if span.name == "one.load"]
    return found


def test_a_program_that_went_well_is_no_error(rheostat: Rheostat, backend: Backend) -> None:
    """Exit code 0, no error.type, no status."""
    run_one(rheostat, backend)
    (root,) = [span for span in backend.spans() if span.parent is None]

    assert root.attributes["process.exit.code"] == 0
    assert (root.status, "error.type" in root.attributes) == ("", False)


def test_a_program_killed_by_a_signal_names_it(rheostat: Rheostat, backend: Backend) -> None:
    """Its span, and the calls that it left open, have the signal as error.type, and end with it."""
    rheostat.write("killed.py", "import os\ndef die():\n    os.kill(os.getpid(), 9)\ndie()\n")
    done = rheostat.run("killed.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
    rheostat.await_complete()
    root, die = sorted(backend.spans(), key=lambda span: span.start_ns)

    assert done.returncode == -9
    assert root.attributes["error.type"] == die.attributes["error.type"] == "SIGKILL"
    assert root.attributes["rheostat.process.signal"] == "SIGKILL"
    assert root.attributes["process.exit.code"] == 128 + 9
    assert (root.status, die.status) == ("STATUS_CODE_ERROR", "STATUS_CODE_ERROR")
    assert die.attributes["rheostat.ended_by_agent"] is True
    assert die.start_ns < die.end_ns <= root.end_ns


def test_the_text_of_a_fatal_exception_is_told(rheostat: Rheostat, backend: Backend) -> None:
    """A text that only the end of the program reveals describes the program's span."""
    rheostat.write(
        "fail.py",
        "class Broken(Exception):\n    pass\ndef load():\n    raise Broken('no such day')\nload()\n",
    )
    rheostat.run("fail.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
    rheostat.await_complete()
    root, load = sorted(backend.spans(), key=lambda span: span.start_ns)

    assert (root.description, root.attributes["error.type"]) == ("no such day", "__main__.Broken")
    assert (root.events, len(load.events)) == ([], 1)


def test_the_name_of_the_service_is_the_users(rheostat: Rheostat, backend: Backend) -> None:
    """OTEL_SERVICE_NAME wins over the script's name and over OTEL_RESOURCE_ATTRIBUTES."""
    span = run_one(
        rheostat,
        backend,
        OTEL_SERVICE_NAME="nightly",
        OTEL_RESOURCE_ATTRIBUTES="service.name=other,team=a%2Cb%20c,deployment.environment.name=test",
    )

    assert span.resource["service.name"] == "nightly"
    assert span.resource["team"] == "a,b c"
    assert span.resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize("value", ["team=a,nonsense", "team=a,=b", "team=a,x=%ff"])
def test_malformed_resource_attributes_are_ignored(
    rheostat: Rheostat, backend: Backend, value: str
) -> None:
    """One malformed part discards the whole variable, and nothing else."""
    span = run_one(rheostat, backend, OTEL_RESOURCE_ATTRIBUTES=value)

    assert "team" not in span.resource
    assert span.resource["service.name"] == "one"


def test_headers_are_sent(rheostat: Rheostat, backend: Backend) -> None:
    """OTEL_EXPORTER_OTLP_HEADERS come with every request, decoded."""
    run_one(rheostat, backend, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a,authorization=Bearer%20t")

    for request in backend.requests():
        headers = {name.lower(): value for name, value in request["headers"].items()}
        assert (headers["x-tenant"], headers["authorization"]) == ("a", "Bearer t")


def test_bodies_are_protobuf(rheostat: Rheostat, backend: Backend) -> None:
    """The default is http/protobuf, to the path of traces."""
    run_one(rheostat, backend)

    for request in backend.requests():
        assert request["url"].endswith("/v1/traces")
        assert request["headers"]["Content-Type"] == "application/x-protobuf"


def test_an_endpoint_for_traces_alone_will_do(rheostat: Rheostat, backend: Backend) -> None:
    """OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is."""
    traces = f"{backend.endpoint}/v1/traces"
    span = run_one(
        rheostat,
        backend,
        OTEL_EXPORTER_OTLP_ENDPOINT="",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=traces,
    )

    assert span.name == "one.load"


@pytest.mark.parametrize(
    "variable", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {}]
)
def test_nothing_is_sent_to_nobody(
    rheostat: Rheostat, backend: Backend, variable: dict[str, str]
) -> None:
    """Without a backend, or with telemetry turned off, the program runs and no request is made."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint} if variable else {}
    rheostat.write("one.py", "def load():\n    print('done')\nload()\n")
    done = rheostat.run("one.py", env={**endpoint, **variable})
    rheostat.await_no_agents()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "not delivered" not in done.stderr
    assert backend.requests() == []


def test_texts_that_utf8_cannot_hold_are_delivered(rheostat: Rheostat, backend: Backend) -> None:
    """A message with a lone surrogate and a NUL reaches the backend, as far as it can be told."""
    rheostat.write(
        "odd.py",
        "def load():\n    raise ValueError('a\\udc80b\\0c')\ntry:\n    load()\nexcept ValueError:\n    pass\n",
    )
    rheostat.run("odd.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
    rheostat.await_complete()
    (span,) = [span for span in backend.spans() if span.name == "odd.load"]

    message = span.events[0][2]["exception.message"]
    assert (message[0], message[-2:], set(message)) == ("a", "bc", set("abc\ufffd"))


def test_many_spans_are_sent_in_batches(rheostat: Rheostat, backend: Backend) -> None:
    """Thousands of spans all arrive, none twice, at most 512 and the processes in a request."""
    rheostat.write("many.py", "def step():\n    return 1\nfor _ in range(3000):\n    step()\n")
    rheostat.run("many.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
    rheostat.await_complete()
    spans = backend.spans()

    assert len(spans) == len({span.id for span in spans}) == 3001
    assert len(backend.requests()) >= 6


def test_no_planted_secret_is_sent(rheostat: Rheostat, backend: Backend) -> None:
    """Of what command lines had to hide, no byte is in any request."""
    secret = "s3cr3t-Planted"
    rheostat.write("child.py", "def work():\n    return 1\nwork()\n")
    rheostat.write(
        "job.py",
        "import subprocess, sys\ndef start():\n"
        f"    subprocess.run([sys.executable, 'child.py', '--token={secret}'])\nstart()\n",
    )
    words = ["--password", secret, f"API_KEY={secret}", f"postgres://u:{secret}@h/db"]
    rheostat.run("job.py", *words, env={"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint})
    rheostat.await_complete()

    assert len(backend.spans()) == 4
    assert not any(secret.encode() in request["body"] for request in backend.requests())

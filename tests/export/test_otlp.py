"""One program in a real backend: every span, its place, its attributes, and the resource around it."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from backend import Backend
from rheostat import __version__
from running import Done, History, rheostat_fixture
from seen import SeenSpan

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
DEPRECATED = {"code.function", "code.namespace", "code.filepath", "code.lineno", "code.column"}

JOB = """
import os, subprocess, sys, threading

def numbers(count):
    for number in range(count):
        yield number

def add_up():
    return sum(numbers(10))

def parse(text):
    return int(text)

def parse_or_none(text):
    try:
        return parse(text)
    except ValueError:
        return None

def in_fork():
    return 1

def fork():
    pid = os.fork()
    if pid == 0:
        in_fork()
        os._exit(0)
    os.waitpid(pid, 0)

def start(script):
    subprocess.run([sys.executable, script])

def main():
    thread = threading.Thread(target=add_up, name="adder")
    thread.start()
    thread.join()
    parse_or_none("x")
    fork()
    start("child.py")
    sys.exit(3)

main()
"""
CHILD = "def work():\n    return 1\nwork()\n"


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of one run: in the backend, and in the history."""

    done: Done
    spans: list[SeenSpan]
    history: History
    project: Path

    def named(self, name: str) -> SeenSpan:
        """Return the one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def process(self, name: str) -> SeenSpan:
        """Return the span of the process that the history calls *name*, the first of them."""
        id_ = next(one.span_id for one in self.history.processes.values() if one.name == name)
        (found,) = [span for span in self.spans if span.id == id_]
        return found


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, shared_backend: Backend) -> Iterator[Observed]:
    """A program with a thread, a generator, a fork, two children, an exception, and exit status 3."""
    for rheostat in rheostat_fixture(tmp_path_factory.mktemp("job")):
        rheostat.variables["RHEOSTAT_EXPORT"] = "all"
        rheostat.write("job.py", JOB)
        rheostat.write("child.py", CHILD)
        make_repository(rheostat.project)
        shared_backend.clear()
        done = rheostat.run("job.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": shared_backend.endpoint})
        history = rheostat.await_complete()
        yield Observed(done, shared_backend.spans(), history, rheostat.project)


def make_repository(folder: Path) -> None:
    """Make *folder* a repository as git would: one branch, one commit, one remote."""
    git = folder / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/topic\n")
    (git / "refs/heads/topic").write_text("0123456789abcdef0123456789abcdef01234567\n")
    url = "https://user:pa55word@git.example.org/team/jobs.git"
    (git / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')


def test_the_backend_has_every_span_of_the_history_once(job: Observed) -> None:
    """Calls and processes, no more and no less, with the ids, parents and times that the history has."""
    ours = [(one.id, one.parent, one.start_ns, one.end_ns) for one in job.history.spans]
    ours += [
        (one.span_id, one.parent_span_id, one.start_ns, one.end_ns)
        for one in job.history.processes.values()
    ]
    theirs = [(one.id, one.parent, one.start_ns, one.end_ns) for one in job.spans]

    assert job.done.returncode == 3
    assert sorted(theirs, key=str) == sorted(ours, key=str)


def test_a_run_is_one_trace(job: Observed) -> None:
    """All spans have the trace of the run, whose first digits are its id."""
    (trace,) = {span.trace for span in job.spans}

    assert trace.startswith(job.history.directory.name)


def test_spans_hang_where_they_were_called(job: Observed) -> None:
    """Calls hang below their callers, a thread's below its starter's, a fork's process below the call that forked."""
    by_id = {span.id: span for span in job.spans}

    def chain(span: SeenSpan) -> list[str]:
        above = by_id.get(span.parent) if span.parent is not None else None
        return [*(chain(above) if above else []), span.name]

    python = os.path.basename(job.history.processes[1].executable or "")
    assert chain(job.named("job.parse")) == [python, "job.main", "job.parse_or_none", "job.parse"]
    assert chain(job.named("job.in_fork")) == [
        python,
        "job.main",
        "job.fork",
        python,
        "job.in_fork",
    ]
    assert chain(job.named("child.work"))[-2:] == [python, "child.work"]
    assert chain(job.named("job.numbers")) == [python, "job.main", "job.add_up", "job.numbers"]


def test_all_spans_are_internal_and_of_our_scope(job: Observed) -> None:
    """Nothing here is a request to another service; scope and schema are told."""
    assert {span.kind for span in job.spans} == {"SPAN_KIND_INTERNAL"}
    assert {span.scope for span in job.spans} == {("rheostat", __version__)}
    assert {span.schemas for span in job.spans} == {(SCHEMA, SCHEMA)}


def test_a_call_tells_its_function_and_thread(job: Observed) -> None:
    """code.* say where the function is, thread.* who called it."""
    numbers, parse = job.named("job.numbers"), job.named("job.parse")

    assert numbers.attributes["code.function.name"] == "job.numbers"
    assert numbers.attributes["code.file.path"] == str(job.project / "job.py")
    assert numbers.attributes["code.line.number"] == 4
    assert numbers.attributes["thread.name"] == "adder"
    assert parse.attributes["thread.name"] == "MainThread"
    assert parse.attributes["thread.id"] != numbers.attributes["thread.id"]
    assert isinstance(parse.attributes["thread.id"], int)


def test_a_generator_tells_its_items(job: Observed) -> None:
    """How many items it gave, and for how long it was suspended."""
    attributes = job.named("job.numbers").attributes

    assert attributes["rheostat.generator.items"] == 10
    assert 0 < attributes["rheostat.generator.suspended_ns"]


def test_no_deprecated_attribute_is_used(job: Observed) -> None:
    """None of the names that the semantic conventions have replaced."""
    used = {name for span in job.spans for name in span.attributes}
    used |= {name for span in job.spans for _, _, more in span.events for name in more}

    assert not used & (DEPRECATED | {"exception.escaped"})


def test_an_exception_is_told_once_where_it_arose(job: Observed) -> None:
    """One event on the call that raised; the caller that handled it is no error."""
    parse = job.named("job.parse")
    ((name, time_ns, event),) = parse.events

    assert name == "exception"
    assert parse.start_ns <= time_ns <= parse.end_ns
    assert event["exception.type"] == "ValueError"
    assert event["exception.message"] == "invalid literal for int() with base 10: 'x'"
    assert event["exception.stacktrace"].splitlines()[-2:] == [
        f'  File "{job.project}/job.py", line 12, in parse',
        "ValueError: invalid literal for int() with base 10: 'x'",
    ]
    assert (parse.status, parse.attributes["error.type"]) == ("STATUS_CODE_ERROR", "ValueError")
    assert job.named("job.parse_or_none").status == ""
    assert "error.type" not in job.named("job.parse_or_none").attributes


def test_the_exception_that_ends_the_program_is_told_once(job: Observed) -> None:
    """Its event is on the call in which it arose, not on the program as well."""
    ends = [
        span.name
        for span in job.spans
        for _, _, event in span.events
        if event["exception.type"] == "SystemExit"
    ]

    assert ends == ["job.main"]


def test_the_root_span_is_the_program(job: Observed) -> None:
    """Named by its executable, with pid, exit code and error as the conventions for called programs ask."""
    (root,) = [span for span in job.spans if span.parent is None]
    executable = job.history.processes[1].executable or ""

    assert root.name == os.path.basename(executable)
    assert root.attributes["process.executable.name"] == root.name
    assert root.attributes["process.executable.path"] == executable
    assert root.attributes["process.pid"] == job.history.processes[1].pid
    assert root.attributes["process.exit.code"] == 3
    assert root.attributes["error.type"] == "SystemExit"
    assert (root.status, root.description) == ("STATUS_CODE_ERROR", "3")


def test_the_resource_is_process_host_and_code(job: Observed) -> None:
    """service, host, os, process, telemetry and vcs, under the names of the conventions."""
    resource = job.named("job.main").resource
    expected = {
        "service.name": "job",
        "service.instance.id": job.history.directory.name,
        "host.name": platform.node(),
        "os.type": "linux",
        "os.version": platform.release(),
        "process.pid": job.history.processes[1].pid,
        "process.runtime.name": "cpython",
        "process.runtime.version": platform.python_version(),
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        "telemetry.distro.name": "rheostat",
        "telemetry.distro.version": __version__,
        "vcs.ref.head.name": "topic",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": "0123456789abcdef0123456789abcdef01234567",
        "vcs.repository.url.full": "https://git.example.org/team/jobs.git",
        "vcs.repository.name": "jobs",
    }

    assert {name: resource.get(name) for name in expected} == expected
    assert resource["host.arch"] in ("amd64", "arm64")


def test_each_process_is_its_own_resource(job: Observed) -> None:
    """The calls of a child carry the child's pid, under the same service."""
    main, work = job.named("job.main"), job.named("child.work")

    assert work.resource["process.pid"] == job.process("child").attributes["process.pid"]
    assert work.resource["process.parent_pid"] == main.resource["process.pid"]
    assert work.resource["service.instance.id"] == main.resource["service.instance.id"]

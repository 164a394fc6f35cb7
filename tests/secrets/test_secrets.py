"""T9: of more than two hundred planted secrets none leaves the observed process, whichever way it is observed.

Looked through is all that Rheostat writes, shows or sends: the spool while the program runs, the run's directory and the
index, what a backend receives, what the commands print, and the command lines of our own processes.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from corpus import Planted, corpus
from google.rpc.status_pb2 import Status

from rheostat_agent.history.query import HistoryMissing
from running import Done, History, Rheostat, processes_with, wait_until
from scripted import Answer
from sink import Sink

PROGRAM = Path(__file__).parent / "program.py"
COMMANDS = (
    ("show",), ("show", "--errors"), ("show", "--json"), ("show", "--skipped"), ("show", "--what-is-sent"), ("runs",),
    ("runs", "--json"), ("export",), ("config",),
)  # fmt: skip


def found_in(data: bytes, secrets: list[Planted]) -> list[str]:
    """Return the secrets of which at least half stands in *data*."""
    found = []
    for one in secrets:
        half = max(8, len(one.core) // 2)
        pieces = (one.core[:half].encode(), one.core[-half:].encode())
        if any(piece in data for piece in pieces):
            found.append(f"{one.place}: {one.text[:60]}")
    return found


def found_below(folder: Path, secrets: list[Planted]) -> list[str]:
    """Return where below *folder* a secret stands, and which."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        f"{path.name}: {where}" for path in files for where in found_in(path.read_bytes(), secrets)
    ]


def is_read(directory: Path) -> bool:
    """Say whether all of a run is in its history."""
    try:
        return History(directory).is_complete
    except HistoryMissing:
        return False


class Bench:
    """One run of the program, with its secrets."""

    def __init__(self, rheostat: Rheostat, folder: Path) -> None:
        self.rheostat = rheostat
        self.secrets = corpus()
        self.folder = folder / "program"
        self.folder.mkdir()
        self.ready, self.go = self.folder / "ready", self.folder / "go"
        planted = self.folder / "planted.json"
        planted.write_text(json.dumps([(one.place, one.text) for one in self.secrets]))
        rheostat.write("job.py", PROGRAM.read_text())
        self.variables = {"PLANTED": str(planted), "READY": str(self.ready), "GO": str(self.go)}
        for number, text in enumerate(self.texts("environment")):
            self.variables[f"SERVICE_{number}_TOKEN"] = text

    def texts(self, *places: str) -> list[str]:
        """Return what stands in *places*."""
        return [one.text for one in self.secrets if one.place in places]

    def words(self) -> list[str]:
        """Return the program's arguments."""
        options = [word for text in self.texts("option") for word in text.split(" ", 1)]
        return [*options, *self.texts("argv")]

    def run(self, options: tuple[str, ...], env: dict[str, str]) -> tuple[Done, Path]:
        """Run the program to its end; return how it ended, and a copy of the spool from before."""
        process = self.rheostat.start(
            "job.py", *self.words(), options=options, env={**self.variables, **env}
        )
        agent = self.rheostat.await_agent()
        os.kill(agent, signal.SIGSTOP)  # it removes what it has read
        wait_until(
            lambda: self.ready.exists() or process.poll() is not None, "the program is ready"
        )
        copy = self.folder / "spool"
        shutil.copytree(self.rheostat.last() / "spool", copy)
        spool = b"".join(path.read_bytes() for path in copy.iterdir())
        assert spool.count(b"***") > len(self.texts("error"))  # all of it is there
        self.check_processes()
        os.kill(agent, signal.SIGCONT)
        self.go.touch()
        return self.rheostat.finish(process), copy

    def check_processes(self) -> None:
        """Fail if a process of ours shows a secret; the launcher shows the command that the user typed."""
        lines = [
            Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_with("rheostat_agent")
        ]
        assert lines
        assert [where for line in lines for where in found_in(line, self.secrets)] == []
        for text in self.texts("header", "environment"):
            assert processes_with(text) == []

    def headers(self) -> str:
        """Return what OTEL_EXPORTER_OTLP_HEADERS is to be."""
        one, two, three = self.texts("header")
        return f"authorization=Bearer%20{one},x-api-key={two},x-tenant={three}"

    def check_all(self, done: Done, copy: Path, env: dict[str, str]) -> None:
        """Fail if a secret stands in anything that is kept or shown."""
        secrets = self.secrets
        assert found_in(done.stderr.encode(), secrets) == []
        assert found_below(copy, secrets) == []
        assert found_below(self.rheostat.state, secrets) == []
        for words in COMMANDS:
            shown = self.rheostat.command(*words, env=env)
            assert (words, shown.returncode) == (words, 0), shown.stderr
            assert found_in(f"{shown.stdout}{shown.stderr}".encode(), secrets) == [], words


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("captures", [False, True], ids=["", "capture"])
def test_no_secret_leaves_the_process(
    rheostat: Rheostat, tmp_path: Path, captures: bool, protocol: str
) -> None:
    """Neither in spool, history, index and log, nor in what is shown or sent, whether or not arguments are captured."""
    bench = Bench(rheostat, tmp_path)
    assert len(bench.secrets) >= 200
    with Sink() as sink:
        address = sink.grpc if protocol == "grpc" else sink.http
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_HEADERS": bench.headers(),
        }
        options = ("--export", "all", *(("--capture-args",) if captures else ()))
        done, copy = bench.run(options, env)
        history = rheostat.await_complete()
        rheostat.await_no_agents()
        requests = list(sink.requests)
    assert done.returncode == 1
    assert found_in(b"".join(one.body for one in requests), bench.secrets) == []
    bench.check_all(done, copy, env)
    # It was there to be seen: otherwise all of this would say nothing.
    sent = {span.name for one in requests for span in one.spans}
    keys = {pair.key for one in requests for span in one.spans for pair in span.attributes}
    assert {"job.given", "job.named", "job.fails", "job.items", "job.waits"} <= sent
    assert ("rheostat.call.argument.value" in keys) == captures
    assert len(history.processes) == 4
    messages = [error.message or "" for error in history.errors.values()]
    assert sum("***" in message for message in messages) >= len(bench.texts("error"))
    assert all(one.headers.get("authorization", "").startswith("Bearer ") for one in requests)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nor_where_delivery_fails(rheostat: Rheostat, tmp_path: Path, protocol: str) -> None:
    """An address with a password and a key in it, headers that cannot be sent, a backend that repeats what it was sent."""
    bench = Bench(rheostat, tmp_path)
    one, two, three = bench.texts("header")
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{one}@127.0.0.1:9/x?api-key={two}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key=%0A{three},bad%20name={three},=%ZZ{three},{three}",
    }
    done, copy = bench.run(("--wait", "0"), env)
    wait_until(lambda: is_read(rheostat.last()), "all is read")
    assert done.returncode == 1
    bench.check_all(done, copy, env)


@pytest.mark.parametrize("kind", ["application/x-protobuf", "text/plain"])
def test_nor_where_a_backend_repeats_it(rheostat: Rheostat, tmp_path: Path, kind: str) -> None:
    """A backend that refuses a request, with the headers in its answer."""
    bench = Bench(rheostat, tmp_path)
    one, two, three = bench.texts("header")
    text = f"bad credentials Bearer {one}, X-Api-Key: {two} from {three}"
    answer = Status(message=text).SerializeToString() if "proto" in kind else text.encode()
    refusal = Answer(401, answer, {"Content-Type": kind})
    with Sink(default=refusal) as sink:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http,
            "OTEL_EXPORTER_OTLP_HEADERS": bench.headers(),
        }
        done, copy = bench.run((), env)
        rheostat.await_complete()
        rheostat.await_no_agents()
    bench.check_all(done, copy, env)

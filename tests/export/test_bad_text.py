"""Texts that UTF-8 cannot hold, wherever a program may have them: everything beside them arrives, and they do as far as they can."""

import os

from running import Rheostat
from sink import Sink

JOB = """
import threading

class Odd(Exception):
    pass

Odd.__qualname__ = "Odd\\udcff\\0\\u202e\\x1b[31m" + "x" * 5000

def fail():
    raise Odd("a\\ud800b\\0c")

def work():
    try:
        fail()
    except Exception:
        pass

for name in ("\\udc80thread\\0", "n" * 1_000_000):
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()
work()
"""


def test_one_bad_text_loses_nothing(rheostat: Rheostat) -> None:
    """Names of threads, types, files and resources that are no text: each span comes, once, and decodes strictly."""
    script = rheostat.project / os.fsdecode(b"odd\xff") / "job.py"
    script.parent.mkdir()
    script.write_text(JOB)
    with Sink() as sink:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http,
            "OTEL_RESOURCE_ATTRIBUTES": "team=\udcff",
        }
        options = ("--export", "all")
        done = rheostat.run(str(script), options=options, env=environment)
        history = rheostat.await_complete()
        rheostat.await_no_agents()
        sent = {int.from_bytes(ident, signed=True): span for ident, span in sink.spans().items()}

    assert done.returncode == 0, done.stderr
    assert sink.problems == []
    processes = {process.span_id for process in history.processes.values()}
    assert sent.keys() == {span.id for span in history.spans} | processes
    failed = [span for span in sent.values() if span.name == "job.fail"]
    texts = [one.value.string_value for span in failed for one in span.attributes]
    assert len(failed) == 3
    assert any(set(text) == set("\ufffdthread") for text in texts)
    assert all("odd\ufffd" in text for text in texts if text.endswith("job.py"))
    assert max(map(len, texts)) <= 4096

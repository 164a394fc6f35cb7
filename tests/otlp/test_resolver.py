"""A resolver that never answers holds a request for its timeout, and no longer."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rheostat_agent.export.outcome import LATER

_RESOLVER = "127.0.0.99"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file over /etc/resolv.conf")


@pytest.fixture
def silent_resolver(tmp_path: Path) -> Iterator[Path]:
    """A resolv.conf whose only server takes questions and answers none."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((_RESOLVER, 53))
        path = tmp_path / "resolv.conf"
        path.write_text(f"nameserver {_RESOLVER}\noptions timeout:5 attempts:2\n")
        yield path


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_hanging_resolver_costs_the_timeout(silent_resolver: Path, protocol: str) -> None:
    """The resolver's own timeouts, of ten seconds here, are not waited for."""
    child = Path(__file__).with_name("send_timed.py")
    mount = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    done = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            mount,
            "sh",
            silent_resolver,
            sys.executable,
            child,
            protocol,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]},
    )
    kind, reason, seconds = json.loads(done.stdout)

    assert (kind, reason) == (LATER, "no answer within 1 s")
    assert 1 <= seconds < 4

"""Programs of other people that tests start, each installed into an environment of its own under the cache directory."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path


def installed(name: str, *packages: str, timeout_s: float = 300.0) -> Path:
    """Return the folder of commands of the environment *name*, which has *packages*; made if it was not there.

    Raises CalledProcessError and TimeoutExpired where pip cannot install them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rheostat-tests"
    cache.mkdir(parents=True, exist_ok=True)
    environment = cache / name
    complete = environment / "complete"
    wanted = "\n".join(packages)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of pytest may come here at once
        if not complete.exists() or complete.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            pip = [environment / "bin/pip", "install", "--quiet", *packages]
            subprocess.run(pip, check=True, capture_output=True, timeout=timeout_s)
            complete.write_text(wanted)
    return environment / "bin"

"""Whose children the spans of threads are."""

import subprocess
from pathlib import Path

from harness import Lab

PROGRAM = """
import threading
def work(): pass
def main():
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
main()
"""


def test_threading_that_was_imported_before_us(lab: Lab, tmp_path: Path) -> None:
    """A thread's spans hang below who started it, though a `.pth` file imported `threading` before the recorder came."""
    environment = tmp_path / "environment"
    subprocess.run([lab.python, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "early.pth").write_text("import threading\n")
    lab.python = str(environment / "bin" / "python")
    lab.write("job.py", PROGRAM)
    result = lab.observed("job.py")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.tree() == ["job > job.main", *["job.main > job.work"] * 3]

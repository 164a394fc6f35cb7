"""Histories of earlier versions: each command reads them, and brings them up to date."""

import sqlite3

from running import Rheostat


def test_a_history_of_version_1_is_read(rheostat: Rheostat) -> None:
    """A run whose history has neither deliveries nor arguments is shown and exported."""
    rheostat.write("job.py", "def load():\n    pass\nload()\n")
    rheostat.run("job.py")
    rheostat.await_complete()
    with sqlite3.connect(rheostat.last() / "history.sqlite") as history:
        history.executescript(
            "DROP TABLE deliveries; DROP TABLE arguments; PRAGMA user_version = 1;"
            "INSERT INTO meta VALUES('exported', 2), ('exported_processes', '1');"
        )

    shown = rheostat.command("show", "last")
    exported = rheostat.command("export", "last")

    assert ("job.load" in shown.stdout, shown.returncode) == (True, 0)
    assert ("job.load" in exported.stdout, exported.returncode) == (True, 0)

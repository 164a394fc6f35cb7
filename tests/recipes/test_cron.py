"""docs/recipes/cron.md, as cron would run it: /bin/sh -c, with next to nothing in the environment."""

import pytest
from recipe import Host, block


@pytest.fixture
def crontab(host: Host) -> tuple[dict[str, str], list[str]]:
    """The environment of the crontab's jobs, and their commands."""
    environment, commands = host.environment(), []
    for line in host.here(block("cron", "cron")).splitlines():
        name, mark, value = line.partition("=")
        if mark and name.isidentifier():
            environment[name] = value
        else:
            commands.append(line.split(None, 5)[5])
    return environment, commands


def test_the_job_is_observed(host: Host, crontab: tuple[dict[str, str], list[str]]) -> None:
    """Nothing is printed but by the job, so cron mails what it would mail; the backend has the calls."""
    environment, (job, _) = crontab
    done = host.run(["/bin/sh", "-c", job], environment)
    host.await_no_agents()

    assert (done.returncode, done.stdout, done.stderr) == (0, "loaded yesterday\n", "")
    assert "etl.load" in host.names()


def test_the_second_line_sends_what_is_left(
    host: Host, crontab: tuple[dict[str, str], list[str]]
) -> None:
    """After an outage it delivers, and prints nothing; later it finds nothing to do."""
    environment, (job, send) = crontab
    host.backend.down()
    assert host.run(["/bin/sh", "-c", job], environment).returncode == 0
    host.kill_agents()
    failed = host.run(["/bin/sh", "-c", send], environment)
    host.backend.up()
    sent = host.run(["/bin/sh", "-c", send], environment)
    names = host.names()
    idle = host.run(["/bin/sh", "-c", send], environment)

    assert [one.returncode for one in (failed, sent, idle)] == [1, 0, 0]
    assert sent.stdout + sent.stderr + idle.stdout + idle.stderr == ""
    assert "etl.load" in names
    assert host.names() == names

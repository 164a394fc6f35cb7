"""docs/recipes/airflow.md: its DAG under a real Airflow, and the command that its operator runs without one."""

import ast
import os
import subprocess
from typing import Any

import pytest
from recipe import Host, block

from environments import installed

DAY = "2026-11-23"
_INSTALL_S = 900.0


def operator(source: str) -> dict[str, Any]:
    """Return the arguments of the BashOperator in *source*."""
    (call,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "BashOperator"
    ]
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}


def test_the_operators_command_is_observed(host: Host) -> None:
    """`bash -c`, as the operator runs it, with stderr in stdout: the last line, which goes to XCom, is the job's own."""
    task = operator(host.here(block("airflow", "python")))
    assert task["append_env"]
    values = {"{{ ds }}": DAY, "{{ dag.dag_id }}": "etl", "{{ run_id | urlencode }}": "manual__1"}

    def rendered(text: str) -> str:
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    done = subprocess.run(
        ["/usr/bin/bash", "-c", rendered(task["bash_command"])],
        env=host.environment(**{key: rendered(text) for key, text in task["env"].items()}),
        cwd=host.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    host.await_no_agents()

    assert (done.returncode, done.stdout) == (0, f"loaded {DAY}\n")
    assert "etl.load" in host.names()
    assert host.resource()["airflow.run_id"] == "manual__1"


@pytest.mark.backends
def test_the_dag_runs_under_airflow(host: Host) -> None:
    """The real operator runs the job, whose line is the task's last, and the backend has the calls with the DAG's name."""
    airflow = installed("airflow", "apache-airflow>=3,<4", timeout_s=_INSTALL_S)
    folder = host.folder / "dags"
    folder.mkdir()
    (folder / "etl_dag.py").write_text(host.here(block("airflow", "python")))
    environment = {
        "HOME": str(host.home),
        "PATH": f"{airflow}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(host.folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    for words in (("db", "migrate"), ("dags", "test", "etl", DAY)):
        done = subprocess.run(
            [airflow / "airflow", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:]
    host.await_no_agents()

    told = [line for line in done.stdout.splitlines() if "SubprocessHook" in line]
    assert f"loaded {DAY}" in told[-2]
    assert "return code 0" in told[-1]
    assert "etl.load" in host.names()
    assert host.resource()["airflow.dag_id"] == "etl"

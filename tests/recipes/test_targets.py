"""docs/recipes/targets.md: the variables of each backend say what its vendor asks for, and nothing is wrong with them."""

import os
import re
import subprocess

import pytest
from recipe import RECIPES

from rheostat_agent.configuration.otel import read_destinations

FLAGS = re.DOTALL | re.MULTILINE
KEYS = {
    "DD_API_KEY": "dd-key",
    "HONEYCOMB_API_KEY": "hc-key",
    "GRAFANA_INSTANCE": "12345",
    "GRAFANA_TOKEN": "glc_token",
    "PHOENIX_API_KEY": "px-key",
}
EXPECTED = {
    "Jaeger": (["http://localhost:4318/v1/traces", "http://localhost:4318/v1/logs"], {}),
    "Grafana Tempo": (
        ["http://tempo:4318/v1/traces", "http://tempo:4318/v1/logs"],
        {"x-scope-orgid": "team-a"},
    ),
    "Datadog, by its Agent on the same host": (
        ["http://localhost:4318/v1/traces", "http://localhost:4318/v1/logs"],
        {},
    ),
    "Datadog, without an Agent": (
        ["https://otlp.datadoghq.com/v1/traces"],
        {"dd-api-key": "dd-key", "compute_stats": "true"},
    ),
    "Honeycomb": (
        ["https://api.honeycomb.io/v1/traces", "https://api.honeycomb.io/v1/logs"],
        {"x-honeycomb-team": "hc-key"},
    ),
    "Grafana Cloud": (
        [
            "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces",
            "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/logs",
        ],
        {"authorization": "Basic MTIzNDU6Z2xjX3Rva2Vu"},
    ),
    "Phoenix": (["http://localhost:6006/v1/traces"], {"authorization": "Bearer px-key"}),
    "MLflow": (["http://localhost:5000/v1/traces"], {"x-mlflow-experiment-id": "0"}),
    "Several at once": (["http://localhost:4318/v1/traces", "", "http://localhost:4318/v1/logs"], {}),
}  # fmt: skip


def sections() -> dict[str, str]:
    """Return the block of each section of the page."""
    text = (RECIPES / "targets.md").read_text()
    parts = (part.partition("\n") for part in text.split("\n## ")[1:])
    return {title: re.findall(r"^```sh\n(.*?)^```$", rest, FLAGS)[0] for title, _, rest in parts}


def environment_after(script: str) -> dict[str, str]:
    """Return the environment of a shell that has run *script* with the keys set."""
    done = subprocess.run(
        ["/bin/sh", "-euc", script + "\nenv -0"],
        env={"PATH": os.environ["PATH"], **KEYS},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return dict(part.decode().split("=", 1) for part in done.stdout.split(b"\0") if part)


def test_every_target_is_checked() -> None:
    """Each section of the page has a block, and is known here."""
    assert sections().keys() == EXPECTED.keys()


@pytest.mark.parametrize("target", EXPECTED)
def test_the_variables_say_where_and_how(target: str) -> None:
    """Addresses and headers are those that the vendor documents, and none of the variables is doubtful."""
    endpoints, headers = EXPECTED[target]
    environment = environment_after(sections()[target])
    warnings: list[str] = []
    found = read_destinations(environment, warnings.append)

    assert [text for text in warnings if "without encryption" not in text] == []
    assert [one.endpoint for one in found] == endpoints
    assert all(dict(one.headers) == headers for one in found if one.endpoint)

"""The benchmarks of what leaves the machine still run. Nothing here asserts a time."""

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of the benchmarks, with a cache of its own."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    import benchmarks.encoding
    import benchmarks.ours
    import benchmarks.peers
    import benchmarks.policy
    import benchmarks.setting
    import benchmarks.sink

    return benchmarks


def test_the_benchmark_of_encoding_compares_what_is_the_same(modules: Any, tmp_path: Path) -> None:
    """What it measures of ours and of the official encoder has the same bytes in the end."""
    rheostat = modules.ours.Rheostat(Path("unused"), tmp_path)
    setting = modules.setting.Setting(rheostat, None, tmp_path, rounds=1, scale=0.02)

    result = modules.encoding.run(setting)

    assert [goal.met for goal in result.goals if goal.text == "the same bytes"] == [True]


def test_the_benchmark_of_policies_finds_that_each_sends_less(modules: Any, tmp_path: Path) -> None:
    """All of it arrives under `all`; under the others ever fewer spans and bytes, and nothing under `none`."""
    modules.peers.PLAIN.prepare()
    with modules.sink.Sink() as sink:
        rheostat = modules.ours.Rheostat(Path(sys.executable).with_name("rheostat"), tmp_path)
        setting = modules.setting.Setting(rheostat, sink, tmp_path, rounds=1, scale=0.024)
        found = modules.policy.run(setting).raw

    recorded, spans, _, size = zip(*found.values(), strict=True)
    assert spans[0] == recorded[0] > 600
    assert sorted(set(spans), reverse=True) == list(spans)
    assert sorted(set(size), reverse=True) == list(size)
    assert (spans[-1], size[-1]) == (0, 0)

"""docs/architecture.md names what exists."""

import importlib
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"
_SYMBOL = re.compile(r"`(rheostat(?:_agent)?(?:\.\w+)+)`")
_METHOD = re.compile(r"`(Site\.\w+)`")


def symbols() -> list[str]:
    text = DOCUMENT.read_text()
    return sorted(
        set(_SYMBOL.findall(text)) | {f"rheostat.recorder.{m}" for m in _METHOD.findall(text)}
    )


@pytest.mark.parametrize("name", symbols())
def test_every_symbol_exists(name: str) -> None:
    """A symbol that the walk through the code names is there."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        break
    for part in parts[split:]:
        found = getattr(found, part)


def test_it_can_be_read_in_one_sitting() -> None:
    """The walk takes at most 200 lines, and names enough to be one."""
    assert len(DOCUMENT.read_text().splitlines()) <= 200
    assert len(symbols()) > 40

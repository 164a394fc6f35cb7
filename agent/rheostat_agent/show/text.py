"""Words and numbers for a terminal: durations, sizes, counts, colours, and text that cannot steer the terminal."""

from __future__ import annotations

import unicodedata

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def duration(nanoseconds: float | None) -> str:
    """Return *nanoseconds* in three digits and a unit: '1.24 s', '312 ms', '4.10 µs'; '–' for None."""
    if nanoseconds is None:
        return "–"
    if nanoseconds >= 100_000_000_000:
        return f"{nanoseconds / 1e9:,.0f} s"
    for size, unit in _UNITS:
        if nanoseconds >= size * 0.9995:
            value = nanoseconds / size
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{nanoseconds:.0f} ns"


def size(number: float | None) -> str:
    """Return bytes as '143 MB'; '–' for None."""
    if number is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5 or unit == "GB":
            return (
                f"{number:.0f} {unit}" if number >= 99.5 or unit == "B" else f"{number:.3g} {unit}"
            )
        number /= 1000
    raise AssertionError("unreachable")


def count(number: int, noun: str) -> str:
    """Return '1 span', '2,000 spans', '2 processes'."""
    plural = noun + ("es" if noun.endswith("ss") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def calls(number: int) -> str:
    """Return *number* in at most nine characters: '1,234,567', '12.3 M'."""
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:,.1f} M"


def plain(text: str) -> str:
    """Return *text* with every character that could steer a terminal, or not be encoded, written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_shown(character) else _escape(character) for character in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() and unicodedata.category(character) not in ("Cf", "Cs")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def fit(text: str, width: int) -> str:
    """Return *text* cut to *width* characters."""
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def fit_end(text: str, width: int) -> str:
    """Return *text* cut to its last *width* characters: of a dotted name, the end says most."""
    return text if len(text) <= width else "…" + text[len(text) - max(1, width - 1) :]


class Style:
    """Colours, or none."""

    def __init__(self, has_colour: bool) -> None:
        self._has_colour = has_colour

    def __call__(self, text: str, *looks: str) -> str:
        """Return *text* in *looks* (bold, dim, red, green, yellow)."""
        if not self._has_colour or not looks or not text:
            return text
        codes = ";".join(_CODES[look] for look in looks)
        return f"\033[{codes}m{text}\033[0m"

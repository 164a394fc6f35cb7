"""Environment variables, read by the specification's rules (OpenTelemetry, configuration/common.md):

an empty value is none; a Boolean is true by the word true alone; a number that is none, or is out of range, is as if it were
not set; so is a word that nobody knows. Each of these is a warning, and none of them an error. Of a variable for one signal
and the one for all of them, the first that is usable counts. What a variable holds is quoted in a warning only where it
cannot be a secret.

Imported by the launcher: nothing heavy here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Warn = Callable[[str], None]

INDEFINITE_S = (2**31 - 1) / 1000  # what a timeout of 0 stands for
_MOST_DIGITS = 15
_MOST_SHOWN = 40  # characters


class Variables:
    """The variables of one environment. The same warning is given once."""

    def __init__(self, environ: Mapping[str, str], warn: Warn) -> None:
        self._environ = environ
        self._warn = warn
        self._said: set[str] = set()

    def warn(self, name: str, text: str) -> None:
        """Say *text* of the variable *name*."""
        line = f"{name} {text}"
        if line not in self._said:
            self._said.add(line)
            self._warn(line)

    def set_names(self, *names: str) -> list[str]:
        """Return those of *names* that have a value, in their order."""
        return [name for name in names if self.text(name)]

    def text(self, *names: str) -> str:
        """Return the value of the first of *names* that has one, else an empty text."""
        for name in names:
            value = self._environ.get(name, "").strip()
            if value:
                return value
        return ""

    def flag(self, *names: str) -> bool:
        """Return whether the first of *names* that has a value is true."""
        for name in self.set_names(*names):
            value = self.text(name).lower()
            if value not in ("true", "false"):
                self.warn(name, f"is {quoted(value)}, which is not true: it counts as false")
            return value == "true"
        return False

    def choice(self, known: tuple[str, ...], *names: str) -> str | None:
        """Return the first value that is one of *known*, in lower case; None if there is none."""
        for name in self.set_names(*names):
            value = self.text(name).lower()
            if value in known:
                return value
            self.warn(name, f"is {quoted(value)}, which is none of {', '.join(known)}: not used")
        return None

    def words(self, name: str) -> list[str]:
        """Return the words of a comma-separated list in lower case, each once."""
        found = [word.strip().lower() for word in self.text(name).split(",")]
        return list(dict.fromkeys(word for word in found if word))

    def number(self, *names: str, least: int = 0) -> int | None:
        """Return the first value that is a whole number of at least *least*; None if there is none."""
        for name in self.set_names(*names):
            value = self.text(name)
            is_number = value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS
            if is_number and int(value) >= least:
                return int(value)
            wanted = "a whole number" if least == 0 else f"a whole number of at least {least}"
            self.warn(name, f"is {quoted(value)}, which is not {wanted}: not used")
        return None

    def duration_s(self, default_ms: int, *names: str) -> float:
        """Return a duration in seconds; the variables hold milliseconds."""
        value = self.number(*names)
        return (default_ms if value is None else value) / 1000

    def timeout_s(self, default_ms: int, *names: str) -> float:
        """Return a timeout in seconds; the variables hold milliseconds, of which 0 stands for no limit."""
        return self.duration_s(default_ms, *names) or INDEFINITE_S


def quoted(text: str) -> str:
    """Return *text* as it stands in a message: in quotes, in one line, not too long."""
    short = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
    return '"' + "".join(c if c.isprintable() else "?" for c in short) + '"'

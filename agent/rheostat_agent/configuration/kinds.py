"""Kinds of values: what a setting or an option can be set to, as text and as TOML has it.

Imported by the launcher: nothing heavy here.
"""

from __future__ import annotations

from rheostat_agent.configuration.addresses import Address
from rheostat_agent.configuration.escapes import is_header_name, is_header_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Kind:
    """One kind. *wanted* says in words what a value is; *convert* makes it of text, and may raise ValueError.

    *types* are those that it has in TOML. A list is made of the words of a text, separated by commas.
    """

    __slots__ = ("choices", "convert", "is_list", "types", "wanted")

    def __init__(
        self,
        wanted: str,
        convert: Callable[[str], Any],
        types: tuple[type, ...],
        choices: tuple[str, ...] = (),
        is_list: bool = False,
    ) -> None:
        self.wanted = wanted
        self.convert = convert
        self.types = types
        self.choices = choices
        self.is_list = is_list

    def of_text(self, text: str) -> Any:
        """Return the value of a variable. Raises ValueError."""
        if self.is_list:
            return [self.convert(word.strip()) for word in text.split(",") if word.strip()]
        return self.convert(text)

    def of_toml(self, value: object) -> Any:
        """Return the value for what stands in a file. Raises ValueError."""
        if type(value) not in self.types:  # not isinstance: True is no number
            raise ValueError(self.wanted)
        if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                raise ValueError(self.wanted)
            return [self.convert(item) for item in value]
        if isinstance(value, dict):
            return headers_of(value)
        if isinstance(value, str):
            return self.of_text(value)
        return value if isinstance(value, bool) else self.convert(str(value))


def text_of(text: str) -> str:
    """Return *text*, which is one line. Raises ValueError."""
    if not text.isprintable():
        raise ValueError(text)
    return text


def number(text: str) -> int:
    """Return a count, 0 or more: '5000', '5_000_000'. Raises ValueError."""
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def bytes_of(text: str) -> int:
    """Return a size in bytes: '2GB', '500M', '0'. Raises ValueError."""
    word = text.strip().lower().removesuffix("b")
    unit = word[-1:] if word[-1:].isalpha() else ""
    value = float(word.removesuffix(unit)) * _SIZES.get(unit, float("nan"))
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return int(value)


def seconds_of(text: str) -> float:
    """Return a duration in seconds: '2', '0.5s', '10m', '30d'. Raises ValueError."""
    word = text.strip().lower()
    unit = word[-1:] if word[-1:] in _SPANS else "s"
    value = float(word.removesuffix(unit)) * _SPANS[unit]
    if not 0 <= value < 1e12:
        raise ValueError(text)
    return value


def percent(text: str) -> float:
    """Return a share as a number from 0 to 1: '1%', '0.5%', '2'. Raises ValueError."""
    value = float(text.strip().removesuffix("%")) / 100
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def truth_of(text: str) -> bool:
    """Return the value of a switch, 'true' or 'false'. Raises ValueError."""
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(text)
    return word == "true"


def endpoint_of(text: str) -> str:
    """Return *text*, a URL. Raises ValueError."""
    Address(text)
    return text


def public_endpoint_of(text: str) -> str:
    """Return *text*, a URL that may be seen in a list of processes. Raises ValueError."""
    if Address(text).user:
        raise ValueError("has a user in it")
    return text


def headers_of(table: dict[str, Any]) -> dict[str, str]:
    """Return a table of headers, their names in lower case. Raises ValueError: the text says which is none, and why."""
    found = {}
    for name, value in table.items():
        if not is_header_name(name):
            raise ValueError("a name in it is none that a header can have")
        if not isinstance(value, str) or not is_header_value(value):
            raise ValueError(f"{name} is no text that can be sent")
        found[name.lower()] = value.strip()
    return found


def one_of(choices: tuple[str, ...]) -> Kind:
    """Return the kind of one word out of *choices*."""
    return Kind("one of " + ", ".join(choices), _chooser(choices), (str,), choices)


def some_of(choices: tuple[str, ...]) -> Kind:
    """Return the kind of one or more words out of *choices*."""
    wanted = "one or more of " + ", ".join(choices)
    return Kind(wanted, _chooser(choices), (str, list), choices, is_list=True)


def _chooser(choices: tuple[str, ...]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return choose


TEXT = Kind("a text", text_of, (str,))
NUMBER = Kind("a whole number, 0 or more", number, (int,))
SIZE = Kind('a size such as "2GB"', bytes_of, (int, str))
DURATION = Kind('seconds, or a time such as "10m"', seconds_of, (int, float, str))
SWITCH = Kind("true or false", truth_of, (bool,))
TEXTS = Kind("a list of texts", text_of, (list,), is_list=True)
ENDPOINT = Kind("a URL with http:// or https://", endpoint_of, (str,))
HEADERS = Kind("a table of texts", text_of, (dict,))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean …?)' if *word* is nearly one of *known*, else an empty text."""
    from difflib import get_close_matches  # on an error only

    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""

"""Command-line options: declared once, for parsing, help and shell completion alike.

Not argparse: after the first word that is no option, `run` must hand on the rest byte for byte, and the launcher has no
ten milliseconds to spare. GNU conventions: `--name value`, `--name=value`, `--` ends the options.
"""

from rheostat_agent.configuration.kinds import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class UsageError(Exception):
    """The command line makes no sense; the text says what to write instead."""


class Option:
    """One option. *metavar* is empty for a switch; *convert* makes its value of the text and may raise ValueError.

    What may be a secret (*is_secret*) is not repeated in messages.
    """

    def __init__(
        self,
        name: str,
        metavar: str,
        text: str,
        default: "Any" = None,
        convert: "Callable[[str], Any]" = str,
        repeat: bool = False,
        choices: "tuple[str, ...]" = (),
        is_secret: bool = False,
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.text = text
        self.default = default
        self.convert = convert
        self.repeat = repeat
        self.choices = choices
        self.is_secret = is_secret

    @property
    def key(self) -> str:
        """Return the key of its value."""
        return self.name[2:].replace("-", "_")


class Command:
    """A command: its words, what it is for, and its options. What it does is in actions.py."""

    def __init__(
        self,
        name: str,
        usage: str,
        text: str,
        options: "list[Option]",
        passes_rest: bool = False,
        words: "tuple[str, ...]" = (),
        takes_words: bool = True,
    ) -> None:
        """*passes_rest*: the first word that is no option ends our options; *words*: those that have a meaning."""
        self.name = name
        self.usage = usage
        self.text = text
        self.options = options
        self.passes_rest = passes_rest
        self.words = words
        self.takes_words = takes_words

    def help(self) -> str:
        """Return the help text."""
        lines = [f"usage: rheostat {self.name} {self.usage}", "", self.text, ""]
        shown = [(f"{o.name} {o.metavar}".rstrip(), o.text) for o in self.options]
        shown.append(("--help", "show this"))
        width = max(len(left) for left, _ in shown)
        lines += [f"  {left:<{width}}  {right}" for left, right in shown]
        return "\n".join(lines) + "\n"


def parse(command: Command, arguments: "list[str]") -> "tuple[dict[str, Any], list[str]]":
    """Return (values by key, the words that are no options). Raises UsageError."""
    options = {option.name: option for option in command.options}
    values: dict[str, Any] = {
        option.key: [] if option.repeat else option.default for option in command.options
    }
    words: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return values, words + rest
        if argument in ("--help", "-h"):
            values["help"] = True
            return values, words
        if not argument.startswith("--"):
            if command.passes_rest:
                return values, [argument, *rest]
            if argument.startswith("-") and argument != "-":
                raise UsageError(f"unknown option {argument}")
            words.append(argument)
            continue
        name, equals, text = argument.partition("=")
        option = options.get(name)
        if option is None:
            raise UsageError(f"unknown option {name}{suggestion(name, options)}")
        _take(option, values, text if equals else None, rest)
    return values, words


def _take(option: Option, values: "dict[str, Any]", text: "str | None", rest: "list[str]") -> None:
    if not option.metavar:
        if text is not None:
            raise UsageError(f"option {option.name} takes no value")
        values[option.key] = True
        return
    if text is None:
        if not rest:
            raise UsageError(f"option {option.name} needs a value: {option.metavar}")
        text = rest.pop(0)
    if option.choices and text not in option.choices:
        raise UsageError(f"option {option.name}: {text!r} is none of {', '.join(option.choices)}")
    try:
        value = option.convert(text)
    except ValueError:
        shown = "what was given" if option.is_secret else repr(text)
        raise UsageError(f"option {option.name}: {shown} is no {option.metavar}") from None
    if option.repeat:
        values[option.key].append(value)
    else:
        values[option.key] = value

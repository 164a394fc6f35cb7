"""Which function does which command. Each is imported when it is asked for: `rheostat run` has no time for the others."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Action = Callable[[dict[str, Any], list[str]], int]


def _run(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.launcher import signals

    held = signals.hold()  # before the imports that take their time: Ctrl-C is the program's
    from rheostat_agent.cli.run import run

    return run(values, words, held)


def _show(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.show import show

    return show(values, words)


def _runs(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.runs import runs

    return runs(values, words)


def _prune(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.runs import prune

    return prune(values, words)


def _send(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.send import send

    return send(values, words)


def _export(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.export import export

    return export(values, words)


def _config(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.config import config

    return config(values, words)


def _completion(values: "dict[str, Any]", words: "list[str]") -> int:
    from rheostat_agent.cli.completion import completion

    return completion(values, words)


ACTIONS: "dict[str, Action]" = {
    "run": _run,
    "show": _show,
    "runs": _runs,
    "runs prune": _prune,
    "send": _send,
    "export": _export,
    "config": _config,
    "completion": _completion,
}

"""The commands and their options: what parsing, help and shell completion go by."""

from rheostat_agent.cli.options import Command, Option
from rheostat_agent.configuration.kinds import (
    bytes_of,
    number,
    percent,
    public_endpoint_of,
    seconds_of,
)
from rheostat_agent.configuration.table import BY_KEY, SETTINGS, Setting


def _option(setting: Setting) -> Option:
    """Return the option of a setting. Without a default: whether it was given decides whether other places are asked."""
    convert = public_endpoint_of if setting.key == "endpoint" else setting.kind.convert
    return Option(
        setting.flag,
        setting.metavar,
        setting.text,
        None,
        convert,
        repeat=setting.kind.is_list,
        choices=setting.kind.choices,
        is_secret=setting.is_delivery,
    )


_JSON = Option("--json", "", "print JSON")
_ALL = [
    Command(
        "run",
        "[options] [--] TARGET [arguments…]",
        "Run a script, `-m module`, `-c code`, `-` or any command, and observe it.\n"
        "Example: rheostat run etl.py --date 2026-11-22",
        [_option(setting) for setting in SETTINGS if setting.flag],
        passes_rest=True,
    ),
    Command(
        "show",
        "[options] [RUN]",
        "Show where a run's time went. RUN is an id, the beginning of one, or `last`.\n"
        "Example: rheostat show last --min 1%",
        [
            Option("--errors", "", "what failed, with stacks"),
            Option("--skipped", "", "what is not observed, and why"),
            Option("--what-is-sent", "", "exactly what would leave this machine"),
            Option(
                "--min", "SHARE", "only what took this share of the run, such as 1%", None, percent
            ),
            Option("--depth", "N", "only this many levels", None, number),
            Option("--grep", "TEXT", "only paths with this in a name"),
            _JSON,
        ],
        words=("last",),
    ),
    Command(
        "runs",
        "[options]",
        "List runs, the newest first. `rheostat runs prune` removes old ones.\nExample: rheostat runs --limit 5",
        [
            Option("--workflow", "NAME", "only runs of this workflow"),
            Option("--limit", "N", "only this many (20; 0: all)", 20, number),
            _JSON,
        ],
        words=("prune",),
        takes_words=False,
    ),
    Command(
        "runs prune",
        "[options]",
        "Remove old runs; those that go on, or are not delivered yet, stay.\nExample: rheostat runs prune --older-than 30d",
        [
            Option(
                "--older-than", "AGE", "runs that ended longer ago, such as 30d", None, seconds_of
            ),
            Option(
                "--keep-size",
                "SIZE",
                "the oldest runs, until all take less than this",
                None,
                bytes_of,
            ),
            Option("--dry-run", "", "only say what would be removed"),
        ],
        takes_words=False,
    ),
    Command(
        "send",
        "[options] [RUN]",
        "Send a run that was not delivered or was refused, and wait for it. Status 1: something is left.\n"
        "Example: rheostat send --all",
        [
            Option("--all", "", "all runs that something is left of"),
            _option(BY_KEY["endpoint"]),
            _option(BY_KEY["headers"]),
        ],
        words=("last",),
    ),
    Command(
        "export",
        "[options] [RUN]",
        "Write a whole run as a file: OTLP (JSON lines) or a trace for ui.perfetto.dev.\n"
        "Example: rheostat export last --format perfetto --output trace.json",
        [
            Option(
                "--format",
                "FORMAT",
                "otlp-json or perfetto",
                "otlp-json",
                choices=("otlp-json", "perfetto"),
            ),
            Option("--output", "FILE", "where to (standard output)"),
        ],
        words=("last",),
    ),
    Command(
        "config",
        "[options]",
        "Print each setting, and where it comes from. Secrets are masked.\nExample: rheostat config",
        [_JSON],
        takes_words=False,
    ),
    Command(
        "completion",
        "bash|zsh|fish",
        'Print a completion script.\nExample: eval "$(rheostat completion bash)"',
        [],
        words=("bash", "zsh", "fish"),
    ),
]
COMMANDS = {command.name: command for command in _ALL}

HELP = """usage: rheostat COMMAND …

  run         run a script or command, and observe it
  show        show where a run's time went, and what failed
  runs        list runs; `runs prune` removes old ones
  send        send what has not been delivered
  export      write a run as a file
  config      print the settings, and where each comes from
  completion  completion for bash, zsh or fish

  --version   --help; each command has its own --help

Example: rheostat run etl.py
"""

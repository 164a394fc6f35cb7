"""The commands and their options: what parsing, help and shell completion go by."""

from rheostat_agent.cli.options import (
    Command,
    Option,
    bytes_of,
    number,
    percent,
    seconds_of,
)

MAX_SPANS = 5_000_000
MAX_DISK = 2_000_000_000


_JSON = Option("--json", "", "print JSON")
_ALL = [
    Command(
        "run",
        "[options] [--] TARGET [arguments…]",
        "Run a script, `-m module`, `-c code`, `-` or any command, and observe it.\n"
        "Example: rheostat run etl.py --date 2026-11-22",
        [
            Option("--name", "NAME", "the workflow's name (default: the script's)"),
            Option("--python", "PATH", "the interpreter for scripts and modules"),
            Option(
                "--include",
                "GLOB",
                "observe these functions too, such as 'pandas.io.*'",
                repeat=True,
            ),
            Option("--exclude", "GLOB", "leave these functions alone", repeat=True),
            Option("--full", "", "record every call, whatever it costs"),
            Option(
                "--max-spans",
                "N",
                "calls to keep a span of (5,000,000; 0: no limit)",
                MAX_SPANS,
                number,
            ),
            Option(
                "--max-disk", "SIZE", "disk for this run (2GB; 0: no limit)", MAX_DISK, bytes_of
            ),
            Option(
                "--wait",
                "SECONDS",
                "how long to wait for the summary (2; 0: not at all)",
                None,
                seconds_of,
            ),
            Option(
                "--summary",
                "HOW",
                "none, short or full",
                "short",
                choices=("none", "short", "full"),
            ),
            Option("--quiet", "", "print nothing of our own"),
        ],
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
  export      write a run as a file
  completion  completion for bash, zsh or fish

  --version   --help; each command has its own --help

Example: rheostat run etl.py
"""

"""The command line: a command parses, calls one function, renders. Results on stdout, remarks on stderr.

Heavy imports stand inside the functions: `rheostat run` starts the user's program in milliseconds.
"""

import os
import sys


def _leave_users_path() -> None:
    """Import nothing from the folders that PYTHONPATH names: they are meant for the program, and may hold a `select.py`."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    theirs = {os.path.abspath(entry) for entry in named}
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path[:] = [
        entry
        for entry in sys.path
        if os.path.abspath(entry) not in theirs or os.path.abspath(entry) == ours
    ]


if os.environ.get("PYTHONPATH"):
    _leave_users_path()

from rheostat import __version__
from rheostat_agent.cli.actions import ACTIONS
from rheostat_agent.cli.commands import COMMANDS, HELP
from rheostat_agent.cli.options import UsageError, parse
from rheostat_agent.configuration.kinds import suggestion
from rheostat_agent.configuration.otel import ConfigurationRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rheostat_agent.cli.options import Command

FAILURE = 125  # of Rheostat itself; what the program returns is passed on


def main(arguments: "list[str] | None" = None) -> int:
    """Run the command line *arguments*, those of this process by default; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    _have_streams()
    if sys.platform != "linux":
        return fail("only Linux is supported so far")
    if words[:1] == ["help"] and words[1:]:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(HELP)
        return 0 if words else FAILURE
    if words[0] in ("--version", "-V"):
        sys.stdout.write(f"rheostat {__version__}\n")
        return 0
    name, rest = words[0], words[1:]
    if name == "runs" and rest[:1] == ["prune"]:
        name, rest = "runs prune", rest[1:]
    command = COMMANDS.get(name)
    if command is None:
        return fail(
            f"unknown command {name}{suggestion(name, COMMANDS)}; rheostat --help lists them"
        )
    try:
        return _act(command, rest)
    except UsageError as error:
        return fail(f"{name}: {error}")
    except ConfigurationRefused as error:
        return fail(str(error))
    except BrokenPipeError:  # `rheostat show | head`
        _silence_stdout()
        return 0
    except KeyboardInterrupt:
        return _interrupted()
    except _damaged() as error:
        return fail(f"{name}: a file of the history is damaged: {error}")
    except OSError as error:
        _silence_stdout()  # what it holds back cannot be written either
        return fail(f"{name}: {error.filename or 'standard output'}: {error.strerror}")


def _damaged() -> "tuple[type[Exception], ...]":
    """Return what SQLite raises for a damaged file, if the command has come to use it."""
    sqlite3 = sys.modules.get("sqlite3")
    return (sqlite3.DatabaseError,) if sqlite3 is not None else ()


def _act(command: "Command", rest: "list[str]") -> int:
    values, positional = parse(command, rest)
    if values.get("help"):
        sys.stdout.write(command.help())
        return 0
    if positional and not command.takes_words:
        raise UsageError(f"there is no {positional[0]}{suggestion(positional[0], command.words)}")
    status = ACTIONS[command.name](values, positional)
    sys.stdout.flush()  # while a failure can still be told
    return status


def _have_streams() -> None:
    """Give a process that was started with closed streams something to write to."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115  # until we end
        elif stream.errors == "strict":
            stream.reconfigure(
                errors="backslashreplace"
            )  # names of the program's may hold anything


def _interrupted() -> int:
    """End as Ctrl-C ends a program that does not handle it."""
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return FAILURE


def fail(text: str, status: int = FAILURE) -> int:
    """Say *text* in one line on stderr; return *status*."""
    sys.stderr.write(f"rheostat: {text}\n")
    return status


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

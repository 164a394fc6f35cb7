"""`rheostat run`: starts the program and its agent side by side, follows the program, and ends as it ended."""

import os
import select
import time

import rheostat
from rheostat.settings import Settings, write_settings
from rheostat_agent import streams
from rheostat_agent.agentprocess import BEAT
from rheostat_agent.cli.commands import COMMANDS
from rheostat_agent.cli.options import UsageError
from rheostat_agent.configuration.destination import CONSOLE
from rheostat_agent.configuration.kinds import suggestion
from rheostat_agent.configuration.otel import (
    ConfigurationRefused,
    incoming_parent,
    refuse_config_file,
    survey,
)
from rheostat_agent.configuration.settings import Configuration
from rheostat_agent.configuration.variables import Variables
from rheostat_agent.launcher import child, signals
from rheostat_agent.launcher.environment import inherited_environment
from rheostat_agent.launcher.target import Target, TargetError, resolve
from rheostat_agent.masking import masked
from rheostat_agent.recovery import recover, start_agent
from rheostat_agent.rundirectory import (
    ENDED,
    RUN,
    SETTINGS,
    Ending,
    RunInfo,
    discard,
    make_run_directory,
    mark_unfinished,
    new_id,
)
from rheostat_agent.state import StateUnusable, cache_directory, state_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ANSWER_S = 1.0  # for a summary that was asked for
_LOOK_S = 0.05  # between looks for a signal, while waiting
_WAIT_S, _WAIT_DELIVERY_S = 2.0, 10.0
_COLUMNS = 160  # where there is no terminal: logs are read in wide windows


def run(values: "dict[str, Any]", words: "list[str]", held: signals.Signals) -> int:
    """Run the program that *words* name; returns only if it could not be started. *held*: what `signals.hold` returned."""
    _check(words)
    streams.plug()
    environment = inherited_environment()
    try:
        target, configuration = _choose(words, values, environment, held)
        remarks = [*configuration.remarks, *filter(None, [target.remark])]
        try:
            state, remark = state_directory(environment)
        except (StateUnusable, OSError) as error:
            return _run_unobserved(
                target, environment, held, configuration.values()["quiet"], str(error)
            )
        remarks += [remark] if remark else []
        return _Launch(target, environment, configuration, state, remarks).follow(held)
    except TargetError as error:
        _tell(f"rheostat: {error}\n")
        return error.status


def _choose(
    words: "list[str]",
    values: "dict[str, Any]",
    environment: "dict[str, str]",
    held: signals.Signals,
) -> "tuple[Target, Configuration]":
    """Return what is to be run, and how; does not return where Rheostat is turned off: then the program takes our place.

    Which files there are depends on the target's project, and they may say by which interpreter it is run. Raises
    TargetError and ConfigurationRefused.
    """
    cwd = _working_directory(environment)
    target = resolve(words, values["python"], environment, cwd)
    doubts: list[str] = []
    variables = Variables(environment, doubts.append)
    is_off = variables.flag("RHEOSTAT_DISABLED") or variables.flag("OTEL_SDK_DISABLED")
    try:
        configuration = Configuration(values, environment)
        configuration.read_project(target.project_root, cwd)
        configuration.read_own()
    except ConfigurationRefused:
        if is_off:  # of all of it: what we cannot read does not stand in the way
            child.replace(target, environment, held)
        raise
    python = configuration.values()["python"]
    if python != values["python"] and target.kind != "command":
        target = resolve(words, python, environment, cwd)
    if is_off:
        child.replace(target, environment, held)
    refuse_config_file(environment)
    configuration.remarks += doubts
    return target, configuration


def _working_directory(environment: "dict[str, str]") -> str:
    """Return the working directory; where it used to be, if it was removed: a program can still run there."""
    try:
        return os.getcwd()
    except OSError:
        return environment.get("PWD") or "/"


def _check(words: "list[str]") -> None:
    """Raise UsageError where the first word is meant as an option of ours."""
    first = words[0] if words else ""
    if first.startswith("-") and first != "-" and first[:2] not in ("-m", "-c"):
        names = [option.name for option in COMMANDS["run"].options]
        raise UsageError(f"unknown option {first}{suggestion('-' + first, names)}")


def _run_unobserved(
    target: Target,
    environment: "dict[str, str]",
    held: signals.Signals,
    is_quiet: bool,
    why: str,
) -> "NoReturn":
    pid = child.start(target, environment, held)
    ending = child.follow(pid)
    if not is_quiet:
        _tell(f"rheostat: nothing was observed: {why}\n")
    child.end_as(ending)


class _Launch:
    """One run, from the directory it is kept in to its end."""

    def __init__(
        self,
        target: Target,
        environment: "dict[str, str]",
        configuration: Configuration,
        state: str,
        remarks: "list[str]",
    ) -> None:
        """Raises ConfigurationRefused."""
        self._target = target
        self._environment = environment
        self._agents_environment = configuration.delivery_environment()
        self._destinations, doubts = survey(self._agents_environment)
        self._values = values = configuration.values()
        self._state = state
        self._remarks = list(dict.fromkeys([*remarks, *doubts]))
        self._is_quiet = values["quiet"] or values["summary"] == "none"
        self._id = new_id()
        self._directory = ""
        self._agent = 0
        self._commands = self._answers = -1  # our ends of the pipes to the agent

    def follow(self, held: signals.Signals) -> "NoReturn":
        """Start the agent and the program, and end as the program did. Raises TargetError."""
        try:
            self._directory = make_run_directory(self._state, self._id)
            mark_unfinished(self._state, self._id)
            write_settings(f"{self._directory}/{SETTINGS}", self._settings())
        except OSError as error:
            why = f"{error.filename or self._state}: {error.strerror}"
            _run_unobserved(self._target, self._environment, held, self._is_quiet, why)
        trouble = self._start_agent()
        started_ns, started_mono_ns = time.time_ns(), time.monotonic_ns()
        try:
            pid = child.start(self._target, self._observing(), held)
        except TargetError:
            discard(self._state, self._directory)
            raise
        # In any case: without an agent now, a later command starts one.
        trouble = self._announce(pid, started_ns, started_mono_ns) or trouble
        ending = child.follow(pid, (self._agent,))
        trouble = trouble or self._publish(ending)
        self._say_what_there_is(trouble)
        child.end_as(ending)

    def _settings(self) -> Settings:
        return Settings(
            project_root=self._target.project_root,
            cache_directory=cache_directory(self._environment),
            include=tuple(self._values["include"]),
            exclude=tuple(self._values["exclude"]),
            max_spans=self._values["max_spans"],
            capture_args=self._values["capture_args"],
        )

    def _observing(self) -> "dict[str, str]":
        """Return the program's environment: two variables differ from the user's."""
        path = self._environment.get("PYTHONPATH")
        ours = rheostat.bootstrap_directory()
        return {
            **self._environment,
            "PYTHONPATH": f"{ours}:{path}" if path else ours,
            "RHEOSTAT_RUN": self._directory,
        }

    def _start_agent(self) -> str:
        """Start the agent, which takes its time to be ready; return why that could not be done, empty if it was."""
        try:
            theirs, self._commands = os.pipe()
            self._answers, mine = os.pipe()
            self._agent = start_agent(
                self._directory, self._agents_environment, theirs, mine, self._has_console()
            )
            os.close(theirs)
            os.close(mine)
        except OSError as error:
            return f"the agent could not be started: {error.strerror}"
        return ""

    def _has_console(self) -> bool:
        return any(each.kind == CONSOLE for each in self._destinations)

    def _announce(self, pid: int, started_ns: int, started_mono_ns: int) -> str:
        """Tell the agent that the program was started; return why that could not be done, empty if it was."""
        try:
            self._info(pid, started_ns, started_mono_ns).publish(f"{self._directory}/{RUN}")
            if self._commands >= 0:
                os.write(self._commands, b"r")
            recover(self._state, self._agents_environment, but=self._id)
        except OSError as error:
            return f"the run could not be noted: {error.strerror}"
        return ""

    def _info(self, pid: int, started_ns: int, started_mono_ns: int) -> RunInfo:
        target, values = self._target, self._values
        parent = incoming_parent(self._environment, self._remarks.append)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        return RunInfo(
            version=1,
            id=self._id,
            workflow=values["name"] or target.name,
            trace_id=f"{parent.trace_id:032x}" if parent else self._id + os.urandom(10).hex(),
            root_span_id=f"{int.from_bytes(os.urandom(8)) >> 2 | 1:016x}",
            started_ns=started_ns,
            started_mono_ns=started_mono_ns,
            boot_id=boot_id,
            launcher_pid=os.getpid(),
            pid=pid,
            kind=target.kind,
            command=masked(target.argv),
            executable=target.executable,
            interpreter=target.interpreter,
            cwd=_working_directory(self._environment),
            destinations=[each.name for each in self._destinations],
            project_root=target.project_root,
            max_spans=values["max_spans"],
            max_disk=values["max_disk"],
            export=values["export"],
            export_when=",".join(values["export_when"]),
            pending_s=values["pending"] or None,
            parent=parent.traceparent if parent else "",
            trace_state=parent.state if parent else "",
            summary="none" if self._is_quiet else values["summary"],
            colour=int(_has_colour(self._environment)),
            columns=_columns(),
            remarks=self._remarks,
        )

    def _publish(self, ending: child.Ending) -> str:
        """Leave word of how the program ended; return why that could not be, empty if it could."""
        try:
            Ending(
                ended_ns=ending.wall_ns,
                ended_mono_ns=ending.monotonic_ns,
                exit_code=ending.exit_code,
                signal=ending.signal,
                user_s=ending.user_s,
                system_s=ending.system_s,
                max_rss_bytes=ending.max_rss_bytes,
            ).publish(f"{self._directory}/{ENDED}")
        except OSError as error:
            return f"the end of the run could not be noted: {error.strerror}"
        return ""

    def _say_what_there_is(self, trouble: str) -> None:
        """Wait for the agent's summary as long as the user is willing to, and print it."""
        wait = self._wait()
        if trouble:
            if not self._is_quiet:
                _tell(f"rheostat: {trouble}\n")
        elif wait > 0:
            is_patient = self._values["wait"] is None and wait >= _WAIT_DELIVERY_S
            text = _receive(self._commands, self._answers, wait, is_patient)
            if text is None:
                text = f"rheostat: run {self._id} is not read yet: `rheostat show {self._id}` shows it\n"
            if not self._is_quiet:
                _tell(text)

    def _wait(self) -> float:
        wanted = self._values["wait"]
        if wanted is not None:
            return float(wanted)
        environment = self._environment
        is_short_lived = (
            os.getpid() == 1 or environment.get("INVOCATION_ID") or environment.get("CI")
        )
        return _WAIT_DELIVERY_S if self._destinations and is_short_lived else _WAIT_S


def _receive(commands: int, answers: int, wait: float, is_patient: bool) -> "str | None":
    """Return what the agent answers within *wait* seconds, or when asked after that; None if it does not.

    Where *is_patient*, the time begins anew whenever a backend has taken something.
    """
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    answer, has_asked = b"", False
    deadline = time.monotonic() + wait
    try:
        os.write(commands, b"e")
        while not child.asked_to_end():
            left = deadline - time.monotonic()
            if left <= 0 and has_asked:
                break
            if left <= 0:
                os.write(commands, b"s")
                has_asked, deadline = True, time.monotonic() + _ANSWER_S
            elif poll.poll(min(left, _LOOK_S) * 1000):
                data = os.read(answers, 65536)
                if not data:
                    break
                if is_patient and BEAT in data:
                    deadline = max(deadline, time.monotonic() + wait)
                answer += data.replace(BEAT, b"")
    except OSError:
        pass  # the agent is gone: a later command goes on where it was
    return answer.decode("utf-8", "replace") if answer else None


def _tell(text: str) -> None:
    """Write *text* to stderr; nobody minds if it is closed."""
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return


def _has_colour(environment: "dict[str, str]") -> bool:
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return _is_terminal() and environment.get("TERM") != "dumb"


def _is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or _COLUMNS
    except OSError:
        return _COLUMNS

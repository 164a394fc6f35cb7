"""The agent: one process a run, in its own session, which reads, keeps and delivers what the run's processes record.

    python -I -m rheostat_agent.supervisor RUN_DIRECTORY [CONSOLE]

Started by the launcher beside the program, or by a later `rheostat` command for a run whose agent was killed. It ends
when all processes of the run have ended, all they wrote is in the history, and the backend has what it would take.
Whatever fails here goes to agent.log; nothing of it reaches the program.
"""

from __future__ import annotations

import os
import select
import sys
import time
from math import inf

from rheostat_agent.agentprocess import Channel, Log, die_first, free_limits, give_way, let_go, lock
from rheostat_agent.endings import status_of
from rheostat_agent.history.index import Index
from rheostat_agent.history.query import HISTORY_NAME, Run
from rheostat_agent.history.schema import NewerSchema
from rheostat_agent.history.writer import (
    HistoryBusy,
    HistoryCorrupt,
    HistoryWriter,
    move_aside,
    moved_aside,
)
from rheostat_agent.outbound import Outbound
from rheostat_agent.rundirectory import RUN, RunInfo, mark_finished, mark_undelivered
from rheostat_agent.runreader import TooFewDescriptors
from rheostat_agent.takeup import take_up

_SHORTEST_WAIT_S = 0.002
_BREATH_S = 0.05  # between two readings while the program is at work
_LONGEST_WAIT_S = 0.2
_BUSY_WAIT_S = 0.5
_BUSY_PATIENCE_S = 60.0  # after the program's end; a later command goes on
_INDEX_EVERY_S = 2.0
_HASTE_S = 1.0
_STRAGGLERS_EVERY_S = 0.5
_MOST_ANEW = 3  # histories that are moved aside: a broken disk is not to be filled


class Supervisor:
    """The agent's main loop over one run."""

    def __init__(self, directory: str, channel: Channel, log: Log) -> None:
        self._directory = directory
        self._state = os.path.dirname(os.path.dirname(directory))
        self._channel = channel
        self._log = log
        self.info = RunInfo.read(f"{directory}/{RUN}")
        self._history = _open_history(f"{directory}/{HISTORY_NAME}", log)
        self._index: Index | None = None
        self._reader = take_up(directory, self.info, self._history)
        self._outbound = Outbound(self._reader, self._history, channel, log)
        self._wait_s = _SHORTEST_WAIT_S
        self._indexed = self._looked_for_stragglers = -inf  # the clock may be turned to before 0
        self._busy_since = 0.0
        self._began, self._has_given_way = time.monotonic(), False
        if self._history.is_new():
            for name in moved_aside(self._history.path):
                text = f"the history was damaged, and moved to {name}: what the spool no longer had is there alone"
                self._reader.joiner.note(None, "warning", text)

    def run(self) -> None:
        """Read the run to its end, deliver it, and leave the index true."""
        while True:
            progress = self._round()
            self._log_notes()
            self._outbound.follow()
            if self._channel.asked() or (
                self._channel.descriptor is not None and self._has_all_of_program(progress)
            ):
                self._put_index(complete=False, now=True)
                self._answer()
            if not progress and self._is_over():
                break
            self._put_index(complete=False)
            self._give_way()
            self._sleep(progress)
        self._finish()

    def _round(self) -> bool:
        try:
            progress = self._reader.round()
            self._busy_since = 0.0
            return progress
        except HistoryBusy as busy:
            self._wait_busy(busy)
            return False

    def _wait_busy(self, busy: HistoryBusy) -> None:
        """The history cannot be written: wait, but not for ever once there is nothing else left to do."""
        self._log.write(str(busy))
        self._wait_s = _BUSY_WAIT_S
        now = time.monotonic()
        if not self._busy_since:
            self._busy_since = now
        elif now - self._busy_since > _BUSY_PATIENCE_S and self._reader.ending is not None:
            raise busy

    def _log_notes(self) -> None:
        notes = self._reader.joiner.notes
        for severity, text in notes:
            self._log.write(f"{severity}: {text}")
        notes.clear()

    def _has_all_of_program(self, progress: bool) -> bool:
        """Say whether the summary can be whole: all of the program was read, and what is to be delivered was."""
        if progress or not self._reader.program_is_over():
            return False
        return self._outbound.is_over or not self._reader.is_over()

    def _is_over(self) -> bool:
        if not self._reader.is_over():
            return False
        now = time.monotonic()
        if now - self._looked_for_stragglers < _STRAGGLERS_EVERY_S:
            return False
        self._looked_for_stragglers = now
        return not self._reader.lives.stragglers()

    def _give_way(self) -> None:
        """Once it is not about a short script any more, whose user waits for us."""
        if not self._has_given_way and time.monotonic() - self._began > _HASTE_S:
            self._has_given_way = True
            give_way()

    def _sleep(self, progress: bool) -> None:
        """Wait for more, or for the death of a process. A program at work gets its peace: reading often costs it time."""
        lives = self._reader.lives
        is_at_work = bool(lives.living()) and not lives.dead()
        if progress:
            self._wait_s = _BREATH_S if is_at_work else _SHORTEST_WAIT_S
            if self._reader.is_behind or not is_at_work:
                return
        poll = select.poll()
        watched = lives.descriptors()
        if self._channel.descriptor is not None:
            watched.append(self._channel.descriptor)
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        poll.poll(self._wait_s * 1000)
        self._wait_s = min(self._wait_s * 1.5, _LONGEST_WAIT_S)

    # The end

    def _finish(self) -> None:
        """All is read: say so; then give the backend its time, and say in the index what there is."""
        self._commit()
        self._put_index(complete=True, now=True, paths=True)
        self._reader.joiner.batch.meta["complete"] = 1  # last: commands wait for it, and show both
        self._commit()
        self._outbound.finish(self._between)
        self._commit()
        self._put_index(complete=True, now=True, paths=True)
        self._answer()
        self._reader.close()
        self._history.close()
        if self._index is not None:
            self._index.close()
        if self._outbound.is_left:
            mark_undelivered(self._state, self.info.id)
        else:
            mark_finished(self._state, self.info.id)

    def _between(self) -> None:
        """What goes on while the rest is delivered."""
        self._commit()
        self._put_index(complete=True)
        if self._channel.asked():
            self._answer()
        self._sleep(progress=False)

    def _commit(self) -> None:
        """Write what is left, however long it takes; then remove what was read."""
        while True:
            try:
                self._reader.commit()
                self._reader.find_files()
                return
            except HistoryBusy as busy:
                self._wait_busy(busy)
                time.sleep(_BUSY_WAIT_S)

    def _answer(self) -> None:
        """Tell the launcher what there is, deliveries as they are by now among it."""
        self._outbound.follow()
        try:
            self._reader.commit()
        except HistoryBusy as busy:  # then what was there before is told
            self._log.write(str(busy))
        self._channel.answer(self._summary())

    def _summary(self) -> str:
        from rheostat_agent.show.summary import render_run_summary

        if self.info.summary == "none":
            return ""
        row = self._row(self._reader.is_over())
        try:
            return render_run_summary(self._directory, self.info, row, self._reader.unread())
        except Exception as error:  # noqa: BLE001  # what is read is worth more than being told at once
            self._log.write(f"the summary could not be made: {type(error).__name__}: {error}")
            return f"rheostat: run {self.info.id} is kept, but cannot be summed up: {error}\n"

    # The index

    def _put_index(self, complete: bool, now: bool = False, paths: bool = False) -> None:
        """Write the run's row, and the totals of its *paths*, *now* or when it is time again."""
        passed_s = time.monotonic() - self._indexed
        if not now and passed_s < _INDEX_EVERY_S:
            return
        self._indexed = time.monotonic()
        try:
            self._index = self._index or Index(self._state)
            self._index.put(self._row(complete))
            if paths:
                self._index.put_paths(self._row(complete), self._reader.calls.named_totals())
        except Exception as error:  # noqa: BLE001  # listing is less than reading: it is tried again
            self._log.write(f"the index could not be written: {error}")

    def _row(self, complete: bool) -> Run:
        reader, info, ending = self._reader, self.info, self._reader.ending
        program = reader.joiner.processes[1]
        is_over = reader.program_is_over() or ending is not None
        exit_code = ending.exit_code if ending else program.exit_code
        number = ending.signal if ending else program.signal
        ended = ending.ended_mono_ns + reader.joiner.offset_ns if ending else program.end_ns
        return Run(
            id=info.id,
            workflow=info.workflow,
            status=status_of(is_over, exit_code, number),
            exit_code=exit_code,
            signal=number,
            started_ns=program.start_ns,
            ended_ns=ended,
            wall_ns=ended - program.start_ns if ended else None,
            cpu_s=ending.user_s + ending.system_s if ending else None,
            max_rss_bytes=ending.max_rss_bytes if ending else None,
            spans=reader.spans,
            errors=sum(path.errors for path in reader.calls.all_paths()),
            processes=len(reader.joiner.processes),
            lost=reader.lost(),
            undelivered=self._outbound.undelivered,
            complete=complete,
            command=" ".join(info.command),
            cwd=info.cwd,
            directory=self._directory,
        )


def _open_history(path: str, log: Log) -> HistoryWriter:
    """Return the history, having waited for it as long as for any write. Raises HistoryBusy and what it raises else."""
    deadline = time.monotonic() + _BUSY_PATIENCE_S
    while True:
        try:
            return HistoryWriter(path)
        except HistoryBusy as busy:
            log.write(str(busy))
            if time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_WAIT_S)


def _begin_anew(directory: str) -> None:
    """Move a damaged history aside, and execute the agent again; return if that has been done too often."""
    path = f"{directory}/{HISTORY_NAME}"
    if len(moved_aside(path)) < _MOST_ANEW:
        move_aside(path)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main(arguments: list[str]) -> int:
    """Run the agent on the run directory arguments[0]; what is meant for a console goes to the descriptor arguments[1]."""
    os.umask(0o077)
    directory = arguments[0]
    console = int(arguments[1]) if arguments[1:] else None
    channel = Channel(console)
    free_limits()  # first: descriptors may be open beyond the limit that was set for the program
    let_go(console)
    if not channel.wait_for_run(directory) or lock(directory) is None:
        return 0
    die_first()
    log = Log(directory)
    try:
        Supervisor(directory, channel, log).run()
    except HistoryCorrupt as error:
        log.write(str(error))
        _begin_anew(directory)
        return 1
    except (NewerSchema, HistoryBusy, TooFewDescriptors) as error:
        log.write(str(error))
        return 1
    except Exception:  # noqa: BLE001  # the last resort: one entry in our own file
        import traceback

        log.write(traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

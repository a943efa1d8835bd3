"""Mesos' own executor of a command: one process, its exit code, and TERM before KILL (Mesos 1.11)."""

from __future__ import annotations

import os
import pwd
import signal
import time

from airavata_mesos_plugin.minicluster.executor import procs
from airavata_mesos_plugin.minicluster.executor.channel import KILLED, Channel, FetchFailed
from airavata_mesos_plugin.minicluster.executor.child import forked, stand_alone

_SHUTDOWN_GRACE = 5.0
_LAUNCH_FAILED = "REASON_CONTAINER_LAUNCH_FAILED"
_KILLED_DURING_LAUNCH = "REASON_TASK_KILLED_DURING_LAUNCH"
_TOO_LONG = "REASON_MAX_COMPLETION_TIME_REACHED"
_AGENT = "SOURCE_AGENT"
Verdict = tuple[str, str, str, str]
"""State, message, reason and source."""


class CommandRunner(Channel):
    """One command."""

    def run(self) -> None:
        """See `Channel.run`."""
        try:
            verdict = self._carried_out()
        except FetchFailed as error:
            verdict = "TASK_FAILED", str(error), _LAUNCH_FAILED, _AGENT
        except OSError as error:
            verdict = "TASK_FAILED", f"Failed to launch container: {error}", _LAUNCH_FAILED, _AGENT
        finally:
            if not procs.kill_everything():
                self._log("some processes of the task could not be killed")
        self._report(*verdict)

    def _carried_out(self) -> Verdict:
        if not self._fetch():
            return "TASK_KILLED", "Task killed during launch", _KILLED_DURING_LAUNCH, _AGENT
        command = self._launch["command"]
        assert isinstance(command, dict)
        account = pwd.getpwnam(command["user"]) if command["user"] else None
        if account is not None:
            _give(self._run_dir, account.pw_uid, account.pw_gid)
        self._report("TASK_STARTING", None)
        pid = self._start(command, account)
        self._log(f"command started with pid {pid}")
        self._report("TASK_RUNNING", None)
        return self._supervise(pid, command)

    def _start(self, command: dict[str, object], account: pwd.struct_passwd | None) -> int:
        arguments, environment = command["arguments"], command["environment"]
        assert isinstance(arguments, list)
        assert isinstance(environment, list)
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            "MESOS_SANDBOX": self._run_dir,
            **{str(name): str(value) for name, value in environment},
        }
        program = str(command["program"])
        return forked(lambda: _become(program, arguments, variables, self._run_dir, account))

    def _supervise(self, pid: int, command: dict[str, object]) -> Verdict:
        """Wait for the end of the process, and bring it about when that is asked for."""
        began = time.monotonic()
        limit = command["max_seconds"]
        expires = None if limit is None else began + float(str(limit))
        asked: float | None = None  # since when the process shall end
        overdue = False
        while (status := _reaped(pid)) is None:
            now = time.monotonic()
            if self._stop_reason is not None and asked is None:
                asked = now
                if command["killing_state"]:
                    self._report("TASK_KILLING", None)
                procs.send_to_all(signal.SIGTERM)
            if expires is not None and now >= expires and asked is None:
                overdue, asked = True, now
                procs.send_to_all(signal.SIGTERM)
            until = expires if asked is None else asked + (0.0 if overdue else self._patience(command))
            if asked is not None and until is not None and now >= until:
                procs.send_to_all(signal.SIGKILL)
                until = now + 0.1  # what was started in between
            self._wait(None if until is None else max(0.0, until - now))
        said = _said(status)
        if overdue:
            return "TASK_FAILED", said, _TOO_LONG, ""
        if asked is not None:
            return "TASK_KILLED", said, "", ""
        return ("TASK_FINISHED" if status == 0 else "TASK_FAILED"), said, "", ""

    def _patience(self, command: dict[str, object]) -> float:
        if self._stop_reason != KILLED:
            return _SHUTDOWN_GRACE
        return float(str(command["grace"] if self._grace is None else self._grace))


def _reaped(pid: int) -> int | None:
    """Exit code of the process, negative for a signal; orphans that were handed to us are reaped too."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == 0:
            return None
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def _said(status: int) -> str:
    if status >= 0:
        return f"Command exited with status {status}"
    return f"Command terminated with signal {signal.strsignal(-status)}"


def _give(directory: str, uid: int, gid: int) -> None:
    """A directory and all below it become another account's."""
    os.chown(directory, uid, gid)
    for path, folders, names in os.walk(directory):
        for name in (*folders, *names):
            os.chown(f"{path}/{name}", uid, gid, follow_symlinks=False)


def _become(
    program: str,
    arguments: list[str],
    variables: dict[str, str],
    directory: str,
    account: pwd.struct_passwd | None,
) -> None:
    try:
        stand_alone(directory)
        if account is not None:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        os.execvpe(program, arguments or [program], variables)
    except OSError as error:
        os.write(2, f"Failed to execute command: {error}\n".encode("utf-8", "replace"))

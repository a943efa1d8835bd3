"""The two processes of an executor: a guardian that only waits, and the runner below it.

Whoever of them is killed, the other ends every process of the task; when the agent disappears (its end of
the channel closes, also after SIGKILL), the runner does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from airavata_mesos_plugin.minicluster.executor import procs
from airavata_mesos_plugin.minicluster.executor.channel import AgentGone, Channel


def main(channel_fd: int, run_dir: str) -> int:
    """Run the task described by the JSON on standard input.  Returns the exit code of the runner."""
    with os.fdopen(0, "rb", closefd=False) as stdin:
        launch = json.load(stdin)
    os.set_inheritable(channel_fd, False)  # the agent takes its closing for the end of the runner
    procs.become_subreaper()
    guardian = os.getpid()
    # Blocked until each side has its handlers, so that no signal is lost in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    runner = os.fork()
    if runner == 0:
        code = 1
        try:
            code = _run(launch, channel_fd, run_dir, guardian)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(channel_fd)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: _forward(runner))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT])
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == runner:
            procs.kill_everything()
            return abs(os.waitstatus_to_exitcode(status))


def _forward(runner: int) -> None:
    try:
        os.kill(runner, signal.SIGTERM)
    except ProcessLookupError:
        return


def _runner(launch: dict[str, object], channel: socket.socket, run_dir: str, wakeup: int) -> Channel:
    # Each task needs but one of the two.
    if launch["command"] is not None:
        from airavata_mesos_plugin.minicluster.executor.command import CommandRunner

        return CommandRunner(launch, channel, run_dir, wakeup)
    from airavata_mesos_plugin.minicluster.executor.runner import Runner

    return Runner(launch, channel, run_dir, wakeup)


def _run(launch: dict[str, object], channel_fd: int, run_dir: str, guardian: int) -> int:
    procs.become_subreaper()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    channel = socket.socket(fileno=channel_fd)
    runner = _runner(launch, channel, run_dir, wake_read)

    def on_term(_signum: int, _frame: object) -> None:
        runner.terminated = True

    def on_guardian_death(_signum: int, _frame: object) -> None:
        runner.abandoned = True

    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, on_guardian_death)
    signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT])
    procs.signal_on_parent_death(signal.SIGUSR1)
    if os.getppid() != guardian:
        runner.abandoned = True
    try:
        runner.run()
    except AgentGone:
        procs.kill_everything()
        return 1
    return 0

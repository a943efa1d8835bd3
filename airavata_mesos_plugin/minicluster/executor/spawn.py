"""Starting one run of a process: `/bin/bash -c <cmdline>` in the sandbox, with its own session and log
files."""

from __future__ import annotations

import os

from airavata_mesos_plugin.minicluster.executor.child import forked, stand_alone
from airavata_mesos_plugin.minicluster.executor.config import Process
from airavata_mesos_plugin.minicluster.executor.rotation import run_between

_SHELL = "/bin/bash"
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def environment(sandbox: str, role: str, path: str) -> dict[str, str]:
    """Variables of every process: these and no others are passed on (Aurora 0.22)."""
    variables = {"HOME": sandbox, "LOGNAME": role, "USER": role, "PATH": path}
    profile = f"{sandbox}/.thermos_profile"
    if os.path.exists(profile):  # noqa: PTH110 - no pathlib in the executor
        variables["BASH_ENV"] = profile
    return variables


def _outputs(process: Process, run: int, sandbox: str) -> tuple[int, int]:
    if process.destination == "none":
        null = os.open(os.devnull, os.O_WRONLY)
        return null, os.dup(null)
    if process.destination == "console":
        return os.dup(1), os.dup(2)
    directory = _log_directory(process, run, sandbox)
    return os.open(f"{directory}/stdout", _LOG_FLAGS, 0o644), os.open(
        f"{directory}/stderr", _LOG_FLAGS, 0o644
    )


def _log_directory(process: Process, run: int, sandbox: str) -> str:
    directory = f"{sandbox}/.logs/{process.name}/{run}"
    os.makedirs(directory, exist_ok=True)  # noqa: PTH103
    return directory


def spawn(process: Process, run: int, sandbox: str, role: str, path: str) -> int:
    """Fork and exec; returns the process id. Logs go to `.logs/<process>/<run>/` unless the process says
    otherwise.

    Raises OSError when the logs cannot be made or no process can be forked.
    """
    variables = environment(sandbox, role, path)
    if process.rotation is not None and process.destination in ("file", "both"):
        return _spawn_rotated(process, run, sandbox, variables, process.rotation)
    out, err = _outputs(process, run, sandbox)
    try:
        return forked(lambda: _become(process.cmdline, sandbox, variables, out, err))
    finally:
        os.close(out)
        os.close(err)


def _spawn_rotated(
    process: Process, run: int, sandbox: str, variables: dict[str, str], rotation: tuple[int, int]
) -> int:
    directory = _log_directory(process, run, sandbox)

    def copy_logs() -> None:
        try:
            run_between(
                lambda out, err: _fork(process.cmdline, sandbox, variables, out, err), directory, *rotation
            )
        except OSError as error:
            os.write(2, f"cannot write logs to {directory}: {error}\n".encode("utf-8", "replace"))

    return forked(copy_logs)


def _fork(cmdline: str, sandbox: str, variables: dict[str, str], out: int, err: int) -> int:
    return forked(lambda: _become(cmdline, sandbox, variables, out, err))


def _become(cmdline: str, sandbox: str, variables: dict[str, str], out: int, err: int) -> None:
    try:
        stand_alone(sandbox)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.execve(_SHELL, [_SHELL, "-c", cmdline], variables)
    except OSError as error:
        os.write(2, f"cannot start {_SHELL}: {error}\n".encode("utf-8", "replace"))

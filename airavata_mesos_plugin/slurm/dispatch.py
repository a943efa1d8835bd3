"""From a command's name to its answer. Whatever goes wrong, the caller gets a line and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from airavata_mesos_plugin.clock import Clock, SystemClock
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.slurm import sacct, sbatch, scancel, scontrol, sinfo, squeue, srun
from airavata_mesos_plugin.slurm.options import OptionError
from airavata_mesos_plugin.slurm.session import CommandFailed, Invocation, JobProvider, Result

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Command:
    run: Callable[[Invocation, JobProvider, Clock], Result]
    option_exit: int = 1  # exit code of a command line that cannot be read
    option_hint: bool = True  # whether it says where help is


_COMMANDS: dict[str, _Command] = {
    "sbatch": _Command(sbatch.run, option_exit=255),
    "squeue": _Command(squeue.run),
    "scancel": _Command(scancel.run),
    "sacct": _Command(sacct.run, option_hint=False),
    "sinfo": _Command(sinfo.run),
    "scontrol": _Command(scontrol.run),
    "srun": _Command(srun.run, option_exit=255),
}


def run(invocation: Invocation, provider: JobProvider, clock: Clock | None = None) -> Result:
    """Carry out one command. Raises nothing; a fault inside becomes a line on stderr and a log record.

    A repeat of sbatch is a new job; every other command may be repeated freely.
    """
    name = invocation.command
    command = _COMMANDS.get(name)
    if command is None:
        return Result("", f"{name}: error: there is no such command here\n", 1)
    try:
        return command.run(invocation, provider, clock or SystemClock())
    except CommandFailed as failed:
        return failed.result
    except OptionError as error:
        hint = f'Try "{name} --help" for more information\n' if command.option_hint else ""
        return Result("", f"{name}: {error}\n{hint}", command.option_exit)
    except AiravataMesosError as error:
        log.warning("%s of %s failed: %s", name, invocation.user, error)
        return Result("", f"{name}: error: {_one_line(error)}\n", 1)
    except Exception as error:  # the caller must never see a traceback, and the daemon must go on
        log.exception("%s of %s failed", name, invocation.user)
        after = (
            "; the job may have been submitted: look with squeue before trying again"
            if name == "sbatch"
            else ""
        )
        return Result(
            "",
            f"{name}: error: internal fault ({type(error).__name__}); see the log of the provider{after}\n",
            1,
        )


def _one_line(error: AiravataMesosError) -> str:
    return " ".join(str(error).split())

"""srun outside of a job. Inside of one another program answers to the name, which the wrapper put there."""

from __future__ import annotations

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.slurm import request
from airavata_mesos_plugin.slurm.options import Argument, Option, parse
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS
from airavata_mesos_plugin.slurm.session import (
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    about,
)

_NOT_SRUN = ("wrap", "parsable", "array", "test-only", "ignore-pbs", "wait", "batch", "requeue", "no-requeue")

SRUN_OPTIONS: tuple[Option, ...] = (
    *(option for option in SBATCH_OPTIONS if option.long not in _NOT_SRUN),
    Option("immediate", "I", Argument.OPTIONAL),
    Option("jobid", "", Argument.REQUIRED),
    Option("kill-on-bad-exit", "K", Argument.OPTIONAL),
    Option("label", "l"),
    Option("mpi", "", Argument.REQUIRED),
    Option("multi-prog"),
    Option("overlap"),
    Option("exact"),
    Option("pty"),
    Option("relative", "r", Argument.REQUIRED),
    Option("slurmd-debug", "", Argument.REQUIRED),
    Option("test-only", "Z"),
    Option("threads", "T", Argument.REQUIRED),
    Option("unbuffered"),
    Option("wait", "W", Argument.REQUIRED),
)

USAGE = "Usage: srun [-n ntasks] [-c cpus] [-l] [-K] [-i file] [-o file] [-e file] program [arguments]\n"


def run(invocation: Invocation, provider: JobProvider, _clock: Clock) -> Result:
    """Say that a program has to be submitted. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SRUN_OPTIONS, stop_at_word=True)
    if (told := about(options, USAGE)) is not None:
        return told
    if not options.words:
        raise CommandFailed("srun: fatal: No command given to execute.")
    try:
        request.queues(provider.settings, options.value("partition"))
    except CommandFailed as failed:
        text = failed.result.stderr.replace(request.FAILED, "srun: error: Unable to allocate resources: ")
        raise CommandFailed(*text.replace("sbatch: ", "srun: ").splitlines()) from failed
    raise CommandFailed(
        "srun: error: Unable to allocate resources: Requested operation is presently disabled",
        "srun: error: programs are not started from here: put srun into a script and submit that with sbatch",
    )

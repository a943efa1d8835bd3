"""Directives of other schedulers that sbatch reads: ``#PBS`` and ``#BSUB`` lines become options of sbatch.

As in SLURM 22.05 they are stronger than ``#SBATCH`` lines, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airavata_mesos_plugin.slurm.options import Argument, Option, OptionError, parse

_VALUE = Argument.REQUIRED

# The name of an entry is the option of sbatch that it means; empty: it means nothing here.
_PBS = (
    *(Option(f"pbs-{letter}", letter, _VALUE, dest) for letter, dest in (
        ("N", "job-name"), ("q", "partition"), ("A", "account"), ("o", "output"), ("e", "error"),
        ("a", "begin"), ("d", "chdir"), ("D", "chdir"), ("M", "mail-user"), ("m", "mail"), ("l", "resources"),
        ("t", "array"), ("J", "array"), ("r", "rerun"), ("W", "attributes"), ("v", "export"),
        *((letter, "nothing") for letter in "CcijkSpPuw"),
    )),
    *(Option(f"pbs-{letter}", letter, Argument.NONE, dest) for letter, dest in (
        ("h", "hold"), ("V", "export-all"), ("I", "nothing"), ("z", "nothing"), ("X", "nothing"),
    )),
)  # fmt: skip
_BSUB = (
    *(Option(f"bsub-{letter}", letter, _VALUE, dest) for letter, dest in (
        ("J", "job-name"), ("q", "partition"), ("P", "account"), ("o", "output"), ("oo", "output"),
        ("e", "error"), ("eo", "error"), ("b", "begin"), ("cwd", "chdir"), ("u", "mail-user"),
        ("W", "minutes"), ("n", "ntasks"), ("M", "memory"),
        *((letter, "nothing") for letter in "iRGgLmSswEktU"),
    ) if len(letter) == 1),
    *(Option(f"bsub-{letter}", letter, Argument.NONE, dest) for letter, dest in (
        ("H", "hold"), ("B", "nothing"), ("N", "nothing"), ("x", "nothing"), ("r", "requeue"),
        ("I", "nothing"),
    )),
)  # fmt: skip

_RESOURCES = {
    "walltime": "time",
    "mem": "mem",
    "pmem": "mem-per-cpu",
    "vmem": "mem",
    "procs": "ntasks",
    "ncpus": "cpus-per-task",
    "mpiprocs": "ntasks-per-node",
    "mppwidth": "ntasks",
    "mppdepth": "cpus-per-task",
    "mppnppn": "ntasks-per-node",
    "ngpus": "gpus",
}
_MAIL = {"a": "FAIL", "b": "BEGIN", "e": "END", "n": "NONE"}


class ForeignError(Exception):
    """A line cannot be read; the lines are SLURM's."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.lines = (f"sbatch: {first}", "sbatch: error: Unrecognized command line parameter ?")


def translate(system: str, words: Sequence[str]) -> list[str]:
    """One line of ``system`` (``PBS`` or ``BSUB``) as options of sbatch. Raises ForeignError."""
    try:
        found = parse(words, _PBS if system == "PBS" else _BSUB, stop_at_word=False)
    except OptionError as error:
        raise ForeignError(str(error)) from error
    options: list[str] = []
    for given in found.options:
        value = given.value or ""
        name = given.option.dest
        if name == "resources":
            options += _resources(value)
        elif name == "mail":
            options.append("--mail-type=" + ",".join(_MAIL[c] for c in value if c in _MAIL))
        elif name == "rerun":
            options.append("--no-requeue" if value.lower().startswith("n") else "--requeue")
        elif name == "attributes":
            options += [f"--dependency={v}" for k, v in _pairs(value).items() if k == "depend"]
        elif name == "export-all":
            options.append("--export=ALL")
        elif name == "minutes":
            # LSF writes hours and minutes; for sbatch two numbers are minutes and seconds.
            clock = value.split("/")[0]
            options.append(f"--time={clock}:00" if ":" in clock else f"--time={clock}")
        elif name == "memory":
            options.append(f"--mem={value}")
        elif name in ("hold", "requeue"):
            options.append(f"--{name}")
        elif name != "nothing":
            options.append(f"--{name}={value}")
    return options


def _resources(text: str) -> list[str]:
    options: list[str] = []
    for name, value in _pairs(text).items():
        if name in ("nodes", "select"):
            count, *parts = value.split(":")
            options.append(f"--nodes={count}")
            for part in parts:
                key, _, number = part.partition("=")
                if key == "ppn":
                    options.append(f"--ntasks-per-node={number}")
                elif key in _RESOURCES:
                    options.append(f"--{_RESOURCES[key]}={number}")
        elif name in _RESOURCES:
            options.append(f"--{_RESOURCES[name]}={value}")
    return options


def _pairs(text: str) -> Mapping[str, str]:
    pairs = {}
    for entry in text.split(","):
        name, _, value = entry.partition("=")
        pairs[name.strip().lower()] = value.strip()
    return pairs

"""docs/command-line.md names every option that is not simply honoured, and of sbatch every one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airavata_mesos_plugin.slurm.options import Option
from airavata_mesos_plugin.slurm.sacct import SACCT_OPTIONS
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS
from airavata_mesos_plugin.slurm.scancel import SCANCEL_OPTIONS
from airavata_mesos_plugin.slurm.scontrol import SCONTROL_OPTIONS
from airavata_mesos_plugin.slurm.session import COMMANDS
from airavata_mesos_plugin.slurm.sinfo import SINFO_OPTIONS
from airavata_mesos_plugin.slurm.squeue import SQUEUE_OPTIONS

TEXT = (Path(__file__).parents[3] / "docs/command-line.md").read_text()
ROW = re.compile(r"^\| `(?:(\w+) )?--([\w-]+)`(?: `-(\w)`)? \| (\w+) \| (.*) \|$", re.MULTILINE)
OTHERS = {
    "squeue": SQUEUE_OPTIONS,
    "sacct": SACCT_OPTIONS,
    "scancel": SCANCEL_OPTIONS,
    "sinfo": SINFO_OPTIONS,
    "scontrol": SCONTROL_OPTIONS,
}


def kind(option: Option) -> str:
    return "ignored" if option.ignored else "refused" if option.refused else "honoured"


def documented(command: str) -> list[tuple[str, str, str]]:
    """What the tables say of a command: long name, letter, kind."""
    return [
        (long, short, "honoured" if how == "mapped" else how)
        for of, long, short, how, _note in ROW.findall(TEXT)
        if of == command
    ]


def test_every_option_of_sbatch_is_in_the_table() -> None:
    assert documented("") == [(option.long, option.short or "", kind(option)) for option in SBATCH_OPTIONS]


@pytest.mark.parametrize("command", OTHERS)
def test_what_another_command_does_not_honour_is_in_the_table(command: str) -> None:
    assert documented(command) == [
        (option.long, option.short or "", kind(option))
        for option in OTHERS[command]
        if kind(option) != "honoured"
    ]


def test_a_reason_stands_beside_all_that_is_not_honoured() -> None:
    assert [row for row in ROW.findall(TEXT) if row[3] in ("ignored", "refused") and not row[4]] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_named(command: str) -> None:
    assert f"`{command}`" in TEXT

"""Options as getopt_long reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.slurm.options import Option, OptionError, parse
from airavata_mesos_plugin.slurm.sacct import SACCT_OPTIONS
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS
from airavata_mesos_plugin.slurm.scancel import SCANCEL_OPTIONS
from airavata_mesos_plugin.slurm.sinfo import SINFO_OPTIONS
from airavata_mesos_plugin.slurm.squeue import SQUEUE_OPTIONS

TABLES = {
    "sbatch": SBATCH_OPTIONS,
    "squeue": SQUEUE_OPTIONS,
    "scancel": SCANCEL_OPTIONS,
    "sacct": SACCT_OPTIONS,
    "sinfo": SINFO_OPTIONS,
}


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["-J", "a"], "job-name", "a"),
        (["-Ja"], "job-name", "a"),
        (["-J=a"], "job-name", "=a"),
        (["--job-name=a"], "job-name", "a"),
        (["--job-name", "a"], "job-name", "a"),
        (["--job=a"], "job-name", "a"),
        (["--job-name="], "job-name", ""),
        (["-J", "a", "-J", "b"], "job-name", "b"),
        (["-J", "-t"], "job-name", "-t"),
        (["-QJa"], "job-name", "a"),
        (["--tasks=2"], "ntasks-per-node", "2"),
        (["--nice=5"], "nice", "5"),
        (["--nice", "5"], "nice", None),
        (["--exclusive"], "exclusive", None),
        (["--time=10"], "time", "10"),
    ],
)
def test_sbatch_forms(argv: list[str], name: str, value: str | None) -> None:
    parsed = parse(argv, SBATCH_OPTIONS, stop_at_word=True)
    assert parsed.has(name)
    assert parsed.value(name) == value


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--nosuchoption"], "unrecognized option '--nosuchoption'"),
        (["--nosuch=1"], "unrecognized option '--nosuch=1'"),
        (["-Z"], "invalid option -- 'Z'"),
        (["-p"], "option requires an argument -- 'p'"),
        (["--partition"], "option '--partition' requires an argument"),
        (["--parsable=1"], "option '--parsable' doesn't allow an argument"),
        (["--tim=10"], "option '--tim=10' is ambiguous; possibilities: '--time' '--time-min'"),
        (["--acc=chem"], "option '--acc=chem' is ambiguous; possibilities: '--account' '--acctg-freq'"),
        (["-I"], "invalid option -- 'I'"),
        (["-K"], "invalid option -- 'K'"),
        (["-X"], "invalid option -- 'X'"),
        (["-l"], "invalid option -- 'l'"),
        (["-U", "x"], "invalid option -- 'U'"),
        (["--immediate"], "unrecognized option '--immediate'"),
        (["--workdir=/tmp"], "unrecognized option '--workdir=/tmp'"),
        (["--nnodes=2"], "unrecognized option '--nnodes=2'"),
    ],
)
def test_sbatch_faults(argv: list[str], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(argv, SBATCH_OPTIONS, stop_at_word=True)
    assert str(caught.value) == text


def test_squeue_s_is_ambiguous_in_the_order_of_its_table() -> None:
    with pytest.raises(OptionError, match="'--sib' '--sort' '--start' '--steps' '--states'"):
        parse(["--s=R"], SQUEUE_OPTIONS, stop_at_word=False)


def test_words_after_the_script_are_its_own() -> None:
    parsed = parse(["-J", "a", "d.sh", "-J", "late"], SBATCH_OPTIONS, stop_at_word=True)
    assert parsed.words == ("d.sh", "-J", "late")
    assert parsed.value("job-name") == "a"


def test_words_may_stand_between_options() -> None:
    parsed = parse(["5", "-v", "6", "--", "-u"], SCANCEL_OPTIONS, stop_at_word=False)
    assert parsed.words == ("5", "6", "-u")


@pytest.mark.parametrize(
    ("argv", "value"),
    [(["-j", "5"], "5"), (["-j5"], "5"), (["-j"], None), (["-j", "-h"], None), (["-j", ""], "")],
)
def test_a_value_that_may_be_left_out(argv: list[str], value: str | None) -> None:
    parsed = parse(argv, SQUEUE_OPTIONS, stop_at_word=False)
    assert parsed.has("jobs")
    assert parsed.value("jobs") == value


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_are_sound(table: tuple[Option, ...]) -> None:
    longs = [option.long for option in table]
    shorts = [option.short for option in table if option.short]
    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)
    assert not [option.long for option in table if option.ignored and option.refused]
    for option in table:
        assert option.dest in ("", *longs), option.long


@given(st.sampled_from(sorted(TABLES)), st.lists(st.text()))
def test_any_command_line_is_read_or_refused(command: str, argv: list[str]) -> None:
    try:
        parsed = parse(argv, TABLES[command], stop_at_word=command == "sbatch")
    except OptionError as error:
        assert str(error)  # noqa: PT017 - either outcome is good
    else:
        assert len(parsed.words) <= len(argv)

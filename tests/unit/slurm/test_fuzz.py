"""Bad input: nothing that is typed makes a traceback, hangs or acts on a job that it does not name."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timezone

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.jobs import MOST_INDEXES, JobPhase, JobRecord, array_indexes
from airavata_mesos_plugin.provider import dependencies
from airavata_mesos_plugin.slurm import environment, foreign, selecting, times
from airavata_mesos_plugin.slurm.sacct import SACCT_OPTIONS
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS
from airavata_mesos_plugin.slurm.scancel import SCANCEL_OPTIONS
from airavata_mesos_plugin.slurm.scontrol import SCONTROL_OPTIONS
from airavata_mesos_plugin.slurm.session import Result
from airavata_mesos_plugin.slurm.sinfo import SINFO_OPTIONS
from airavata_mesos_plugin.slurm.squeue import SQUEUE_OPTIONS

from .conftest import NOW

Call = Callable[..., Result]
AddJob = Callable[..., JobRecord]

OPTIONS = {
    "sbatch": SBATCH_OPTIONS,
    "squeue": SQUEUE_OPTIONS,
    "sacct": SACCT_OPTIONS,
    "scancel": SCANCEL_OPTIONS,
    "sinfo": SINFO_OPTIONS,
    "scontrol": SCONTROL_OPTIONS,
    "srun": SBATCH_OPTIONS,
}
HARD = (
    *("", "-", "--", "=", ",", "0", "-1", "1", "2", "1,2", "0" * 5000, "9" * 5000, "²", "٣", "1²"),
    *("1_[1-3]", "1_2", "1_", "1_[", "1_[]", "1_*", "1.batch", "1.²", "1_[0-999999999]", "1_[5-1]", "1%2"),
    *(
        "all",
        "job",
        "node",
        "n[1-999999999]",
        "n[1-,2]",
        "n[²]",
        "n[1-2][3]",
        "%",
        "%i",
        "%.9999i",
        "%9999999i",
    ),
    *(
        "JobID:.9",
        "JobID:99999",
        "JobID%-20",
        "JobID%²",
        "now",
        "now+999999999weeks",
        "now+9days",
        "uts99999999999",
    ),
    *(
        "2026-02-30",
        "9999-12-31T23:59:59",
        "0001-01-01",
        "24:00",
        "00:00:60",
        "12am",
        "-0:0",
        "1-2-3",
        "99-99:99",
    ),
    *(
        "afterok:1",
        "after:1+999999999",
        "singleton",
        "afterok:²",
        "0-3:0",
        "0-999999999",
        "1k",
        "9" * 18 + "T",
    ),
    *(
        "JobId=1",
        "JobId=",
        "Name=x",
        "TimeLimit=+1",
        "TimeLimit=²",
        "Priority=0",
        "StartTime=now+1day",
        "QOS=",
    ),
    *("gpu:²", "gpu:999999999999", "\n", "a\nb", "\x1b[2J", "\udcff", "ALL,A=1", "=x", "A=\x00", "NONE"),
    *(
        "show",
        "hold",
        "release",
        "update",
        "requeue",
        "requeuehold",
        "write",
        "batch_script",
        "hostlist",
        "ping",
    ),
    *(
        "hostnames",
        "config",
        "partition",
        "uhold",
        "batch",
        "x",
        "alice",
        "root",
        "TERM",
        "KILL",
        "STOP",
        "99",
    ),
)
WORDS = st.one_of(
    st.sampled_from(HARD),
    st.text(max_size=12),
    st.binary(max_size=12).map(lambda word: os.fsdecode(word.replace(b"\0", b""))),
)

ARGUMENTS = WORDS.map(lambda word: word.replace("\0", ""))  # no argument of a process has one


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command with options of its own and values of any kind."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    own = [f"--{option.long}" for option in OPTIONS[command]]
    own += [f"-{option.short}" for option in OPTIONS[command] if option.short]
    argv: list[str] = []
    for name, value in draw(st.lists(st.tuples(st.sampled_from(own), ARGUMENTS), max_size=4)):
        argv += draw(st.sampled_from(([name, value], [f"{name}={value}"], [name + value], [name], [value])))
    return [command, *argv]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(
    line=lines(),
    environ=st.dictionaries(
        st.sampled_from(
            (
                "SQUEUE_FORMAT",
                "SBATCH_ARRAY_INX",
                "SLURM_TIME_FORMAT",
                "SACCT_FORMAT",
                "SQUEUE_SORT",
                "SINFO_FORMAT",
                "SBATCH_TIMELIMIT",
                "SLURM_CLUSTERS",
                "TZ",
            )
        ),
        ARGUMENTS,
        max_size=2,
    ),
)
def test_no_command_line_makes_a_traceback(
    call: Call,
    add_job: AddJob,
    cancelled: list[int],
    records: dict[int, JobRecord],
    scripts: dict[int, str],
    line: list[str],
    environ: dict[str, str],
) -> None:
    records.clear()
    cancelled.clear()
    scripts.update({1: "#!/bin/sh\n", 2: "#!/bin/sh\n"})
    add_job(JobPhase.RUNNING)
    add_job(JobPhase.QUEUED, {"user": "bob", "uid": 5002}, array_id=2, array_index=2)
    result = call(line, environ=environ, stdin=b"#!/bin/sh\n")
    assert "internal fault" not in result.stderr
    assert 0 <= result.exit_code <= 255
    assert 2 not in cancelled
    assert len(records) == 2 or line[0] == "sbatch"


@given(st.one_of(st.text(), WORDS, st.from_regex(r"[0-9:/.\-T+apmnow ]{0,24}")), st.booleans())
def test_a_time_is_a_number_or_refused(text: str, past: bool) -> None:
    try:
        moment = times.parse(text, NOW, timezone.utc, past=past)
    except times.BadTime:
        return
    assert abs(moment) < 1e18


@given(st.one_of(st.text(), WORDS))
@example("0" * 5000)
@example("0" * 5000 + "7")
def test_only_digits_name_a_job(text: str) -> None:
    found = selecting.job_name(text)
    assert found is None or (found.id > 0 and text.lstrip("0").startswith(str(found.id)))


@given(st.one_of(st.text(), WORDS, st.from_regex(r"[n0-9\[\],-]{0,30}")))
@example(",".join("n[1-9999]" for _ in range(1000)))
def test_hosts_are_few(text: str) -> None:
    assert len(hostlist.expand(text)) <= hostlist.MOST_HOSTS + 1 + text.count(",")


@given(st.one_of(st.text(), WORDS, st.from_regex(r"[0-9:,-]{0,30}")))
@example(",".join("1-99999" for _ in range(1000)))
@example("1-9:0")
def test_indexes_are_few(text: str) -> None:
    try:
        indexes = array_indexes(text)
    except ValueError:
        return
    assert len(indexes) <= MOST_INDEXES
    assert list(indexes) == sorted(set(indexes))


@given(st.one_of(st.text(), WORDS, st.from_regex(r"(after(ok|any)?|[0-9:_*+?,]){0,8}")))
def test_a_dependency_reads_again_as_it_is_written(text: str) -> None:
    try:
        found = dependencies.parse(text)
    except ValueError:
        return
    assert dependencies.parse(str(found)) == found


@pytest.mark.parametrize("system", ["PBS", "BSUB"])
@given(words=st.lists(WORDS, max_size=5))
def test_lines_of_other_systems_are_read_or_refused(system: str, words: list[str]) -> None:
    try:
        translated = foreign.translate(system, words)
    except foreign.ForeignError:
        return
    assert all(word.startswith("--") for word in translated)


@given(
    environ=st.dictionaries(st.text(min_size=1), st.text()),
    export=st.one_of(st.none(), st.text(), WORDS),
)
def test_an_environment_comes_apart_as_it_was_put_together(
    environ: dict[str, str], export: str | None
) -> None:
    try:
        text = environment.collect(environ, export)
    except ValueError:
        return
    entries = text.split("\0")
    assert entries.pop() == ""
    assert all("=" in entry for entry in entries)

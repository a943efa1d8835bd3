"""Names of output files: SLURM's patterns, and that no name leaves the working directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.filenames import confined_parts, expand, parts
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources


def a_record(**request: Any) -> JobRecord:
    values: dict[str, Any] = {
        "name": "patname",
        "user": "alice",
        "uid": 5001,
        "queue": "default",
        "working_directory": "/scratch/P1",
        "resources": Resources(cpus=1, memory_mb=100, disk_mb=100),
        "wall_time_seconds": 60,
        **request,
    }
    return JobRecord(
        id=62,
        request=JobRequest(**values),
        phase=JobPhase.QUEUED,
        cluster="c",
        key=JobKey("r", "e", "n"),
        attempt=1,
        run=0,
        accepted_at=0,
        changed_at=0,
    )


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("slurm-%j.out", "slurm-62.out"),
        (
            "j%j-A%A-a%a-N%N-n%n-u%u-x%x-J%J-s%s-t%t-b%b.out",
            "j62-A62-a4294967294-Nnode1-n0-ualice-xpatname-J62-sbatch-t0-b%b.out",
        ),
        ("%6j-%4a.out", "000062-4294967294.out"),
        ("%3t", "000"),
        ("%0j", "62"),
        ("%99j", "0000000062"),
        ("%9x", "patname"),
        ("a%%b-%q-%.out", "a%b-%q-%.out"),
        ("%%N", "%N"),
        ("%%%N", "%node1"),
        ("%%%%j", "%%j"),
        ("raw\\%j.out", "raw%j.out"),
        ("a\\\\%N", "a\\%N"),
        ("end\\", "end"),
        ("100%", "100%"),
        ("", ""),
    ],
)
def test_patterns(pattern: str, name: str) -> None:
    assert expand(pattern, replace(a_record(), host="node1.example.org")) == name


def test_values_are_not_patterns() -> None:
    record = replace(a_record(name="%j %N %%"), host="node1")
    assert expand("%x", record) == "%j %N %%"


@pytest.mark.parametrize(
    ("host", "node_list", "name"),
    [
        ("", "", "log-?"),
        ("10.0.0.7", "", "log-10.0.0.7"),
        ("fd00::7", "", "log-fd00::7"),
        ("agent-2.example.org", "agent-[1-3]", "log-agent-1"),
        ("agent-7.example.org", "agent-7.example.org,agent-7.example.net", "log-agent-7.example.org"),
    ],
)
def test_the_node_is_the_one_that_runs_the_script(host: str, node_list: str, name: str) -> None:
    assert expand("log-%N", replace(a_record(), host=host, node_list=node_list), "?") == name


def test_a_name_without_host_is_one_part() -> None:
    assert parts("a%N%Nb", a_record()) == ("a", "", "b")
    assert parts("plain", a_record()) == ("plain",)


@pytest.mark.parametrize(
    "pattern", ["Echo.stdout", "out/%x/%j", "/dev/null", ".hidden", "a..b", "...", "./x"]
)
def test_names_inside_are_kept(pattern: str) -> None:
    assert confined_parts(pattern, a_record(), "--output") == parts(pattern, a_record())


@pytest.mark.parametrize(
    ("pattern", "name", "trouble"),
    [
        ("../x", "n", "climbs out of the working directory"),
        ("a/../../x", "n", "climbs out"),
        ("%x", "../../etc/x", "climbs out"),
        ("/etc/x", "n", "not below the working directory"),
        ("%x/y", "", "not below"),
        ("/dev/nullx", "n", "not below"),
        ("", "n", "not the name of a file"),
        ("dir/", "n", "not the name of a file"),
        (".", "n", "not the name of a file"),
        (".airavata-mesos/result", "n", "reserved"),
        ("./.logs/run/0/stdout", "n", "reserved"),
        (".thermos_profile", "n", "reserved"),
        ("a\0b", "n", "NUL"),
    ],
)
def test_names_outside_are_refused(pattern: str, name: str, trouble: str) -> None:
    with pytest.raises(InvalidRequest, match=trouble) as caught:
        confined_parts(pattern, a_record(name=name), "--error")
    assert "job 62" in str(caught.value)
    assert "--error" in str(caught.value)


@given(pattern=st.text(alphabet="ab./%jxN\\ \n", max_size=12), name=st.text(alphabet="ab./", max_size=6))
def test_what_is_accepted_stays_inside(pattern: str, name: str) -> None:
    record = a_record(name=name)
    try:
        pieces = confined_parts(pattern, record, "--output")
    except InvalidRequest:
        return
    path = PurePosixPath("node1".join(pieces))
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert path.parts

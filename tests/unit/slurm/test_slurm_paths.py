"""Where a job may write: working directories and output names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnPaths
from airavata_mesos_plugin.slurm import paths
from airavata_mesos_plugin.slurm.session import Result

Call = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.out", "a.out"),
        ("./a.out", "a.out"),
        ("sub/a.out", "sub/a.out"),
        ("sub/../a.out", "a.out"),
        ("{w}/a.out", "a.out"),
        ("{w}//sub/./a.out", "sub/a.out"),
        ("{w}/../run/a.out", "a.out"),
        ("../run/a.out", "a.out"),
        ("{link}/a.out", "a.out"),
        ("{link}/sub/a.out", "sub/a.out"),
        ("inside/a.out", "inside/a.out"),
        ("slurm-%j.out", "slurm-%j.out"),
        ("with blank 'and' \"quotes\" \u00e4\n.out", "with blank 'and' \"quotes\" \u00e4\n.out"),
        ("..a", "..a"),
        ("/dev/null", "/dev/null"),
    ],
)
def test_names_inside(workdir: Path, text: str, expected: str) -> None:
    link = workdir.parent / "link"
    link.symlink_to(workdir)
    (workdir / "sub").mkdir()
    (workdir / "inside").symlink_to(workdir / "sub")
    spelled = text.replace("{w}", str(workdir)).replace("{link}", str(link))
    assert paths.output_name(spelled, str(workdir), (), OwnPaths()) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("../x", "leads out"),
        ("sub/../../x", "leads out"),
        ("/etc/passwd", "is not inside"),
        ("{w}-other/x", "is not inside"),
        ("{w}/../x", "leads out"),
        ("out/x", "symbolic link"),
        ("out", "symbolic link"),
        ("out/../x", "symbolic link"),
        ("dangling", "symbolic link"),
        (".", "itself"),
        ("{w}", "itself"),
        ("", "not the name"),
        ("sub/", "not the name"),
    ],
)
def test_names_outside(workdir: Path, text: str, why: str) -> None:
    (workdir / "sub").mkdir()
    (workdir.parent / "elsewhere").mkdir()
    (workdir / "out").symlink_to(workdir.parent / "elsewhere")
    (workdir / "dangling").symlink_to("/nosuch/file")
    with pytest.raises(paths.PathRefused, match=why):
        paths.output_name(text.replace("{w}", str(workdir)), str(workdir), (), OwnPaths())


def test_a_spelling_that_is_gone_still_counts(workdir: Path) -> None:
    assert paths.output_name("/scratch/P1/a.out", str(workdir), ("/scratch/P1",), OwnPaths()) == "a.out"


def test_spellings(workdir: Path) -> None:
    link = workdir.parent / "link"
    link.symlink_to(workdir)
    found = paths.spellings(
        str(workdir),
        [str(workdir), str(link), f"{link}/.", "", "relative", "/nosuch", str(workdir.parent)],
        OwnPaths(),
    )
    assert found == (str(link),)


def test_aliases_reach_the_request(call: Call, workdir: Path, records: dict[int, JobRecord]) -> None:
    link = workdir.parent / "link"
    link.symlink_to(workdir)
    (workdir / "d.sh").write_text(f"#!/bin/sh\n#SBATCH -o {link}/a.out\n")
    assert call(f"sbatch {link}/d.sh").exit_code == 0
    assert records[1].request.working_directory == str(workdir)
    assert records[1].request.working_directory_aliases == (str(link),)
    assert records[1].request.stdout == "a.out"
    assert call("sbatch d.sh", environ={"PWD": str(link)}).exit_code == 0
    assert records[2].request.working_directory_aliases == (str(link),)
    assert call(f"sbatch -D {link} {workdir}/d.sh", cwd="/").exit_code == 0
    assert records[3].request.working_directory_aliases == (str(link),)


def test_the_refusal_names_directive_and_line(
    call: Call, workdir: Path, records: dict[int, JobRecord]
) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n#SBATCH -J x\n#SBATCH -o ../x\n")
    result = call("sbatch d.sh")
    assert result == Result(
        "",
        f"sbatch: error: --output=../x (line 3 of the script) leads out of the working directory {workdir};"
        " name a file inside it\n",
        1,
    )
    assert not records


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "", "a/", "n" * 300])
def test_a_job_name_in_an_output_name_cannot_lead_out(call: Call, workdir: Path, name: str) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n#SBATCH -o %x\n")
    result = call(["sbatch", f"--job-name={name}", "d.sh"])
    assert result.exit_code == 1
    assert "--output=%x" in result.stderr


def test_one_file_for_both(call: Call, workdir: Path, records: dict[int, JobRecord]) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n")
    assert call(f"sbatch -o a -e {workdir}/a d.sh").exit_code == 0
    assert call("sbatch -e b d.sh").exit_code == 0
    assert (records[1].request.stdout, records[1].request.stderr) == ("a", None)
    assert (records[2].request.stdout, records[2].request.stderr) == ("slurm-%j.out", "b")


def test_a_directory_that_is_not_writable(call: Call, workdir: Path, mocker: MockerFixture) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n")
    mocker.patch("os.access", autospec=True, return_value=False)  # root may write everywhere
    result = call("sbatch d.sh")
    assert result.exit_code == 1
    assert f"working directory {workdir}: not writable" in result.stderr


def test_a_directory_that_was_removed(call: Call, workdir: Path) -> None:
    result = call("sbatch --wrap=true", cwd="")
    assert "does not exist any more" in result.stderr
    assert call(f"sbatch -D {workdir} --wrap=true", cwd="").exit_code == 0


def test_names_that_are_not_text(call: Call, workdir: Path) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n")
    result = call(["sbatch", "-J", os.fsdecode(b"\xff"), "d.sh"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--job-name (command line) is not UTF-8 text" in result.stderr


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "out", "in", "/", "%x"])).map("/".join))
def test_nothing_accepted_lies_outside(workdir: Path, text: str) -> None:
    (workdir.parent / "elsewhere").mkdir(exist_ok=True)
    for name, target in (("out", workdir.parent / "elsewhere"), ("in", workdir)):
        if not (workdir / name).is_symlink():
            (workdir / name).symlink_to(target)
    try:
        name = paths.output_name(text, str(workdir), (), OwnPaths())
    except paths.PathRefused:
        return
    assert Path(os.path.realpath(workdir / name)).is_relative_to(workdir)

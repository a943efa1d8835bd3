"""What a command does after its answer: pause and ask again, ask on the terminal, save a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.slurm import wire
from airavata_mesos_plugin.slurm.session import Again, Questions, Result, SavedFile


def send(peer: Any, result: Result) -> None:
    peer.connection.sendall(wire.encode_result(result))


@pytest.fixture
def answers(serve: Any) -> Any:
    """Answer one call after the other; what the calls were is in the list."""

    def begin(*results: Result) -> list[tuple[str, ...]]:
        calls: list[tuple[str, ...]] = []
        left = list(results)

        def behaviour(peer: Any) -> None:
            calls.append(peer.read_request().argv)
            send(peer, left.pop(0))

        serve(behaviour)
        return calls

    return begin


def test_it_pauses_and_asks_again(run: Any, answers: Any) -> None:
    calls = answers(
        Result("Submitted batch job 7\n", then=Again(0.01, ("--wait-for-job=7",))),
        Result(then=Again(0.01, ("--wait-for-job=7",))),
        Result(exit_code=7),
    )
    done = run("sbatch", "-W", "job.sh")
    assert (done.stdout, done.stderr, done.returncode) == (b"Submitted batch job 7\n", b"", 7)
    assert calls == [("-W", "job.sh"), ("--wait-for-job=7",), ("--wait-for-job=7",)]


@pytest.mark.parametrize(
    ("typed", "confirmed"), [(b"y\nn\n", ("-v", "5")), (b"n\nyes\n", ("-v", "6_1")), (b"n\n", None)]
)
def test_questions(
    answers: Any, bin_directory: Path, typed: bytes, confirmed: tuple[str, ...] | None
) -> None:
    asked = (("5", "Cancel job_id=5 [y/n]? "), ("6_1", "Cancel job_id=6_1 [y/n]? "))
    calls = answers(Result(then=Questions(("-v",), asked)), Result())
    done = subprocess.run(
        [bin_directory / "scancel", "-i", "-v", "5", "6"], input=typed, capture_output=True, check=False
    )
    assert done.stdout == b"Cancel job_id=5 [y/n]? Cancel job_id=6_1 [y/n]? "
    assert (done.stderr, done.returncode) == (b"", 0)
    assert calls[1:] == ([confirmed] if confirmed else [])


def test_a_file_is_saved_where_the_command_was_typed(
    answers: Any, bin_directory: Path, tmp_path: Path
) -> None:
    answers(Result("written\n", then=SavedFile("slurm-7.sh", "#!/bin/sh\necho ä\n")))
    done = subprocess.run(
        [bin_directory / "scontrol", "write"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.stdout, done.returncode) == (b"written\n", 0)
    assert (tmp_path / "slurm-7.sh").read_text(encoding="utf-8") == "#!/bin/sh\necho ä\n"


def test_a_file_that_cannot_be_saved(run: Any, answers: Any) -> None:
    answers(Result("written\n", then=SavedFile("/nosuch/dir/x", "text")))
    done = run("scontrol", "write", "batch_script", "7")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr == b"scontrol: error: cannot write /nosuch/dir/x: No such file or directory\n"


def test_only_scontrol_saves_files(run: Any, answers: Any, tmp_path: Path) -> None:
    answers(Result(then=SavedFile(str(tmp_path / "x"), "text")))
    assert b"Unexpected message received" in run("squeue").stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("given", "seen"),
    [({}, None), ({"LC_CTYPE": "C.UTF-8"}, "C.UTF-8"), ({"LC_ALL": "C"}, None), ({"LANG": "C"}, None)],
)
def test_what_python_adds_to_the_environment_is_not_sent(
    run: Any, serve: Any, requests: list[wire.Request], given: dict[str, str], seen: str | None
) -> None:
    serve(lambda peer: (peer.read_request(), peer.finish()))
    run("squeue", environ=given)
    assert requests[0].environ.get("LC_CTYPE") == seen
    assert {name: requests[0].environ[name] for name in given} == given


def test_sbatch_tells_its_umask(serve: Any, requests: list[wire.Request], bin_directory: Path) -> None:
    serve(lambda peer: (peer.read_request(), peer.finish()))
    before = os.umask(0o027)
    try:
        subprocess.run([bin_directory / "sbatch", "x"], check=True)
        subprocess.run([bin_directory / "squeue"], check=True)
    finally:
        os.umask(before)
    assert requests[0].environ["SLURM_UMASK"] == "0027"
    assert "SLURM_UMASK" not in requests[1].environ

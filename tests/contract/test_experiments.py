"""Experiments of the three releases from beginning to end: what Airavata concludes is what happened."""

from __future__ import annotations

from tests.contract.airavata_process import Experiment, Output, Process
from tests.contract.door import Door
from tests.contract.release_017 import Release017

OUTPUTS = (Output("result.txt"), Output("parts/part.*.txt", "URI_COLLECTION"), Output("only.*"))
WORK = (
    "tr a-z A-Z < input.txt > result.txt; mkdir parts; "
    "for i in 1 2 3; do echo $i > parts/part.$i.txt; done; echo x > only.one; echo y > only.two; "
    "echo out; echo err >&2"
)
FILES = {
    "App.stdout": "out\n",
    "App.stderr": "err\n",
    "result.txt": "WORDS\n",
    **{f"part.{number}.txt": f"{number}\n" for number in (1, 2, 3)},
    "only.one": "x\n",
}


def experiment(command: str = WORK, **more: object) -> Experiment:
    values: dict[str, object] = {"inputs": {"input.txt": b"words\n"}, "outputs": OUTPUTS, **more}
    return Experiment(command, **values)  # type: ignore[arg-type]


def contents(process: Process) -> dict[str, str]:
    return {name: path.read_text() for name, path in process.files.items()}


def clean(process: Process) -> None:
    """Nothing had to be guessed, repeated or thrown away."""
    assert (process.guesses, process.dropped, process.errors, process.warnings) == ([], [], [], [])


def test_develop_success_with_archive(door: Door) -> None:
    process = door.develop.launch(experiment(archive=True))
    assert process.job_states == ["SUBMITTED", "QUEUED"]
    told = door.follow(door.develop, process)
    assert told in (["QUEUED", "ACTIVE", "COMPLETE"], ["ACTIVE", "COMPLETE"])
    # Airavata says QUEUED itself after its first look, so the same word from us is no news.
    process.dropped = [line for line in process.dropped if line != "QUEUED -> QUEUED"]
    clean(process)
    assert process.verified
    assert (process.state, process.experiment_state) == ("COMPLETED", "COMPLETED")
    assert contents(process) == FILES
    archive = door.develop.kept(process) / "ARCHIVE"
    archived = {str(path.relative_to(archive)) for path in archive.rglob("*") if path.is_file()}
    assert archived - {"archive.tar"} == {
        *("input.txt", "result.txt", "App.stdout", "App.stderr", "only.one", "only.two"),
        *(f"parts/part.{number}.txt" for number in (1, 2, 3)),
        *(process.script.path.name, process.script.job_name),
    }


def test_master_success(door: Door) -> None:
    process = door.master.run(experiment())
    clean(process)
    assert process.job_states[0] == "SUBMITTED"
    assert process.job_states[-1] == "COMPLETE"
    assert set(process.job_states) <= {"SUBMITTED", "QUEUED", "ACTIVE", "COMPLETE"}
    assert process.experiment_state == "COMPLETED"
    assert contents(process) == FILES


def test_017_success(door: Door) -> None:
    gateway = door.gateway(Release017)
    process = gateway.launch(experiment())
    door.follow(gateway, process)
    assert process.errors == []
    assert (process.job_state, process.experiment_state) == ("COMPLETE", "COMPLETED")
    assert contents(process) == FILES
    assert not (process.directory / process.script.job_name).exists()  # there is no tee

"""Experiments of the three releases from beginning to end: what Airavata concludes is what happened."""

from __future__ import annotations

import pytest

from tests.contract.airavata_caller import FINAL_STATES
from tests.contract.airavata_process import Experiment, Output, Process
from tests.contract.airavata_ssh import SshError
from tests.contract.door import Door, Pace
from tests.contract.release_017 import CommandError, Release017
from tests.contract.release_develop import Develop
from tests.contract.release_master import Master
from tests.support.waiting import wait_for

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
    pace = Pace()
    gateway = door.gateway(Develop, pace=pace)
    process = gateway.launch(experiment(archive=True))
    assert process.job_states == ["SUBMITTED", "QUEUED"]
    told = door.follow(gateway, process)
    assert told in (["QUEUED", "ACTIVE", "COMPLETE"], ["ACTIVE", "COMPLETE"])
    clean(process)
    assert pace.asked == []  # nothing had to be looked for twice
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
    pace = Pace()
    process = door.gateway(Master, pace=pace).run(experiment())
    clean(process)
    assert set(pace.asked) <= {5.0}  # no output had to be looked for twice
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


def test_develop_failure_stages_what_the_job_left(door: Door) -> None:
    process = door.develop.launch(experiment("echo half; exit 3", outputs=()))
    assert door.follow(door.develop, process)[-1] == "FAILED"
    assert process.verified
    assert process.job_state == "FAILED"
    assert contents(process) == {"App.stdout": "half\n", "App.stderr": ""}
    assert process.experiment_state == "COMPLETED"  # so it is there, whatever became of the job


def test_master_failure(door: Door) -> None:
    process = door.master.run(experiment("echo half; exit 3", outputs=()))
    assert process.errors == [f"job {process.job_id} is FAILED"]
    assert (process.guesses, process.files) == ([], {})
    assert process.experiment_state == "FAILED"
    assert (process.directory / "App.stdout").read_text() == "half\n"


def test_017_failure(door: Door) -> None:
    gateway = door.gateway(Release017)
    process = gateway.launch(experiment("echo half; exit 3", outputs=()))
    door.follow(gateway, process)
    assert process.job_state == "FAILED"
    assert contents(process) == {"App.stdout": "half\n", "App.stderr": ""}


def test_develop_cancels_a_running_job(door: Door) -> None:
    process = door.develop.launch(experiment("echo begun; sleep 600", outputs=()))
    door.in_phase(process, "running")
    door.site.wrote(str(process.job_id), "begun\n")
    door.develop.cancel(process)
    assert process.warnings == []
    assert (process.job_state, process.experiment_state) == ("CANCELED", "CANCELED")
    assert door.follow(door.develop, process)[-1] == "CANCELED"
    assert process.experiment_state == "CANCELED"
    assert door.document(process)["state"] == "CANCELLED"
    assert (process.directory / "App.stdout").read_text() == "begun\n"


def test_017_cancels_a_running_job(door: Door) -> None:
    gateway = door.gateway(Release017)
    process = gateway.launch(experiment("sleep 600", outputs=()))
    door.in_phase(process, "running")
    assert gateway.cancel(process) == "ACTIVE"
    assert door.follow(gateway, process)[-1] == "CANCELED"
    assert process.experiment_state == "CANCELED"
    assert gateway.cancel(process) == "CANCELED"  # again: no words that 0.17 takes for an error


def test_a_job_that_its_user_cancels_is_no_success_to_master(door: Door) -> None:
    """master itself never cancels; somebody does it on the host."""
    master = door.master
    process = Process(experiment("sleep 600", outputs=()), master.scratch, realtime=False)
    for task in (master.set_up, master.stage_inputs, master.submit):
        assert master.attempt(process, task)
    door.in_phase(process, "running")
    assert master.look(process) == "ACTIVE"
    master.caller.cancel(str(process.job_id))
    master.execute(process)
    assert process.errors == [f"job {process.job_id} is CANCELED"]
    assert process.experiment_state == "FAILED"


def test_develop_cancels_a_waiting_job_which_never_runs(door: Door) -> None:
    mark = door.site.directory / "never"
    first = door.develop.launch(experiment("sleep 600", outputs=(), directives=("#SBATCH -n 8",)))
    door.in_phase(first, "running")
    second = door.develop.launch(experiment(f"touch {mark}", outputs=()))
    assert door.develop.caller.letters(str(second.job_id)) == "PD"
    door.develop.cancel(second)
    assert second.warnings == []
    assert second.experiment_state == "CANCELED"
    told = door.follow(door.develop, second)
    assert "ACTIVE" not in told
    assert told[-1] == "CANCELED"
    door.develop.cancel(first)
    door.follow(door.develop, first)
    assert not mark.exists()


def test_develop_does_not_cancel_what_is_over(door: Door) -> None:
    process = door.develop.launch(experiment("true", outputs=()))
    door.in_phase(process, "completed")
    door.develop.cancel(process)
    assert process.warnings == ["not cancelled: COMPLETE"]
    door.follow(door.develop, process)
    assert process.experiment_state == "COMPLETED"


@pytest.mark.parametrize("required", [True, False])
def test_an_output_that_is_missing(door: Door, required: bool) -> None:
    wanted = (Output("never.txt", required=required), Output("nothing.*", "URI_COLLECTION"))
    develop = door.develop.launch(experiment("echo out", outputs=wanted))
    pace = Pace()
    gateway = door.gateway(Develop, pace=pace)
    door.follow(gateway, develop)
    assert develop.warnings == ["URI never.txt: the output does not exist"]
    assert develop.experiment_state == "COMPLETED"
    assert pace.asked == [10.0, 10.0, 10.0]  # it was not needed to look a second time into the queue

    master = door.master.run(experiment("echo out", outputs=wanted))
    assert master.job_state == "COMPLETE"
    if required:
        assert master.errors == ["never.txt: the output does not exist"]
        assert master.experiment_state == "FAILED"
    else:
        assert master.warnings == ["URI never.txt: the output does not exist"]
        assert master.experiment_state == "COMPLETED"


def test_an_empty_input_never_reaches_the_host(door: Door) -> None:
    for process in (
        door.develop.launch(experiment(inputs={"input.txt": b""})),
        door.master.run(experiment(inputs={"input.txt": b""})),
        door.gateway(Release017).launch(experiment(inputs={"input.txt": b""})),
    ):
        assert process.errors == ["input input.txt is empty"]
        assert process.job_id is None
        assert list(process.directory.iterdir()) == []


def test_inputs_arrive_as_they_were_sent(door: Door) -> None:
    content = bytes(range(256)) * 4096
    process = door.master.run(
        experiment("cp input.bin copy.bin", inputs={"input.bin": content}, outputs=(Output("copy.bin"),))
    )
    assert process.files["copy.bin"].read_bytes() == content


def test_a_refused_job_is_told_after_three_looks(door: Door) -> None:
    """The exit code of sbatch is lost in the pipe: Airavata looks for the job's name three times."""
    pace = Pace()
    process = door.gateway(Develop, pace=pace).launch(experiment("true", queue="nowhere"))
    assert pace.asked == [10.0, 20.0, 30.0]
    assert (process.job_id, process.job_states) == ("DEFAULT_JOB_ID", ["FAILED"])
    assert "invalid partition" in process.job_error.lower()
    assert process.experiment_state == "FAILED"


def test_a_refused_job_ends_master_and_017_too(door: Door) -> None:
    process = door.master.run(experiment("true", queue="nowhere"))
    assert (process.job_id, process.experiment_state) == ("DEFAULT_JOB_ID", "FAILED")
    assert process.guesses == []
    old = door.gateway(Release017).launch(experiment("true", queue="nowhere"))
    assert old.job_id is None
    assert "invalid partition" in old.errors[0].lower()


def test_a_submission_whose_answer_is_lost_is_found_by_name_and_not_repeated(door: Door) -> None:
    """What sbatch printed does not arrive, and neither does the file of tee."""
    lossy = door.site.directory / "lossy"
    lossy.mkdir()
    (lossy / "squeue").symlink_to(door.site.commands / "squeue")
    sbatch = lossy / "sbatch"
    sbatch.write_text(f'#!/bin/sh\n{door.site.commands}/sbatch "$@" > /dev/null\n')
    sbatch.chmod(0o755)
    pace = Pace()
    before = door.site.count()
    gateway = door.gateway(Develop, commands=lossy, pace=pace)
    process = gateway.launch(experiment("true", outputs=()))
    assert (process.job_states, pace.asked) == (["QUEUED"], [])
    assert door.site.count() == before + 1
    gateway.submit(process)  # the task once more: the job is known
    assert door.site.count() == before + 1
    door.follow(gateway, process)
    assert process.experiment_state == "COMPLETED"


def test_017_takes_the_word_error_on_stderr_for_a_failure(door: Door) -> None:
    """So no command may write it when all is well; and where it fails, 0.17 must see it."""
    gateway = door.gateway(Release017)
    with pytest.raises(CommandError, match="Invalid job id"):
        gateway.state("99999999")
    assert gateway.run(gateway.caller.cancel_command("99999999")).stdout == ""
    assert gateway.run(gateway.caller.find_command("A0000000000")).stderr == ""


def test_the_channel_says_what_a_lost_status_is(door: Door) -> None:
    """Airavata takes a command without an exit status for an error of the connection."""
    with pytest.raises(SshError, match="no exit status"):
        door.ssh.execute("kill -9 $$")


def test_master_counts_an_error_of_the_connection_as_waiting(door: Door) -> None:
    broken = door.site.directory / "broken"
    broken.mkdir()
    (broken / "squeue").write_text("#!/bin/sh\nkill -9 $$\n")
    (broken / "squeue").chmod(0o755)
    gateway = door.gateway(Master, commands=broken)
    process = Process(experiment("true"), gateway.scratch, realtime=False)
    process.save_job("1", "QUEUED")
    assert gateway.look(process) == "QUEUED"


def test_outputs_are_whole_when_the_end_is_seen(door: Door) -> None:
    """Airavata cannot tell a part of a file from the file, and looks at any moment."""
    size = 400 << 20
    master = door.master
    process = Process(experiment(f"head -c {size} /dev/zero > large"), master.scratch, realtime=False)
    for task in (master.set_up, master.stage_inputs, master.submit):
        assert master.attempt(process, task)
    state = wait_for(lambda: master.look(process), FINAL_STATES.__contains__, "over", pause=0.001)
    there = master.ssh.list_files(process.directory)
    assert state == "COMPLETE"
    assert {"large", "App.stdout", "App.stderr"} <= set(there)
    assert [name for name in there if name.startswith(".")] == []
    assert master.ssh.size(process.directory / "large") == size
    (process.directory / "large").unlink()


def test_the_monitors_of_queues_and_counts_work_over_ssh(door: Door) -> None:
    caller = door.develop.caller
    assert caller.queue_available("default")
    up, running, waiting = caller.queue_status("default")
    assert up
    assert running + waiting == 1  # the one node, in use or not
    assert (caller.count("pending"), caller.count("running")) == (0, 0)
    assert door.ssh.sessions >= 1

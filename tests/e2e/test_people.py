"""`airavata-mesos` as people and their programs use it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.contract.airavata_caller import Submission
from tests.support.site import Site, environment

COMMANDS = (
    *("serve", "minicluster", "install-commands", "submit", "jobs", "show", "cancel", "logs", "outputs"),
    *("render", "doctor", "demo"),
)


@pytest.fixture(scope="module")
def ended(site: Site) -> Submission:
    go = site.directory / "ended-go"
    waiting = f"while [ ! -e {go} ]; do sleep 0.1; done"
    job = site.accepted(f"echo out; echo err >&2; echo data > 'a file'; {waiting}; exit 3")
    site.in_phase(job, "running")
    go.touch()
    site.finished(job, "FAILED")
    return job


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(site: Site, command: str) -> None:
    words = [command] if command else []
    text = site.cli(*words, "--help").stdout
    assert text.lower().startswith("usage: ")
    assert len(text.splitlines()) > 3
    if not command:
        assert all(name in text for name in COMMANDS)


def test_submit_answers_as_sbatch_does(site: Site) -> None:
    work = site.work()
    (work / "job.sh").write_text("#!/bin/sh\necho $1\n")
    done = site.cli("submit", "-o", "given.out", "job.sh", "argument", cwd=work)
    job_id = done.stdout.removeprefix("Submitted batch job ").strip()
    assert job_id.isdecimal()
    site.finished(Submission(job_id, "", work, site.airavata.execute("true")), "COMPLETE")
    assert (work / "given.out").read_text() == "argument\n"


def test_submit_refuses_as_sbatch_does(site: Site) -> None:
    work = site.work()
    (work / "job.sh").write_text("#!/bin/sh\n")
    done = site.cli("submit", "-n", "100000", "job.sh", cwd=work, code=1)
    assert done.stdout == ""
    assert "at most 8 CPUs" in done.stderr


def test_jobs_lists_active_ones_and_with_all_the_others(site: Site, ended: Submission) -> None:
    active = site.accepted("sleep 600")
    names = [line.split("\t")[0] for line in site.cli("jobs").stdout.splitlines()]
    assert names[0] == "ID"
    assert active.job_id in names
    assert ended.job_id not in names
    every = json.loads(site.cli("jobs", "--all", "--json").stdout)
    assert {active.job_id, ended.job_id} <= {str(job["id"]) for job in every}
    assert [job["id"] for job in every] == sorted((job["id"] for job in every), reverse=True)
    site.airavata.cancel(active.job_id)


def test_show_tells_phases_times_and_events(site: Site, ended: Submission) -> None:
    job = json.loads(site.cli("show", "--json", ended.job_id).stdout)
    assert (job["state"], job["airavata_state"], job["exit_code"]) == ("FAILED", "FAILED", 3)
    assert job["working_directory"] == str(ended.directory)
    assert job["job_key"].startswith("airavata/prod/")
    assert set(job["phase_seconds"]) == {"accepted", "submitting", "queued", "running", "fetching"}
    assert job["phase_seconds"]["running"] > 0
    assert [event["phase"] for event in job["events"]] == [
        *("accepted", "submitting", "queued", "running", "fetching", "failed")
    ]
    times = [event["time"] for event in job["events"]]
    assert times == sorted(times)
    assert job["accepted_at"] <= job["queued_at"] <= job["started_at"] <= job["ended_at"] <= job["changed_at"]

    text = site.cli("show", ended.job_id).stdout
    for word in (ended.job_name, "FAILED", "exit code 3", str(ended.directory), job["job_key"], "fetching"):
        assert word in text


def test_outputs_lists_what_came(site: Site, ended: Submission) -> None:
    files = {
        file["name"]: file["bytes"] for file in json.loads(site.cli("outputs", "--json", ended.job_id).stdout)
    }
    assert files == {"App.stdout": 4, "App.stderr": 4, "a file": 5}
    assert "5\ta file" in site.cli("outputs", ended.job_id).stdout.splitlines()


def test_outputs_of_a_running_job_are_not_there_yet(site: Site) -> None:
    job = site.accepted("sleep 600")
    done = site.cli("outputs", job.job_id, code=1)
    assert f"job {job.job_id} is" in done.stderr
    site.airavata.cancel(job.job_id)


def test_logs_of_a_job_that_is_over(site: Site, ended: Submission) -> None:
    assert site.cli("logs", ended.job_id).stdout == "out\n"
    assert site.cli("logs", "--stderr", ended.job_id).stdout == "err\n"
    assert site.cli("logs", "--file", "a file", ended.job_id).stdout == "data\n"


@pytest.mark.parametrize("name", ["../../provider.yaml", "/etc/hostname"])
def test_logs_shows_no_file_outside(site: Site, ended: Submission, name: str) -> None:
    done = site.cli("logs", "--file", name, ended.job_id, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("airavata-mesos: ")


def test_logs_that_follow_give_every_byte_and_end_with_the_job(site: Site) -> None:
    slow = "for i in $(seq 12); do echo line $i; sleep 0.15; done"
    job = site.accepted(f"{slow}; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    expected = "".join(f"line {number}\n" for number in range(1, 13)) + "x" * 3_000_000 + "\nlast\n"
    done = site.cli("logs", "-f", job.job_id)
    assert done.stdout == expected
    assert site.airavata.letters(job.job_id) == "CD"


def test_logs_without_follow_give_what_there_is(site: Site) -> None:
    go = site.directory / "logs-go"
    job = site.accepted(f"echo first; while [ ! -e {go} ]; do sleep 0.1; done")
    site.in_phase(job, "running")
    assert site.cli("logs", job.job_id).stdout in ("", "first\n")
    go.touch()
    site.finished(job, "COMPLETE")


def test_cancel_ends_jobs_and_leaves_those_that_are_over(site: Site, ended: Submission) -> None:
    job = site.accepted("sleep 600")
    text = site.cli("cancel", job.job_id, ended.job_id).stdout.splitlines()
    assert text == [
        f"job {job.job_id}: is being cancelled",
        f"job {ended.job_id}: is over or being cancelled",
    ]
    site.finished(job, "CANCELED")
    assert site.airavata.letters(ended.job_id) == "F"


@pytest.mark.parametrize(
    "arguments", [("show", "9999"), ("cancel", "9999"), ("logs", "9999"), ("outputs", "9999")]
)
def test_a_job_that_does_not_exist(site: Site, arguments: tuple[str, ...]) -> None:
    done = site.cli(*arguments, code=1)
    assert done.stdout == ""
    assert "9999" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("show", "abc"), ("show", "0"), ("show",), ("nonsense",), ("jobs", "--nonsense")]
)
def test_wrong_arguments(site: Site, arguments: tuple[str, ...]) -> None:
    done = site.cli(*arguments, code=2)
    assert done.stdout == ""
    assert "Error" in done.stderr


def test_render_prints_the_job_configuration_and_submits_nothing(site: Site) -> None:
    work = site.work()
    (work / "job.sh").write_text("#!/bin/sh\n#SBATCH -n 2\n#SBATCH --mem=300M\necho {{secret}}\n")
    before = site.count()
    document = json.loads(site.cli("render", "job.sh", cwd=work).stdout)
    assert document["role"] == "airavata"
    assert document["task"]["resources"]["cpu"] == 2
    assert document["task"]["resources"]["ram"] == 300 * 1024**2
    assert [process["name"] for process in document["task"]["processes"]] == ["stage_in", "run"]
    assert "{{secret}}" not in json.dumps(document)
    assert site.count() == before
    refused = site.cli("render", "--unheard-of", "job.sh", cwd=work, code=1)
    assert "unheard-of" in refused.stderr


def test_render_shows_the_same_that_is_submitted(site: Site) -> None:
    work = site.work()
    (work / "job.sh").write_text("#!/bin/sh\n#SBATCH -n 2\n")
    rendered = json.loads(site.cli("render", "job.sh", cwd=work).stdout)
    job_id = site.cli("submit", "job.sh", cwd=work).stdout.split()[-1]
    sent = site.client.ask("document", job_id)
    assert sent["task"]["resources"] == rendered["task"]["resources"]
    assert [process["name"] for process in sent["task"]["processes"]] == ["stage_in", "run"]


def test_doctor_names_a_fault_of_the_staging_address(site: Site) -> None:
    """Real agents cannot download from a loopback address; everything else is in order."""
    checks = json.loads(site.cli("doctor", "--json", code=None).stdout)
    wrong = [check["subject"] for check in checks if not check["ok"]]
    assert wrong == ["cluster testing: inputs"]
    assert any(check["subject"] == "daemon" for check in checks)


def test_doctor_is_content_with_the_embedded_cluster_and_not_without_a_daemon(tmp_path: Path) -> None:
    site = Site(tmp_path, None, {})
    down = site.cli("doctor", code=1)
    assert "airavata-mesos serve" in down.stdout
    site.start()
    up = site.cli("doctor")
    assert "WRONG" not in up.stdout
    for word in ("version", "configuration", "daemon", "queue default", "cluster embedded"):
        assert word in up.stdout
    site.stop()


def test_doctor_names_a_scheduler_that_does_not_answer(tmp_path: Path) -> None:
    config = tmp_path / "provider.yaml"
    config.write_text(
        "clusters: [{name: c, schedulers: ['http://127.0.0.1:9'], mesos_masters: ['http://127.0.0.1:9']}]\n"
        "queues: [{name: q, cluster: c, role: r}]\n"
    )
    done = Site(tmp_path, None, {}).cli("--config", str(config), "doctor", code=1)
    lines = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert any("127.0.0.1:9" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clusters: [", ("not valid YAML",)),
        ("[]", ("mapping",)),
        ("clusters: []\nqueues: []", ("clusters", "queues")),
        ("clusterz: []", ("clusterz",)),
        (
            "clusters: [{name: c, schedulers: ['ftp://x'], mesos_masters: ['http://x']}]\n"
            "queues: [{name: 'a-b', cluster: c, role: r}]",
            ("clusters.0.schedulers.0", "ftp://x", "queues.0.name"),
        ),
    ],
)
def test_a_wrong_configuration_is_named_with_its_file(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(text)
    done = Site(tmp_path, None, {}).cli("--config", str(config), "doctor", code=1)
    for word in (str(config), *words):
        assert word in done.stdout


@pytest.mark.parametrize("command", [("serve",), ("render", "job.sh")])
def test_a_wrong_configuration_stops_commands_that_need_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("clusterz: []")
    done = Site(tmp_path, None, {}).cli("--config", str(config), *command, code=1)
    assert done.stdout == ""
    assert str(config) in done.stderr
    assert "clusterz" in done.stderr


def test_a_missing_configuration_is_an_error_and_not_the_embedded_default(tmp_path: Path) -> None:
    done = Site(tmp_path, None, {}).cli("--config", str(tmp_path / "none.yaml"), "serve", code=1)
    assert "none.yaml" in done.stderr


def test_settings_of_the_environment_are_used(tmp_path: Path) -> None:
    site = Site(tmp_path, None, {})
    done = subprocess.run(
        [*site.cli_command()[:3], "jobs"],
        env=environment(AIRAVATA_MESOS_HOME=str(tmp_path / "other")),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert str(tmp_path / "other" / "command.sock") in done.stderr

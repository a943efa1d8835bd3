"""The SLURM command line on a real cluster: what was typed is what happens."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.site import Site, environment, running_site
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), cpus=8) as site:
        yield site


class Shell:
    """Types commands in one directory."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.directory = site.work()

    def __call__(
        self, *words: str, code: int | None = 0, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command, *arguments = words
        done = subprocess.run(
            [self.site.commands / command, *arguments],
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            env={**environment(), **(environ or {})},
            check=False,
        )
        assert code is None or done.returncode == code, done
        return done

    def script(self, body: str, name: str = "job.sh") -> str:
        (self.directory / name).write_text(f"#!/bin/bash\n{body}\n")
        return name

    def submit(self, *options: str, body: str = "true", environ: Mapping[str, str] | None = None) -> str:
        done = self("sbatch", "--parsable", *options, self.script(body), environ=environ)
        return done.stdout.strip()

    def until(self, job: str, words: str, seconds: float = 100) -> None:
        """Wait until squeue shows these states, one for each row of ``job``."""
        wait_for(
            lambda: self("squeue", "-h", "-r", "-t", "all", "-S", "K", "-o", "%t", "-j", job).stdout.split(),
            lambda found: found == words.split(),
            f"{words} for {job}",
            seconds=seconds,
            context=lambda: self.site.daemon.log,
        )

    def text(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
def shell(site: Site) -> Shell:
    return Shell(site)


def test_an_array(shell: Shell) -> None:
    body = 'echo "$SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_JOB_ID"; exit $((SLURM_ARRAY_TASK_ID - 3))'
    array = int(shell.submit("-a", "3-5%2", body=body))
    shell.until(str(array), "CD F F")
    for index, number in ((3, array + 1), (4, array + 2), (5, array)):
        assert shell.text(f"slurm-{array}_{index}.out") == f"{array} {index} {number}\n"
    done = shell("sacct", "-X", "-n", "-P", "-j", str(array), "-o", "JobID,JobIDRaw,State,ExitCode")
    assert done.stdout.splitlines() == [
        f"{array}_3|{array + 1}|COMPLETED|0:0",
        f"{array}_4|{array + 2}|FAILED|1:0",
        f"{array}_5|{array}|FAILED|2:0",
    ]


def test_the_submitters_environment(shell: Shell) -> None:
    given = {"MYVAR": "from submitter", "MULTI": "line1\nline2", "UTF": "näme", "OTHER": "x"}
    body = (
        "inner=$(srun printenv MYVAR 2>/dev/null)\n"
        'printf "%s|" "$MYVAR" "$MULTI" "$UTF" "${OTHER-none}" "${NEW-none}" "$inner"'
    )
    everything = shell.submit(body=body, environ=given)
    named = shell.submit("--export=MYVAR,NEW=value", body=body, environ=given)
    nothing = shell.submit("--export=NONE", body=body, environ=given)
    for job in (everything, named, nothing):
        shell.until(job, "CD")
    assert shell.text(f"slurm-{everything}.out") == "from submitter|line1\nline2|näme|x|none|from submitter|"
    assert shell.text(f"slurm-{named}.out") == "from submitter|||none|value|from submitter|"
    assert shell.text(f"slurm-{nothing}.out") == "|||none|none||"


def test_dependencies(shell: Shell) -> None:
    good = shell.submit("-H")
    bad = shell.submit("-H", body="exit 1")
    after_good = shell.submit("-d", f"afterok:{good}")
    after_bad = shell.submit("-d", f"afterok:{bad}")
    rows = shell("squeue", "-h", "-o", "%i %r", "-j", f"{good},{after_good}").stdout
    assert sorted(rows.splitlines()) == [f"{good} JobHeldUser", f"{after_good} Dependency"]
    assert shell("squeue", "-h", "-o", "%E", "-j", after_good).stdout == f"afterok:{good}(unfulfilled)\n"
    shell("scontrol", "release", good, bad)
    shell.until(after_good, "CD")
    shell.until(after_bad, "CA")
    done = shell("squeue", "-h", "-o", "%r", "-j", after_bad)
    assert done.stdout == "DependencyNeverSatisfied\n"
    assert shell("sacct", "-X", "-n", "-P", "-o", "State", "-j", after_bad).stdout == "CANCELLED\n"


def test_begin(shell: Shell) -> None:
    later = shell.submit("--begin=now+1hour")
    assert shell("squeue", "-h", "-o", "%t %r", "-j", later).stdout == "PD BeginTime\n"
    shell("scancel", later)
    job = shell.submit("--begin=now+2")
    shell.until(job, "CD")
    document = shell.site.client.ask("show", job)
    assert document["started_at"] - document["accepted_at"] > 0.9  # begin times are whole seconds


@pytest.mark.parametrize("code", [0, 7])
def test_waiting_for_the_end(shell: Shell, code: int) -> None:
    done = shell("sbatch", "-W", shell.script(f"echo out; exit {code}"), code=code)
    number = done.stdout.removeprefix("Submitted batch job ").strip()
    assert shell.text(f"slurm-{number}.out") == "out\n"


def test_a_job_is_started_again(shell: Shell) -> None:
    body = 'echo "run ${SLURM_RESTART_COUNT-0}" >> log\n[ -n "$SLURM_RESTART_COUNT" ] || sleep 600'
    job = shell.submit(body=body)
    shell.until(job, "R")
    shell("scontrol", "requeue", job)
    shell.until(job, "CD")
    assert shell.text("log") == "run 0\nrun 1\n"
    done = shell("sacct", "-X", "-n", "-P", "-D", "-o", "State", "-j", job)
    assert done.stdout == "REQUEUED\nCOMPLETED\n"
    assert shell("squeue", "-h", "-O", "RestartCnt:1", "-j", job).stdout == "1\n"


def test_cancel_of_some_tasks(shell: Shell) -> None:
    array = shell.submit("-H", "-a", "1-4")
    shell("scancel", f"{array}_[2-3]")
    shell.until(array, "PD CA CA PD")
    assert shell("squeue", "-h", "-o", "%i", "-t", "PD", "-j", array).stdout == f"{array}_[1,4]\n"
    assert shell("scancel", "-i", f"{array}_1", stdin="y\n").stdout == (
        f"Cancel job_id={array}_1 name=job.sh partition=default [y/n]? "
    )
    shell("scancel", "-n", "job.sh", "--me", "-t", "PENDING")
    shell.until(array, "CA CA CA CA")


def test_scontrol(shell: Shell) -> None:
    job = shell.submit("-H", "--comment=first", body="echo hello")
    shell("scontrol", "update", f"JobId={job}", "TimeLimit=7", "JobName=renamed")
    assert shell("squeue", "-h", "-o", "%j %l", "-j", job).stdout == "renamed 7:00\n"
    assert shell("scontrol", "write", "batch_script", job).stdout.endswith(f"written to slurm-{job}.sh\n")
    assert shell.text(f"slurm-{job}.sh") == "#!/bin/bash\necho hello\n"
    assert f"JobId={job} JobName=renamed" in shell("scontrol", "show", "job", job).stdout
    assert "is UP" in shell("scontrol", "ping").stdout
    shell("scontrol", "release", job)
    shell.until(job, "CD")


def test_standard_input_umask_and_append(shell: Shell) -> None:
    (shell.directory / "in.txt").write_text("from file\n")
    (shell.directory / "out.txt").write_text("before\n")
    job = shell.submit("-i", "in.txt", "-o", "out.txt", "--open-mode=append", body="cat; umask")
    shell.until(job, "CD")
    assert shell.text("out.txt").startswith("before\nfrom file\n0")


def test_test_only_submits_nothing(shell: Shell) -> None:
    before = shell.site.count()
    done = shell("sbatch", "--test-only", shell.script("true"))
    assert done.stdout == ""
    assert "to start at" in done.stderr
    assert shell.site.count() == before


def test_accounting_without_the_daemon(tmp_path: Path) -> None:
    """Airavata master takes no line for success: the ledger answers although the daemon was killed."""
    with running_site(tmp_path) as site:
        shell = Shell(site)
        job = shell.submit(body="sleep 600")
        shell.until(job, "R")
        # Monitoring has written what squeue showed: nothing is on its way any more.
        site.kill()
        done = shell("sacct", "-X", "-n", "-P", "-o", "State,Submit", "--duplicates", "-j", job)
        assert done.stdout.startswith("RUNNING|20")
        assert done.stderr == ""
        assert shell("squeue", "-j", job, code=1).stdout == ""
        site.start()
        shell("scancel", job)
        shell.until(job, "CA")
        site.stop()
        done = shell("sacct", "-X", "-n", "-P", "-o", "State", "-j", job)
        assert done.stdout.startswith("CANCELLED by ")

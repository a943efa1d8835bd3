"""Bad input: refused at once, with a message that names what is wrong, and without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.site import Site, running_site

GOOD = "#!/bin/bash\n#SBATCH -p default\ntrue\n"


@dataclass(frozen=True)
class Bad:
    """A script, and the words that the refusal must have."""

    script: bytes
    words: tuple[str, ...]

    @classmethod
    def directive(cls, line: str, *words: str) -> Bad:
        return cls(f"#!/bin/bash\n#SBATCH {line}\ntrue\n".encode(), words)


CASES = {
    "no shebang": Bad(b"echo hello\n", ("must start with #!", "/bin/sh")),
    "empty": Bad(b"", ("empty",)),
    "binary": Bad(b"#!/bin/sh\n\0\1\2\xff", ("NULL character",)),
    "not utf-8": Bad(b"#!/bin/sh\necho caf\xe9\n", ("line 2", "0xe9", "save it as UTF-8")),
    "dos line ends": Bad(b"#!/bin/sh\r\ntrue\r\n", ("DOS line breaks",)),
    "unknown option": Bad.directive("--unheard-of=1", "unheard-of"),
    "unknown letter": Bad.directive("-y 1", "y"),
    "word without option": Bad.directive("nonsense", "Invalid directive", "nonsense"),
    "open quote": Bad.directive('-J "open', "line 2", "Unmatched"),
    "unknown partition": Bad.directive("-p nowhere", "nowhere", "partitions here: default"),
    "too many tasks": Bad.directive("-n 100000", "100000", "at most 8 CPUs", "-n or -c"),
    "too many cpus for each task": Bad.directive("-n 5 -c 2", "10", "at most 8 CPUs"),
    "no tasks": Bad.directive("-n 0", "ntasks", "0"),
    "negative tasks": Bad.directive("-n -1", "ntasks", "-1"),
    "tasks in words": Bad.directive("-n four", "ntasks", "four"),
    "half a task": Bad.directive("-n 1.5", "ntasks", "1.5"),
    "two nodes": Bad.directive("-N 2", "one node", "-N 1"),
    "no nodes": Bad.directive("-N 0", "node count", "0"),
    "negative nodes": Bad.directive("-N -1", "node count", "-1"),
    "nodes in words": Bad.directive("-N many", "node count", "many"),
    "too much memory": Bad.directive("--mem=1000G", "1000G", "--mem"),
    "no memory": Bad.directive("--mem=0", "--mem"),
    "negative memory": Bad.directive("--mem=-1", "--mem"),
    "memory in words": Bad.directive("--mem=much", "--mem"),
    "two kinds of memory": Bad.directive("--mem=1G --mem-per-cpu=1G", "mutually exclusive"),
    "time in words": Bad.directive("-t soon", "--time"),
    "negative time": Bad.directive("-t -5", "--time"),
    "time with too many parts": Bad.directive("-t 1:2:3:4", "--time"),
    "time without limit": Bad.directive("-t 0", "time limit", "at most", "-t"),
    "time above the limit": Bad.directive("-t 30-0", "time limit", "at most", "-t"),
    "an array backwards": Bad.directive("-a 5-1", "Invalid job array specification"),
    "a dependency of no kind": Bad.directive("-d nosuch:1", "Job dependency problem"),
    "more graphics processors than there are": Bad.directive(
        "--gres=gpu:64", "Requested node configuration is not available"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_scripts_are_refused(site: Site, name: str) -> None:
    work = site.work()
    (work / "job_1.slurm").write_bytes(CASES[name].script)
    refused(site, f"{site.commands}/sbatch {work}/job_1.slurm", work, *CASES[name].words)


def refused(site: Site, command: str, directory: Path | None, *words: str) -> None:
    """The command must fail, say these words, and leave no job."""
    before = site.count()
    answer = site.airavata.execute(command, directory)
    assert answer.stdout == ""
    assert answer.exit_code not in (0, 130), answer
    assert answer.stderr.startswith("sbatch: ")
    assert answer.stderr.endswith("\n")
    missing = [word for word in words if word not in answer.stderr]
    assert not missing, (missing, answer.stderr)
    assert "Traceback" not in answer.stderr
    assert "internal" not in answer.stderr
    assert site.count() == before
    if directory is not None and directory.is_dir():
        assert {path.name for path in directory.iterdir()} <= {"job_1.slurm"}


def test_airavata_finds_no_id_in_a_refusal(site: Site) -> None:
    """Behind `| tee` the exit code is lost, so the text alone must tell."""
    job = site.submit(JobScript(site.work(), "true", directives=("#SBATCH -n 100000",)))
    assert job.job_id == ""
    assert (job.directory / job.job_name).read_text() == ""
    assert job.answer.stderr
    assert site.airavata.find(job.job_name) is None


def test_a_script_that_is_not_there(site: Site) -> None:
    work = site.work()
    refused(site, f"{site.commands}/sbatch {work}/job_2.slurm", work, "Unable to open", "job_2.slurm")


def test_a_folder_instead_of_a_script(site: Site) -> None:
    work = site.work()
    refused(site, f"{site.commands}/sbatch {work}", work, "empty")


def test_a_working_directory_that_is_not_there(site: Site) -> None:
    script = site.work() / "job_1.slurm"
    script.write_text(GOOD)
    gone = site.directory / "gone"
    refused(site, f"{site.commands}/sbatch --chdir={gone} {script}", script.parent, str(gone), "No such file")


def test_a_working_directory_that_was_removed(site: Site) -> None:
    script = site.work() / "job_1.slurm"
    script.write_text(GOOD)
    gone = site.work()
    refused(site, f"rmdir {gone}; {site.commands}/sbatch {script}", gone, "does not exist", "--chdir")


def test_a_file_instead_of_a_working_directory(site: Site) -> None:
    script = site.work() / "job_1.slurm"
    script.write_text(GOOD)
    refused(
        site, f"{site.commands}/sbatch -D {script} {script}", script.parent, "Not a directory", str(script)
    )


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with narrow limits."""
    queue = {"max_cpus": 2, "max_memory_mb": 2048, "max_wall_time_minutes": 90}
    settings = {"max_script_bytes": 1000, "queues": queue}
    with running_site(tmp_path_factory.mktemp("limited"), settings=settings) as running:
        yield running


def test_a_script_above_the_limit(limited: Site) -> None:
    site = limited
    work = site.work()
    script = work / "job_1.slurm"
    script.write_text(GOOD + "#" * (1001 - len(GOOD)))
    assert script.stat().st_size == 1001
    refused(site, f"{site.commands}/sbatch {script}", work, "larger than the 1000 bytes", "working directory")
    script.write_text(GOOD + "#" * (1000 - len(GOOD)))
    answer = site.airavata.execute(f"{site.commands}/sbatch {script}", work).stdout
    assert answer.startswith("Submitted batch job ")


def test_limits_of_a_partition_count_before_those_of_the_nodes(limited: Site) -> None:
    site = limited
    work = site.work()
    for line, word in (("-n 3", "at most 2 CPUs"), ("--mem=3G", "2G"), ("-t 91", "1:30:00")):
        (work / "job_1.slurm").write_text(f"#!/bin/bash\n#SBATCH {line}\ntrue\n")
        refused(site, f"{site.commands}/sbatch job_1.slurm", work, word)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("squeue -j abc", "Invalid job id"),
        ("squeue -t NOSUCH", "Invalid job state"),
        ("squeue --unheard-of", "unheard-of"),
        ("scancel", "No job identification"),
        ("scancel abc", "Invalid job id"),
        ("sacct --unheard-of", "unheard-of"),
        ("sacct -j abc", "abc"),
        ("sinfo --unheard-of", "unheard-of"),
    ],
)
def test_bad_arguments_of_the_other_commands(site: Site, command: str, word: str) -> None:
    answer = site.airavata.execute(command)
    assert answer.exit_code != 0
    assert word in answer.stderr
    assert "Traceback" not in answer.stderr

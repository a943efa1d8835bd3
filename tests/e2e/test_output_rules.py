"""Which outputs come back, and how people learn of those that do not."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess

from tests.support.interrupts import interruptible
from tests.support.site import Site, environment


def test_a_script_says_which_outputs_it_wants(site: Site) -> None:
    body = """#AIRAVATA-MESOS outputs.include=results/
#AIRAVATA-MESOS outputs.exclude=*.tmp
echo said
mkdir results; echo 1 > results/a.dat; echo 2 > results/b.tmp; echo 3 > other
mkfifo results/pipe
"""
    job = site.accepted(body)
    document = site.finished(job, "COMPLETE")
    found = {str(path.relative_to(job.directory)) for path in job.directory.rglob("*") if path.is_file()}
    assert "results/a.dat" in found
    assert not found & {"results/b.tmp", "other"}
    stdout = job.directory / document["stdout_file"]
    assert "said" in stdout.read_text(), "this comes in any case"
    text = site.cli("outputs", job.job_id).stdout
    assert "results/a.dat" in text
    assert "results/pipe" in text
    assert "not a regular file or directory" in text
    assert "2 files are excluded by patterns" in text
    line = next(line for line in site.cli("show", job.job_id).stdout.splitlines() if "Outputs:" in line)
    assert "1 left out, 2 excluded by patterns" in line
    fetch = json.loads(site.cli("show", "--json", job.job_id).stdout)["fetch"]
    assert fetch["left_out"] == [["results/pipe", "not a regular file or directory"]]


def test_a_pattern_that_is_none_is_refused(site: Site) -> None:
    work = site.work()
    (work / "job.sh").write_text("#!/bin/sh\n#AIRAVATA-MESOS outputs.exclude\n")
    done = site.cli("submit", "job.sh", cwd=work, code=1)
    assert "cannot be understood" in done.stderr
    assert "outputs.exclude=PATTERN" in done.stderr


def test_jobs_can_be_watched(site: Site) -> None:
    job = site.accepted("sleep 600")
    site.cli("jobs", "--watch", code=1)
    assert "--json is for programs" in site.cli("jobs", "--watch", "--json", code=2).stderr
    ours, theirs = pty.openpty()
    try:
        with interruptible():
            process = subprocess.Popen(
                [*site.cli_command(), "jobs", "--watch"],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                env={**environment(), "COLUMNS": "200", "TERM": "xterm"},
                start_new_session=True,
            )
        seen = b""
        while seen.count(job.job_name.encode()) < 2:  # it was drawn again
            assert select.select([ours], [], [], 100)[0], seen
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        os.close(theirs)
        os.close(ours)
    site.airavata.cancel(job.job_id)

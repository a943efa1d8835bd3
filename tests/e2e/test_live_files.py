"""The files of jobs while they run, and when they are over: logs, browse, get, outputs --live."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.programs import own_environment
from tests.support.site import Site, SiteFactory
from tests.support.ssh_agents import agents_sshd
from tests.support.waiting import wait_for

PATIENCE_SECONDS = 120.0
"""For what takes a second on a machine that has nothing else to do."""

WAIT = "until [ -e {0} ]; do sleep 0.05; done"


class Followers:
    """`airavata-mesos logs -f` in the background, any number of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[subprocess.Popen[bytes]] = []

    def follow(self, site: Site, *arguments: str) -> Followed:
        number = len(self._running)
        out, err = self._directory / f"out{number}", self._directory / f"err{number}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [*site.cli_command(), "logs", "-f", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=own_environment(),
            )
        self._running.append(process)
        return Followed(process, out, err)

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()


class Followed:
    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def data(self) -> bytes:
        return self._out.read_bytes()

    @property
    def said(self) -> str:
        return self._err.read_text()

    def has(self, data: bytes) -> None:
        wait_for(
            lambda: self.data,
            lambda found: found == data,
            f"{data[:60]!r}",
            seconds=PATIENCE_SECONDS,
            context=lambda: self.said,
        )

    def ended(self) -> bytes:
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.said
        return self.data


@pytest.fixture
def followers(tmp_path: Path) -> Any:
    followers = Followers(tmp_path)
    yield followers
    followers.close()


def running(site: Site, body: str, directory: Path | None = None) -> Submission:
    """A job that has begun: it has made the file ``begun`` in its sandbox."""
    job = site.accepted(f"touch begun; {body}", directory)
    has(site, job, "begun")
    return job


def has(site: Site, job: Submission, name: str) -> None:
    """Wait until a file is in the sandbox."""

    def look() -> list[str]:
        try:
            return [entry["name"] for entry in site.client.ask("list", job.job_id, "")["entries"]]
        except AiravataMesosError as error:
            return [str(error)]

    wait_for(look, lambda names: name in names, f"{name} in the sandbox", seconds=PATIENCE_SECONDS)


def table(text: str) -> dict[str, str]:
    rows = [line.split("\t", 1) for line in text.splitlines()[1:]]
    return {name: size for size, name in rows}


def test_followers_see_every_byte_once_to_the_end(site: Site, followers: Followers, tmp_path: Path) -> None:
    """Characters cut at the borders of pieces, bytes that are no text, two followers, a late one."""
    more, end = tmp_path / "more", tmp_path / "end"
    big = "head -c 131071 /dev/zero | tr '\\0' x; printf '\\342\\202\\254'; head -c 70000 /dev/zero"
    job = running(
        site,
        f"printf 'h\\303'; {WAIT.format(more)}; printf '\\251\\n'; {big}; {WAIT.format(end)}; "
        "printf '\\377 last'",
    )
    first, second = followers.follow(site, job.job_id), followers.follow(site, job.job_id)
    first.has(b"h\xc3")
    more.touch()
    middle = b"h\xc3\xa9\n" + b"x" * 131071 + b"\xe2\x82\xac" + bytes(70000)
    first.has(middle)
    late = followers.follow(site, "-c", "70003", job.job_id)
    late.has(b"\xe2\x82\xac" + bytes(70000))
    end.touch()
    whole = middle + b"\xff last"
    assert first.ended() == second.ended() == whole
    assert late.ended() == whole[-70003 - 6 :]
    assert (job.directory / "App.stdout").read_bytes() == whole
    assert (first.said, second.said, late.said) == ("", "", "")
    assert site.cli("logs", "-n", "0", job.job_id).stdout == ""


def test_files_that_start_anew_and_files_that_are_replaced(
    site: Site, followers: Followers, tmp_path: Path
) -> None:
    cut, replaced, end = tmp_path / "cut", tmp_path / "replaced", tmp_path / "end"
    job = running(
        site,
        f"echo first and long > data; {WAIT.format(cut)}; echo 2nd > data; "
        f"{WAIT.format(replaced)}; echo third, and the longest of all > new; mv new data; {WAIT.format(end)}",
    )
    follower = followers.follow(site, "--file", "data", job.job_id)
    follower.has(b"first and long\n")
    cut.touch()
    follower.has(b"first and long\n2nd\n")
    replaced.touch()
    follower.has(b"first and long\n2nd\nthird, and the longest of all\n")
    end.touch()
    assert follower.ended() == b"first and long\n2nd\nthird, and the longest of all\n"
    assert follower.said.splitlines() == 2 * [
        "airavata-mesos: data was cut short or replaced; it is shown from its beginning"
    ]


def test_a_job_that_is_started_again_while_somebody_follows(
    site: Site, followers: Followers, tmp_path: Path
) -> None:
    """The old output comes with the inputs of the second attempt, and is not shown as part of it."""
    end = tmp_path / "end"
    job = running(site, f"echo run $SLURM_RESTART_COUNT; {WAIT.format(end)}; echo end")
    follower = followers.follow(site, job.job_id)
    wait_for(lambda: follower.data, bool, "some output")
    before = follower.data
    assert site.airavata.execute(f"scontrol requeue {job.job_id}").exit_code == 0
    wait_for(
        lambda: follower.data,
        lambda data: data.count(b"run") == 2,
        "output of the second attempt",
        seconds=PATIENCE_SECONDS,
    )
    end.touch()
    assert follower.ended().startswith(before)
    assert follower.data.count(b"run") == 2
    assert follower.data.endswith(b"end\n")
    assert f"job {job.job_id} was started again; what follows is of its next run" in follower.said
    assert "there may be more" not in follower.said


def test_a_provider_that_is_started_anew_while_somebody_follows(
    own_site: SiteFactory, followers: Followers, tmp_path: Path
) -> None:
    site = own_site()
    end = tmp_path / "end"
    job = running(site, f"echo before; {WAIT.format(end)}; echo after")
    follower = followers.follow(site, job.job_id)
    follower.has(b"before\n")
    site.kill()
    wait_for(
        lambda: follower.said,
        lambda text: "waiting for it" in text,
        "a word about the provider",
        seconds=PATIENCE_SECONDS,
    )
    end.touch()
    site.start()
    assert follower.ended() == b"before\nafter\n"


def test_what_processes_of_the_task_wrote(site: Site) -> None:
    job = site.accepted("true")
    site.finished(job, "COMPLETE")
    assert site.cli("logs", "--process", "stage_in", job.job_id).stdout == ""
    assert site.cli("logs", "--process", "stage_in", "--run", "0", "--stderr", job.job_id).stdout == ""
    missing = site.cli("logs", "--process", "none", job.job_id, code=1)
    assert "left no file .logs/none/0/stdout" in missing.stderr


def test_logs_of_thermos_that_rotate_while_somebody_follows(
    own_site: SiteFactory, followers: Followers, tmp_path: Path
) -> None:
    """The process rotates its log every few kilobytes and is started again in the end."""
    end = tmp_path / "end"
    templates = tmp_path / "templates" / "aurora"
    templates.mkdir(parents=True)
    chatter = (
        "for i in $(seq 3000); do echo line $i of many; done; touch chatted; "
        f"{WAIT.format(end)}; [ -e again ] || {{ touch again; echo once more; exit 1; }}"
    )
    process = {
        "name": "chatter",
        "cmdline": chatter,
        "max_failures": 2,
        "min_duration": 0,
        "logger": {"mode": "rotate", "rotate": {"log_size": 6000, "backups": 40}},
    }
    orders = [{"order": ["stage_in", "run"]}, {"order": ["stage_in", "chatter"]}]
    (templates / "chatty.json.j2").write_text(
        '{% extends "aurora/serial.json.j2" %}'
        f"{{% block processes %}}{{{{ super() }}}}, {json.dumps(process)}{{% endblock %}}"
        f"{{% block order %}}{json.dumps(orders)}{{% endblock %}}"
    )
    site = own_site(template_directories=[str(tmp_path / "templates")], queues={"template": "chatty"})
    job = site.accepted("true")
    follower = followers.follow(site, "--process", "chatter", job.job_id)
    lines = "".join(f"line {number} of many\n" for number in range(1, 3001)).encode()
    follower.has(lines)
    end.touch()
    assert follower.ended() == lines + b"once more\n" + lines
    said = "airavata-mesos: the process chatter was started again; what follows is of its run 1\n"
    assert follower.said == said
    run = site.cli("logs", "--process", "chatter", "--run", "0", "-n", "2", job.job_id)
    assert run.stdout == "line 3000 of many\nonce more\n"


def test_browse_shows_sandbox_and_working_directory(site: Site, tmp_path: Path) -> None:
    end = tmp_path / "end"
    evil = ": > \"$(printf 'esc\\033[31m\\nname')\""
    job = running(site, f"mkdir sub; echo data > sub/file; {evil}; : > all; {WAIT.format(end)}")
    has(site, job, "all")
    listing = site.cli("browse", job.job_id).stdout
    assert "esc\\x1b[31m\\nname" in listing
    assert "\033" not in listing
    assert any(line.startswith("drwx") and line.endswith(" sub") for line in listing.splitlines())
    (line,) = site.cli("browse", job.job_id, "sub/").stdout.splitlines()
    assert line.split()[0] == "-rw-r--r--"
    assert line.split()[2] == "5"
    assert line.endswith(" file")
    for name in ("sub/file", "nothing", "../..", "/etc"):
        assert site.cli("browse", job.job_id, name, code=1).stdout == ""
    end.touch()
    site.finished(job, "COMPLETE")
    found = json.loads(site.cli("browse", "--json", job.job_id, "sub").stdout)
    assert [entry["name"] for entry in found["entries"]] == ["file"]


def test_get_takes_what_patterns_name(site: Site, tmp_path: Path) -> None:
    end = tmp_path / "end"
    job = running(
        site,
        "mkdir -p a/b; echo 1 > a/b/one.dat; echo 22 > two.dat; echo 3 > 'od*d.dat'; echo 4 > other.txt; "
        f"chmod 750 two.dat; : > all; {WAIT.format(end)}",
    )
    has(site, job, "all")
    first = tmp_path / "first"
    taken = site.cli("get", job.job_id, "*.dat", "--to", str(first))
    assert table(taken.stdout) == {"a/b/one.dat": "2", "two.dat": "3", "od*d.dat": "2"}
    assert taken.stderr == ""
    assert (first / "a/b/one.dat").read_text() == "1\n"
    assert (first / "two.dat").stat().st_mode & 0o777 == 0o750
    assert not (first / "other.txt").exists()
    exact = site.cli("get", job.job_id, "od*d.dat", "--to", str(tmp_path / "second"))
    assert list(table(exact.stdout)) == ["od*d.dat"]
    nothing = site.cli("get", job.job_id, "*.none", "--to", str(tmp_path / "third"), code=1)
    assert "no file in the sandbox" in nothing.stderr
    end.touch()
    site.finished(job, "COMPLETE")
    here = tmp_path / "here"
    here.mkdir()
    after = site.cli("get", "--json", job.job_id, "a/", cwd=here)
    assert json.loads(after.stdout) == [{"name": "a/b/one.dat", "bytes": 2}]
    assert (here / "a/b/one.dat").read_text() == "1\n"


def test_get_when_the_cluster_has_forgotten_the_sandbox(own_site: SiteFactory, tmp_path: Path) -> None:
    site = own_site()
    job = site.accepted("echo data > file")
    site.finished(job, "COMPLETE")
    assert site.minicluster is not None
    site.minicluster.stop()
    taken = site.cli("get", job.job_id, "file", "--to", str(tmp_path / "to"))
    assert table(taken.stdout) == {"file": "5"}
    assert (tmp_path / "to" / "file").read_text() == "data\n"
    assert site.cli("logs", job.job_id).stdout == ""


def test_live_outputs_come_whole_and_again(site: Site, tmp_path: Path) -> None:
    more, end = tmp_path / "more", tmp_path / "end"
    work = site.work()
    (work / "input").write_text("as it was sent\n")
    os.utime(work / "input", (1_600_000_000, 1_600_000_000))
    job = running(
        site,
        f"echo 1 > progress; echo x > other; {WAIT.format(more)}; echo 2 >> progress; touch more-done; "
        f"{WAIT.format(end)}; echo 3 >> progress",
        work,
    )
    has(site, job, "other")
    before = (work / "input").stat()
    taken = table(site.cli("outputs", "--live", job.job_id).stdout)
    assert {"progress", "other", "App.stdout", "App.stderr"} <= taken.keys()
    assert "input" not in taken
    assert (work / "progress").read_text() == "1\n"
    assert (work / "input").stat() == before
    more.touch()
    has(site, job, "more-done")
    assert list(table(site.cli("outputs", "--live", job.job_id, "prog*").stdout)) == ["progress"]
    assert (work / "progress").read_text() == "1\n2\n"
    elsewhere = tmp_path / "elsewhere"
    site.cli("outputs", "--live", job.job_id, "progress", "--to", str(elsewhere))
    assert (elsewhere / "progress").read_text() == "1\n2\n"
    end.touch()
    site.finished(job, "COMPLETE")
    assert (work / "progress").read_text() == "1\n2\n3\n"
    assert not [path.name for path in work.iterdir() if "airavata-part" in path.name]
    over = site.cli("outputs", "--live", job.job_id, code=1)
    assert f"its outputs are in {work}" in over.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("logs", "--file", "x", "--process", "y"),
        ("logs", "-n", "1", "-c", "1"),
        ("logs", "--run", "1"),
        ("outputs", "--to", "x"),
        ("get",),
    ],
)
def test_options_that_do_not_go_together(site: Site, arguments: tuple[str, ...]) -> None:
    assert "Usage" in site.cli(arguments[0], "1", *arguments[1:], code=2).stderr


def test_named_files_come_by_themselves_while_the_job_runs(own_site: SiteFactory, tmp_path: Path) -> None:
    """So Airavata finds intermediate outputs where it looks for them."""
    site = own_site(queues={"outputs": {"live": ["*.log"], "live_interval_seconds": 1}})
    more, end = tmp_path / "more", tmp_path / "end"
    work = site.work()
    job = site.accepted(
        "#AIRAVATA-MESOS outputs.live=sub/\n"
        f"echo 1 > a.log; mkdir sub; echo s > sub/b; echo x > other; {WAIT.format(more)}; echo 2 >> a.log; "
        f"{WAIT.format(end)}; echo 3 >> a.log",
        work,
    )

    def content() -> dict[str, str]:
        return {
            str(path.relative_to(work)): path.read_text()
            for path in work.rglob("*")
            if path.is_file() and path.name in ("a.log", "b", "other")
        }

    wait_for(
        content,
        lambda found: found == {"a.log": "1\n", "sub/b": "s\n"},
        "the first live outputs",
        seconds=PATIENCE_SECONDS,
    )
    listed = site.airavata.execute(f"cd {work} && ls *.log").stdout
    assert listed == "a.log\n"
    more.touch()
    wait_for(content, lambda found: found["a.log"] == "1\n2\n", "the next state", seconds=PATIENCE_SECONDS)
    assert site.show(job)["phase"] == "running"
    end.touch()
    site.finished(job, "COMPLETE")
    assert content() == {"a.log": "1\n2\n3\n", "sub/b": "s\n", "other": "x\n"}
    assert not [path.name for path in work.iterdir() if "airavata-" in path.name]


def test_files_of_running_jobs_over_sftp(own_site: SiteFactory, followers: Followers, tmp_path: Path) -> None:
    end = tmp_path / "end"
    with agents_sshd(tmp_path / "ssh") as sftp:
        site = own_site(clusters={"sftp": sftp}, queues={"outputs": {"method": "sftp"}})
        job = running(site, f"head -c 200000 /dev/urandom > data; echo 1; {WAIT.format(end)}; echo 2 >> data")
        has(site, job, "data")
        first = followers.follow(site, "--file", "data", job.job_id)
        wait_for(lambda: len(first.data), lambda size: size == 200_000, "all bytes")
        taken = site.cli("get", job.job_id, "data", "--to", str(tmp_path / "to"))
        assert table(taken.stdout) == {"data": "200000"}
        assert (tmp_path / "to" / "data").read_bytes() == first.data
        end.touch()
        assert first.ended() == (job.directory / "data").read_bytes()
        assert site.cli("logs", job.job_id).stdout == "1\n"


def test_files_of_running_jobs_that_cannot_be_reached(own_site: SiteFactory, tmp_path: Path) -> None:
    site = own_site(queues={"outputs": {"method": "push"}})
    end, begun = tmp_path / "end", tmp_path / "begun"
    job = site.accepted(f"echo out; touch {begun}; {WAIT.format(end)}")
    wait_for(begun.exists, bool, "the script")
    site.in_phase(job, "running")
    refused = site.cli("logs", job.job_id, code=1)
    assert "sends its files when it is over" in refused.stderr
    end.touch()
    site.finished(job, "COMPLETE")
    assert site.cli("logs", job.job_id).stdout == "out\n"


def test_sizes_and_rates_are_for_terminals(site: Site, tmp_path: Path) -> None:
    job = site.accepted("head -c 30000000 /dev/zero > large; echo x > small")
    site.finished(job, "COMPLETE")
    quiet = site.cli("get", job.job_id, "large", "small", "--to", str(tmp_path / "quiet"))
    assert quiet.stderr == ""
    ours, theirs = os.openpty()
    done = subprocess.Popen(
        [*site.cli_command(), "get", job.job_id, "large", "small", "--to", str(tmp_path / "to")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=own_environment(TERM="xterm", COLUMNS="100"),
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert done.wait(PATIENCE_SECONDS) == 0
    assert b"large" in shown
    assert b"MiB" in shown
    assert (tmp_path / "to" / "large").stat().st_size == 30_000_000


def test_a_reader_that_has_seen_enough(site: Site) -> None:
    job = site.accepted("seq 100000")
    site.finished(job, "COMPLETE")
    process = subprocess.Popen(
        [*site.cli_command(), "logs", job.job_id],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own_environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"1\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(PATIENCE_SECONDS) == 0

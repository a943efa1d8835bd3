"""The demonstration: it succeeds, and it leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import marked, read_line
from tests.support.site import CLI, environment
from tests.support.waiting import wait_for

LINE_SECONDS = 100.0


class Demo:
    """A demonstration under way. All its processes carry a mark, its files have a folder of their own."""

    def __init__(self, directory: Path, *before: str) -> None:
        self.marker = f"DEMO_MARK={uuid.uuid4()}"
        self.directory = directory
        name, _, value = self.marker.partition("=")
        self.process = subprocess.Popen(
            [*before, *CLI, "demo"],
            env=environment(**{name: value, "TMPDIR": str(directory)}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def up_to(self, text: str) -> None:
        """Read lines until one has ``text``."""
        seen = ""
        while text not in seen:
            line = read_line(self.process, LINE_SECONDS)
            assert line, f"it ended or fell silent before {text!r}; it said:\n{seen}"
            seen += line

    def leaves_nothing(self) -> None:
        wait_for(lambda: marked(self.marker), [].__eq__, "without processes")
        assert list(self.directory.glob("airavata-mesos-demo-*")) == []


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")  # short: a path of a socket comes below it


@pytest.fixture
def demo(directory: Path) -> Iterator[Demo]:
    running = Demo(directory)
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate()


def test_it_shows_three_jobs_from_submission_to_their_files(demo: Demo) -> None:
    stdout, stderr = (stream.decode() for stream in demo.process.communicate(timeout=100))
    assert demo.process.returncode == 0, stderr
    assert stderr == ""
    rows = [line.split("\t") for line in stdout.splitlines() if "\t" in line]
    jobs = {row[0]: row for row in rows if len(row) == 11}
    assert jobs["ID"][:6] == ["ID", "NAME", "CLUSTER", "JOB KEY", "STATE", "EXIT"]
    assert [(jobs[number][4], jobs[number][5]) for number in ("1", "2")] == [
        ("COMPLETED", "0"),
        ("FAILED", "3"),
    ]
    assert jobs["3"][4] == "CANCELLED"
    files = {(row[0], row[1]) for row in rows if len(row) == 3}
    for number in ("1", "2", "3"):
        assert {(number, name) for name in ("WordCount.stdout", "WordCount.stderr", "words.txt")} <= files
    for word in ("QUEUED", "ACTIVE", "COMPLETE", "FAILED", "CANCELED"):
        assert f"Airavata: {word}" in stdout
    demo.leaves_nothing()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("daemon and minicluster are up", signal.SIGINT),
        ("daemon and minicluster are up", signal.SIGTERM),
        ("Submitted batch job 1 ", signal.SIGHUP),
        ("running", signal.SIGINT),
        ("running", signal.SIGTERM),
    ],
)
def test_a_signal_ends_it_and_leaves_nothing(demo: Demo, number: signal.Signals, moment: str) -> None:
    demo.up_to(moment)
    demo.process.send_signal(number)
    _, stderr = demo.process.communicate(timeout=100)
    assert demo.process.returncode == 130
    assert b"Traceback" not in stderr
    demo.leaves_nothing()


def test_a_signal_before_the_daemon_is_up_leaves_nothing(demo: Demo) -> None:
    wait_for(lambda: list(demo.directory.glob("airavata-mesos-demo-*/home")), bool, "begun", pause=0.002)
    demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=100)
    assert demo.process.returncode == 130
    demo.leaves_nothing()


def test_two_signals_leave_nothing(demo: Demo) -> None:
    demo.up_to("running")
    demo.process.send_signal(signal.SIGINT)
    demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=100)
    demo.leaves_nothing()


def test_a_terminal_that_is_closed_ends_it(directory: Path) -> None:
    """Python's pty module is the terminal; when it goes, the kernel hangs up."""
    program = "import os, pty, sys\npid, fd = pty.fork()\n"
    program += "if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n"
    program += "while data := os.read(fd, 4096): os.write(1, data)\n"
    demo = Demo(directory, sys.executable, "-c", program)
    seen = b""
    assert demo.process.stdout is not None
    while b"running" not in seen:
        data = os.read(demo.process.stdout.fileno(), 4096)
        assert data, seen
        seen += data
    demo.process.kill()
    demo.process.communicate()
    demo.leaves_nothing()


def test_killed_it_leaves_no_process(demo: Demo) -> None:
    demo.up_to("running")
    demo.process.kill()
    demo.process.communicate(timeout=100)
    wait_for(lambda: marked(demo.marker), [].__eq__, "without processes")

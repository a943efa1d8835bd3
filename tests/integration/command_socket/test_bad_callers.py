"""Callers that say nothing, half of it, far too much, or leave: nobody else notices."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from airavata_mesos_plugin.slurm import wire
from tests.support.site import Site, environment
from tests.support.waiting import wait_for

ANSWER_SECONDS = 25
"""Commands give up after this, so that none of them can have waited for the end of those who misbehave: the
daemon bears their silence for 30 s. A quiet one answers within some milliseconds."""

PATIENT = environment(AIRAVATA_MESOS_TIMEOUT="200")
"""For many commands at once, which make the machine itself slow."""


@pytest.fixture
def connect(site: Site) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as stack:

        def connected() -> socket.socket:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.settimeout(60)
            connection.connect(str(site.home / "command.sock"))
            return connection

        yield connected


def request(command: str, *argv: str, cwd: Path | str = "/") -> bytes:
    return wire.encode_request(command, argv, str(cwd), {"PATH": "/usr/bin:/bin"})


def ask(connection: socket.socket, message: bytes) -> bytes:
    """Send a request, and all that comes back."""
    connection.sendall(message)
    answer = b""
    while data := connection.recv(65536):
        answer += data
    return answer


def flood(connection: socket.socket) -> None:
    """Send a hundred megabytes."""
    block = b"x" * 1024 * 1024
    for _ in range(100):
        connection.sendall(block)


@contextmanager
def others_are_served(site: Site) -> Iterator[list[str]]:
    """Commands are answered before the block, after it, and all the while; what they said of trouble."""
    over = threading.Event()
    served: list[str] = []

    def work() -> None:
        while True:
            done = squeue(site)
            served.append(done.stderr or f"exit code {done.returncode}" if done.returncode else done.stderr)
            if over.wait(0.05):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield served
    finally:
        over.set()
        thread.join()
    assert not any(served), served


def squeue(site: Site) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(site.commands / "squeue"), "-h"],
        capture_output=True,
        text=True,
        env=environment(AIRAVATA_MESOS_TIMEOUT=str(ANSWER_SECONDS)),
        check=False,
    )


def test_callers_that_say_nothing(site: Site, connect: Callable[[], socket.socket]) -> None:
    connections = [connect() for _ in range(200)]
    with others_are_served(site) as served:
        wait_for(lambda: len(served), lambda number: number >= 3, "commands answered")
    assert ask(connections[0], request("squeue", "-h")).endswith(b"X 0\n"), "it may still ask"


def test_callers_that_say_half_of_it(site: Site, connect: Callable[[], socket.socket]) -> None:
    message = request("squeue", "-h")
    with others_are_served(site):
        for length in range(len(message)):
            connect().sendall(message[:length])
        drip = connect()
        for number in range(len(message)):
            drip.sendall(message[number : number + 1])
        assert drip.recv(65536).endswith(b"X 0\n")


def test_submitters_whose_script_never_comes(
    site: Site, connect: Callable[[], socket.socket], tmp_path: Path
) -> None:
    """More of them than the daemon has threads."""
    before = site.count()
    connections = []
    for _ in range(40):
        connections.append(connect())
        connections[-1].sendall(request("sbatch", "job.sh", cwd=tmp_path))
    assert {connection.recv(100)[:2] for connection in connections} == {b"F "}
    with others_are_served(site):
        job = site.accepted("echo x > out")
    assert b"does not look like a batch script" in ask(connections[0], b"D 4\nlate")
    site.finished(job, "COMPLETE")
    assert site.count() == before + 1


def test_a_hundred_megabytes(site: Site, connect: Callable[[], socket.socket]) -> None:
    announced = connect()
    with others_are_served(site):
        assert b"more than" in ask(announced, b"airavata-mesos 1 104857600 1 1\n")
        garbage = connect()
        with pytest.raises(ConnectionError):
            flood(garbage)
        unasked = connect()
        unasked.sendall(request("squeue", "-h"))
        with pytest.raises(ConnectionError):
            flood(unasked)
        script = connect()
        script.sendall(request("sbatch", "job.sh"))
        assert script.recv(100)[:2] == b"F "
        assert b"104857600 bytes" in ask(script, b"D 104857600\n")


def test_callers_that_leave_early(site: Site, connect: Callable[[], socket.socket], tmp_path: Path) -> None:
    before = site.count()
    with others_are_served(site):
        for message in (
            b"",
            b"airavata-mesos 1 ",
            request("squeue"),
            request("sbatch", "job.sh", cwd=tmp_path),
        ):
            for _ in range(50):
                connection = connect()
                connection.sendall(message)
                connection.close()
    wait_for(lambda: descriptors(site), lambda count: count < 100, "descriptors given back")
    assert site.count() == before
    assert "Traceback" not in site.daemon.log
    assert "never retrieved" not in site.daemon.log


def descriptors(site: Site) -> int:
    return sum(1 for _ in Path(f"/proc/{site.daemon.pid}/fd").iterdir())


def test_more_connections_than_an_account_may_have(site: Site, connect: Callable[[], socket.socket]) -> None:
    """Those that have been silent for longest have to go, and everybody who speaks is answered."""
    connections = [connect() for _ in range(1100)]
    with others_are_served(site):
        assert ask(connections[-1], request("squeue", "-h")).endswith(b"X 0\n")
    with pytest.raises(ConnectionError):
        flood(connections[0])


def test_two_hundred_commands_at_once(site: Site, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\ntrue\n")
    lines = [
        (str(site.commands / name), *arguments)
        for name, arguments in (
            ("sbatch", ("--test-only", "job.sh")),
            ("squeue", ("-h",)),
            ("sinfo", ("-h",)),
            ("scancel", ("-u", "nobody")),
        )
        for _ in range(50)
    ]
    with ThreadPoolExecutor(200) as pool:
        done = list(
            pool.map(
                lambda line: subprocess.run(
                    line, cwd=tmp_path, capture_output=True, text=True, env=PATIENT, check=False
                ),
                lines,
            )
        )
    failed = [one for one in done if "does not answer" in one.stderr or "internal" in one.stderr]
    assert failed == []
    assert {one.returncode for one in done if "sbatch" not in one.args[0]} == {0}


def test_two_hundred_submissions_at_once(site: Site, tmp_path: Path) -> None:
    before = site.count()
    (tmp_path / "job.sh").write_text("#!/bin/sh\ntrue\n")
    minicluster = site.minicluster
    assert minicluster is not None
    minicluster.program.signal(signal.SIGSTOP)  # a scheduler that stands still, so that none of them runs
    try:
        with ThreadPoolExecutor(200) as pool:
            done = list(
                pool.map(
                    lambda _: subprocess.run(
                        [str(site.commands / "sbatch"), "--parsable", "job.sh"],
                        cwd=tmp_path,
                        capture_output=True,
                        text=True,
                        env=PATIENT,
                        check=False,
                    ),
                    range(200),
                )
            )
        assert [one.stderr for one in done if one.returncode] == []
        ids = {one.stdout.strip() for one in done}
        assert len(ids) == 200
        assert site.count() == before + 200
        cancelled = subprocess.run(
            [str(site.commands / "scancel"), *ids],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert cancelled.returncode == 0, cancelled
    finally:
        minicluster.program.signal(signal.SIGCONT)


def test_the_daemon_takes_all_descriptors_that_it_may_have(site: Site) -> None:
    limits = Path(f"/proc/{site.daemon.pid}/limits").read_text()
    soft, hard = next(line for line in limits.splitlines() if "open files" in line).split()[3:5]
    assert int(soft) == min(int(hard), 65536)

"""The installed commands as real processes: what they send, what they print, what they do in trouble."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.slurm import wire
from airavata_mesos_plugin.slurm.session import COMMANDS
from tests.support.interrupts import interruptible
from tests.support.waiting import wait_for

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Serve = Callable[[Callable[[Any], None]], None]

CONNECT = "Unable to contact slurm controller (connect failure)"
TIMED_OUT = "Socket timed out on send/recv operation"
ZERO = "Zero Bytes were transmitted or received"


@pytest.mark.parametrize("command", COMMANDS)
def test_question_and_answer(
    run: Run, serve: Serve, requests: list[wire.Request], tmp_path: Path, command: str
) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish(b"out\n", b"err\n", 210)

    serve(answer)
    weird = b"\xff\n '\""
    done = run(command, "-j", "", weird, environ={"SQUEUE_FORMAT": "%i\u00e4"})
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 210)
    (request,) = requests
    assert request.command == command
    assert request.argv == ("-j", "", os.fsdecode(weird))
    assert request.cwd == str(tmp_path)
    assert request.environ["SQUEUE_FORMAT"] == "%i\u00e4"


def test_no_arguments_are_no_empty_argument(run: Run, serve: Serve, requests: list[wire.Request]) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish()

    serve(answer)
    assert run("squeue").returncode == 0
    assert requests[0].argv == ()


def test_files_come_from_the_callers_side(run: Run, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "with blank\n.sh").write_bytes(b"#!/bin/sh\n\x00\xff")
    got: list[wire.FileAnswer] = []

    def answer(peer: Any) -> None:
        peer.read_request()
        got.append(peer.read_file("with blank\n.sh", 4096))
        got.append(peer.read_file("with blank\n.sh", 5))
        got.append(peer.read_file("nosuch", 4096))
        got.append(peer.read_file(str(tmp_path), 4096))
        got.append(peer.read_file(None, 4096))
        peer.finish(b"Submitted batch job 1\n")

    serve(answer)
    done = run("sbatch", stdin=b"from stdin")
    assert done.stdout == b"Submitted batch job 1\n"
    assert [(item.content, item.errno) for item in got] == [
        (b"#!/bin/sh\n\x00\xff", 0),
        (b"#!/bi", 0),
        (b"", 2),
        (b"", 21),
        (b"from stdin", 0),
    ]


def test_a_large_standard_input_is_clipped(run: Run, serve: Serve) -> None:
    sizes: list[int] = []

    def answer(peer: Any) -> None:
        peer.read_request()
        sizes.append(len(peer.read_file(None, 300_000).content))
        peer.finish()

    serve(answer)
    assert run("sbatch", stdin=b"x" * 2_000_000).returncode == 0
    assert sizes == [300_000]


def test_only_sbatch_gives_files_away(run: Run, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")

    def answer(peer: Any) -> None:
        peer.read_request()
        peer.read_file("secret", 10)

    serve(answer)
    done = run("squeue")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Unexpected message received" in done.stderr


def test_huge_output(run: Run, serve: Serve) -> None:
    table = b"".join(b"%18d batch\n" % number for number in range(400_000))

    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish(table)

    serve(answer)
    assert run("squeue").stdout == table


def test_frames_in_small_pieces(run: Run, serve: Serve) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in b"O 3\nabcE 1\n!O 0\nO 2\nd\nX 7\n":
            peer.connection.sendall(bytes([byte]))

    serve(answer)
    done = run("squeue")
    assert (done.stdout, done.stderr, done.returncode) == (b"abcd\n", b"!", 7)


DOWN = {
    "sbatch": "sbatch: error: Batch job submission failed: {}",
    "squeue": "slurm_load_jobs error: {}",
    "scancel": "scancel: error: Kill job error on job id 12: {}",
    "sinfo": "slurm_load_partitions: {}",
    "scontrol": "slurm_load_jobs error: {}",
    "srun": "srun: error: Unable to allocate resources: {}",
}


def expect_down(
    done: subprocess.CompletedProcess[bytes], command: str, path: Path, text: str, why: str
) -> None:
    """SLURM's line first, the way out last, nothing on stdout."""
    lines = done.stderr.decode().splitlines()
    first = f"sacct: error: Problem talking to the database: {why}"
    assert lines[0] == (first if command == "sacct" else DOWN[command].format(text))
    assert lines[-1] == (
        f"{command}: error: the provider daemon does not answer at {path} ({why});"
        " start it with: airavata-mesos serve"
    )
    assert done.stdout == b""
    assert done.returncode == (8 if command == "scancel" else 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_socket(run: Run, path: Path, command: str) -> None:
    done = run(command, "12")
    expect_down(done, command, path, CONNECT, "No such file or directory")
    assert b"may have been" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_listens(run: Run, path: Path, command: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    expect_down(run(command, "12"), command, path, CONNECT, "Connection refused")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_daemon_hangs_up(run: Run, serve: Serve, path: Path, command: str) -> None:
    serve(lambda peer: peer.read_request())
    done = run(command, "12")
    expect_down(done, command, path, ZERO, "Connection closed before the answer was complete")
    assert (b"may have been submitted" in done.stderr) == (command == "sbatch")


@pytest.mark.parametrize("command", COMMANDS)
def test_half_an_answer_is_not_shown(run: Run, serve: Serve, path: Path, command: str) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.connection.sendall(b"O 22\nSubmitted batch job 1\nO 100\nabc")

    serve(answer)
    expect_down(run(command, "12"), command, path, ZERO, "Connection closed before the answer was complete")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_daemon_says_nothing(
    run: Run, serve: Serve, requests: list[wire.Request], path: Path, command: str
) -> None:
    done_waiting = threading.Event()

    def answer(peer: Any) -> None:
        peer.read_request()
        done_waiting.wait()

    serve(answer)
    # Where the machine stands still, the time may be over before anything was sent.
    done = wait_for(
        lambda: run(command, "12", environ={"AIRAVATA_MESOS_TIMEOUT": "0.3"}),
        lambda _: bool(requests),
        "asked",
    )
    done_waiting.set()
    expect_down(done, command, path, TIMED_OUT, "Connection timed out")
    assert (b"may have been submitted" in done.stderr) == (command == "sbatch")


def test_a_daemon_that_drips_is_late_too(run: Run, serve: Serve, path: Path) -> None:
    """The limit is for the whole conversation, not for the time between two bytes."""
    over = threading.Event()

    def answer(peer: Any) -> None:
        peer.read_request()
        peer.connection.sendall(b"O 1000\n")
        while not over.wait(0.05):
            peer.connection.sendall(b"x")

    serve(answer)
    done = run("squeue", environ={"AIRAVATA_MESOS_TIMEOUT": "0.4"})
    over.set()
    expect_down(done, "squeue", path, TIMED_OUT, "Connection timed out")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"X\n",
        b"O -1\n",
        b"O 1 2\n",
        b"Z 1\n",
        b"x" * 500,
        b"O 9999999999\n",
        b"\n",
    ],
)
def test_nonsense(run: Run, serve: Serve, path: Path, answer: bytes) -> None:
    def say(peer: Any) -> None:
        peer.read_request()
        peer.connection.sendall(answer)

    serve(say)
    expect_down(run("squeue", "12"), "squeue", path, "Unexpected message received", "Protocol error")


def test_a_socket_path_that_is_too_long(run: Run) -> None:
    long = "/tmp/" + "x" * 200
    done = run("squeue", environ={"AIRAVATA_MESOS_SOCKET": long})
    expect_down(done, "squeue", Path(long), CONNECT, "AF_UNIX path too long")


def test_scancel_names_every_id_in_trouble(run: Run) -> None:
    lines = run("scancel", "-u", "me", "1,2", "3").stderr.decode().splitlines()
    assert [line.split(":")[2] for line in lines[:3]] == [f" Kill job error on job id {n}" for n in (1, 2, 3)]
    assert run("scancel", "-u", "me").stderr.decode().startswith("slurm_load_jobs error: ")


def test_another_socket_by_environment(
    run: Run, serve: Serve, requests: list[wire.Request], path: Path, tmp_path: Path
) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish(b"here\n")

    serve(answer)
    other = tmp_path / "other"
    other.symlink_to(path)
    assert run("squeue", environ={"AIRAVATA_MESOS_SOCKET": str(other)}).stdout == b"here\n"
    assert requests[0].environ["AIRAVATA_MESOS_SOCKET"] == str(other)


def test_a_reader_that_has_gone(bin_directory: Path, serve: Serve, tmp_path: Path) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish(b"x" * 1_000_000)

    serve(answer)
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" | true; exec "$0" >&-', str(bin_directory / "squeue")],
        capture_output=True,
        timeout=100,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_closed_standard_streams(
    bin_directory: Path, serve: Serve, requests: list[wire.Request], until_idle: Callable[[], None]
) -> None:
    """The connection must not end up as standard output."""
    after: list[bytes] = []

    def answer(peer: Any) -> None:
        peer.read_request()
        peer.read_file(None, 10)
        peer.finish(b"Submitted batch job 1\n")
        after.append(peer.connection.recv(100))

    serve(answer)
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" <&- >&- 2>&-', str(bin_directory / "sbatch")],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0
    assert len(requests) == 1
    until_idle()
    assert after == [b""]


def test_a_current_directory_that_was_removed(
    serve: Serve, requests: list[wire.Request], tmp_path: Path, bin_directory: Path
) -> None:
    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish()

    serve(answer)
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", f'rmdir {gone}; exec "$0"', str(bin_directory / "squeue")],
        capture_output=True,
        timeout=100,
        cwd=gone,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert requests[0].cwd == ""


def test_an_interrupt_is_quiet(bin_directory: Path, serve: Serve) -> None:
    asked = threading.Event()
    over = threading.Event()

    def answer(peer: Any) -> None:
        peer.read_request()
        asked.set()
        over.wait()

    serve(answer)
    with interruptible():
        process = subprocess.Popen([bin_directory / "squeue"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    over.set()
    assert (process.returncode, stdout, stderr) == (130, b"", b"")


def test_the_answer_ends_when_the_process_does(bin_directory: Path, serve: Serve) -> None:
    """Whoever reads to the end of the output, as Airavata does, is not kept waiting by a child."""

    def answer(peer: Any) -> None:
        peer.read_request()
        peer.finish(b"done\n")

    serve(answer)
    read, write = os.pipe()
    with subprocess.Popen([bin_directory / "squeue"], stdout=write):
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            assert stream.read() == b"done\n"

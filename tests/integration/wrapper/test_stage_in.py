"""The command that fetches the inputs: with each download program, and over connections that break."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.config import embedded_settings
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.templating import StageIn, TemplateLibrary, job_context

SETTINGS = embedded_settings()


def inputs() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, content: bytes = b"", **values: Any) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), 1_600_000_000, 0o644
            member.uid = member.gid = 54321
            for key, value in values.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))

        add(".airavata-mesos/run.sh", b"#!/bin/bash\n", mode=0o700)
        add("two words\n.dat", b"x" * 300_000, mode=0o444)
        add("locked", type=tarfile.DIRTYPE, mode=0o555)
        add("later", b"")
        add("locked/inside", b"i")
        add("link", type=tarfile.SYMTYPE, linkname="later")
        add("last", b"y" * 300_000)
    return archive.getvalue()


class Daemon(ThreadingHTTPServer):
    """Answers with the archive; ``breaks`` transfers stop half-way first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive = inputs()
        self.breaks = 0
        self.chunked = True
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/inputs/ticket"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Daemon

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        broken = server.requests <= server.breaks
        body = server.archive[: len(server.archive) // 2] if broken else server.archive
        self.close_connection = True
        if self.path != "/inputs/ticket":
            self.send_error(404)
            return
        self.send_response(200)
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(body), 65536):
                piece = body[start : start + 65536]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not broken:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(server.archive)))
            self.end_headers()
            self.wfile.write(body)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    server = Daemon()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def command(url: str) -> str:
    record = JobRecord(
        id=1,
        request=JobRequest(
            name="n",
            user="u",
            uid=1,
            queue="default",
            working_directory="/w",
            resources=Resources(cpus=1, memory_mb=1, disk_mb=1),
            wall_time_seconds=60,
        ),
        phase=JobPhase.QUEUED,
        cluster="embedded",
        key=JobKey("r", "prod", "n"),
        attempt=1,
        run=0,
        accepted_at=0,
        changed_at=0,
    )
    context = job_context(record, SETTINGS.queues[0], SETTINGS.clusters[0], StageIn("http", url))
    document: Any = TemplateLibrary().render_job("aurora", "serial", context)
    text: str = document["task"]["processes"][0]["cmdline"]
    return text


def stage(path: Path, url: str, downloader: str) -> subprocess.CompletedProcess[bytes]:
    """Run it where only one download program is installed."""
    programs = path.parent / f"bin-{downloader}"
    if not programs.exists():
        programs.mkdir()
        for name in ("tar", downloader):
            program = sys.executable if name == "python3" else shutil.which(name)
            if program is not None:
                (programs / name).symlink_to(program)
    return subprocess.run(
        ["/bin/bash", "-c", command(url)],
        cwd=path,
        env={"PATH": str(programs)},
        capture_output=True,
        timeout=30,
        check=False,
    )


DOWNLOADERS = ["curl", "wget", "python3"]


def check(path: Path) -> None:
    assert (path / "two words\n.dat").read_bytes() == b"x" * 300_000
    assert (path / "two words\n.dat").stat().st_mode & 0o777 == 0o444
    assert (path / "locked").stat().st_mode & 0o777 == 0o555
    assert (path / "locked" / "inside").read_bytes() == b"i"
    assert (path / "link").readlink() == Path("later")
    assert (path / "last").stat().st_mtime == 1_600_000_000
    assert (path / "last").stat().st_uid == path.stat().st_uid
    assert (path / ".airavata-mesos" / "run.sh").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("downloader", DOWNLOADERS)
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_inputs_arrive_even_after_a_broken_transfer(
    tmp_path: Path, daemon: Daemon, downloader: str, chunked: bool
) -> None:
    path = tmp_path / "sandbox"
    path.mkdir()
    daemon.breaks, daemon.chunked = 1, chunked
    assert stage(path, daemon.url, downloader).returncode != 0
    assert daemon.requests == 1
    done = stage(path, daemon.url, downloader)
    assert done.returncode == 0, done.stderr
    check(path)
    assert stage(path, daemon.url, downloader).returncode == 0
    check(path)


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_a_transfer_that_breaks_between_two_files_is_noticed(
    tmp_path: Path, daemon: Daemon, downloader: str
) -> None:
    path = tmp_path / "sandbox"
    path.mkdir()
    daemon.breaks = 1
    # The half that is sent ends where a file ends, so the archive itself looks whole.
    daemon.archive = inputs()[:1024] * 2
    for chunked in (True, False):
        daemon.requests, daemon.chunked = 0, chunked
        assert stage(path, daemon.url, downloader).returncode != 0


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_refusals_fail_and_say_so(tmp_path: Path, daemon: Daemon, downloader: str) -> None:
    path = tmp_path / "sandbox"
    path.mkdir()
    done = stage(path, daemon.url + "-expired", downloader)
    assert done.returncode != 0
    assert b"404" in done.stderr


def test_an_agent_without_any_of_them(tmp_path: Path) -> None:
    path = tmp_path / "sandbox"
    path.mkdir()
    done = stage(path, "http://127.0.0.1:1/x", "no-such-program")
    assert done.returncode != 0
    assert b"none of curl, wget and python3" in done.stderr

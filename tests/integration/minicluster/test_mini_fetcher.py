"""URIs that Mesos' fetcher brings before a task starts."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import Probe, events, job, process, run_dir, thermos
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster
from airavata_mesos_plugin.testing.waiting import wait_for

S = api.ScheduleStatus
LIST = thermos(process("list", "cat ../x-plain ../x-local; true"))


class Files(ThreadingHTTPServer):
    """Serves what is in ``content``; a path in ``held`` is answered when its event is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: dict[str, bytes] = {}
        self.held: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Files

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path in self.server.held:
            self.server.held[self.path].wait(60)
        content = self.server.content.get(self.path.split("?")[0])
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")


@pytest.fixture
def files() -> Iterator[Files]:
    server = Files()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    for event in server.held.values():
        event.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cluster(make_minicluster: Callable[..., EmbeddedCluster]) -> EmbeddedCluster:
    return make_minicluster(allow_fetcher=True)


@pytest.fixture
def probe(cluster: EmbeddedCluster) -> Probe:
    return Probe(cluster.scheduler_url)


def uri(value: str, **members: Any) -> Any:
    return api.MesosFetcherURI(value=value, **members)


def tar(**content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zipped(**content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return out.getvalue()


def names(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if path.name.startswith("x")}


def test_what_comes_and_what_is_unpacked(
    cluster: EmbeddedCluster, probe: Probe, files: Files, tmp_path: Path
) -> None:
    (tmp_path / "x-local").write_text("from the agent\n")
    files.content = {
        "/x-plain": b"plain\n",
        "/x.tar.gz": tar(**{"x-in-tar": b"t"}),
        "/x.zip": zipped(**{"x-in-zip": b"z"}),
        "/x-one.gz": gzip.compress(b"one\n"),
        "/x-kept.tgz": tar(**{"x-unwanted": b"u"}),
        "/query": tar(**{"x-by-name": b"n"}),
    }
    uris = {
        uri(f"{files.url}/x-plain"),
        uri(f"{files.url}/x.tar.gz", extract=True),
        uri(f"{files.url}/x.zip", extract=True),
        uri(f"{files.url}/x-one.gz", extract=True),
        uri(f"{files.url}/x-kept.tgz"),
        uri(f"{files.url}/query?x=1", outputFile="x-named.tar", extract=True),
        uri(f"file://{tmp_path}/x-local"),
        uri(f"{tmp_path}/x-local", outputFile="x-other"),
    }
    probe.create(job("fetch", LIST, mesosFetcherUris=uris))
    (task,) = probe.wait("fetch")
    run = run_dir(cluster.settings.work_dir, task)
    assert task.status == S.FINISHED, (run / "stderr").read_text()
    assert names(run) == {
        *("x-plain", "x.tar.gz", "x-in-tar", "x.zip", "x-in-zip", "x-one.gz", "x-one", "x-kept.tgz"),
        *("x-named.tar", "x-by-name", "x-local", "x-other"),
    }
    log = (run / "sandbox/.logs/list/0/stdout").read_text()
    assert log == "plain\nfrom the agent\n"


def test_the_cache_asks_once_and_leaves_only_what_was_unpacked(
    cluster: EmbeddedCluster, probe: Probe, files: Files
) -> None:
    files.content = {"/x.tgz": tar(**{"x-data": b"d"}), "/x-plain": b"p"}
    uris = {uri(f"{files.url}/x.tgz", cache=True, extract=True), uri(f"{files.url}/x-plain", cache=True)}
    for name in ("one", "two"):
        probe.create(job(name, LIST, mesosFetcherUris=uris))
        (task,) = probe.wait(name)
        assert task.status == S.FINISHED
        assert names(run_dir(cluster.settings.work_dir, task)) == {"x-data", "x-plain"}
    assert sorted(files.asked) == ["/x-plain", "/x.tgz"]


@pytest.mark.parametrize("address", ["/none", "/x.tar", "/../x"])
def test_a_task_does_not_start_without_its_files(
    cluster: EmbeddedCluster, probe: Probe, files: Files, address: str
) -> None:
    files.content = {"/x.tar": b"no archive at all"}
    output = "../x" if ".." in address else None
    probe.create(
        job("fails", LIST, mesosFetcherUris={uri(f"{files.url}{address}", outputFile=output, extract=True)})
    )
    (task,) = probe.wait("fails")
    run = run_dir(cluster.settings.work_dir, task)
    assert task.status == S.FAILED
    assert f"Failed to fetch all URIs for container '{run.resolve().name}'" in str(events(task)[-1][1])
    assert "STARTING" not in [state for state, _ in events(task)]
    assert f"Failed to fetch '{files.url}{address}': " in (run / "stderr").read_text()
    assert not (run / "sandbox").exists()


def test_a_task_is_killed_while_its_files_come(probe: Probe, files: Files) -> None:
    files.held["/x"] = threading.Event()
    probe.create(job("held", LIST, mesosFetcherUris={uri(f"{files.url}/x")}))
    wait_for(lambda: files.asked, bool, "the fetcher")
    probe.kill("held")
    (task,) = probe.wait("held")
    assert task.status == S.KILLED


def test_it_is_not_allowed_by_default(make_minicluster: Callable[..., EmbeddedCluster]) -> None:
    probe = Probe(make_minicluster().scheduler_url)
    with pytest.raises(RuntimeError, match="Mesos Fetcher for individual jobs is disabled in this cluster"):
        probe.create(job("refused", LIST, mesosFetcherUris={uri("http://127.0.0.1:1/x")}))

"""What the daemon's HTTP side answers, to whom, and in what order."""

from __future__ import annotations

import hashlib
import http.client
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.sandbox.inputs.archive import ENDING_BYTES
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.service import inputs as route
from airavata_mesos_plugin.testing.waiting import wait_for
from tests.integration.inputs.conftest import Site

LATER = 2e9


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(staging={"transfers": 1})


def ask(
    site: Site, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    place = urlsplit(site.parts.staging_url())
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def path_of(site: Site, job_id: int) -> str:
    return urlsplit(site.address(job_id)).path


def test_the_archive_says_what_it_should_be(site: Site) -> None:
    job_id = site.submit()
    (site.work(job_id) / "late").touch()  # after the submission: not an input
    status, data = ask(site, path_of(site, job_id))
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        told = archive.extractfile(".airavata-mesos/inputs.sha256")
        assert told is not None
        assert told.read().decode() == hashlib.sha256(data[:-ENDING_BYTES]).hexdigest() + "\n"
    assert names[-1] == ".airavata-mesos/inputs.sha256"
    assert ".airavata-mesos/run.sh" in names
    assert "late" not in names
    for start in (1, 700, len(data) - 2049, len(data) - 2048, len(data) - 1, len(data), len(data) + 5):
        assert ask(site, f"{path_of(site, job_id)}?from={start}") == (200, data[start:])
    # A range that is not supported is passed over, as HTTP allows.
    assert ask(site, path_of(site, job_id), headers={"Range": "bytes=5-9"}) == (200, data)


def test_it_goes_on_after_a_restart_of_the_daemon(site: Site) -> None:
    work = site.directory / "inputs"
    work.mkdir()
    (work / "data").write_bytes(bytes(range(256)) * 10_000)
    path = path_of(site, site.submit(working_directory=str(work)))
    _, data = ask(site, path)
    site.restart()
    assert ask(site, f"{path}?from={len(data) // 2}") == (200, data[len(data) // 2 :])


def test_everything_else_is_not_found(site: Site) -> None:
    job_id = site.submit()
    good = path_of(site, job_id)
    tickets = site.parts.tickets
    attempt = site.job(job_id).attempt
    assert ask(site, f"/inputs/{tickets.issue(job_id, attempt, LATER)}")[0] == 200
    for bad in (
        "/",
        "/inputs",
        "/inputs/",
        "/inputs/x",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good + "/",
        good + "/other",
        good + "?from=-1",
        good + "?from=1e3",
        good + "?by=%00",
        f"/inputs/{tickets.issue(job_id, attempt, 1.0)}",
        f"/inputs/{tickets.issue(job_id, attempt + 1, LATER)}",
        f"/inputs/{tickets.issue(job_id + 1, attempt, LATER)}",
        f"/inputs/{Tickets(b't' * 32).issue(job_id, attempt, LATER)}",
        "/inputs/%2e%2e/health",
    ):
        status, text = ask(site, bad)
        assert (status, text) == (404, b"404: Not Found"), bad
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert ask(site, good, method)[0] == 404
        assert ask(site, "/inputs/x", method)[0] == 404


@pytest.mark.parametrize("phase", [JobPhase.FETCHING, JobPhase.COMPLETED])
def test_a_job_that_has_run_gives_no_inputs(site: Site, phase: JobPhase) -> None:
    job_id = site.submit()
    path = path_of(site, job_id)
    site.ledger.advance(job_id, phase, source="test", fields={"outcome": JobPhase.COMPLETED})
    assert ask(site, path)[0] == 404
    assert ask(site, f"{path}/inputs.tar")[0] == 404


def test_an_attempt_that_was_followed_by_another_gives_no_inputs(site: Site) -> None:
    job_id = site.submit()
    path = path_of(site, job_id)
    assert ask(site, path)[0] == 200
    site.ledger.advance(job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.LOST})
    record = site.job(job_id)
    site.provider.control.begin_again(record, "REQUEUED", "test", "requeued")
    assert site.job(job_id).attempt == record.attempt + 1
    assert ask(site, path)[0] == 404
    assert ask(site, path_of(site, job_id))[0] == 200


@pytest.fixture
def short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "LINE_SECONDS", 0.05)
    monkeypatch.setattr(route, "IDLE_SECONDS", 0.05)


@pytest.fixture
def occupied(site: Site) -> Iterator[Callable[[], None]]:
    """Somebody has the only place, until the call."""
    work = site.directory / "big"
    work.mkdir()
    with (work / "data").open("wb") as file:
        file.truncate(64 * 2**20)  # more than sockets hold
    job_id = site.submit(working_directory=str(work))
    place = urlsplit(site.parts.staging_url())
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request("GET", path_of(site, job_id))
        answer = connection.getresponse()
        assert len(answer.read(1000)) == 1000

        def hang_up() -> None:
            answer.close()
            connection.close()

        yield hang_up


@pytest.mark.usefixtures("short_line")
def test_who_finds_no_place_is_asked_to_come_back(site: Site, occupied: Callable[[], None]) -> None:
    path = path_of(site, site.submit())
    assert ask(site, f"{path}?by=me")[0] == 503
    assert ask(site, f"{path}?by=me")[0] == 503
    occupied()
    status, data = wait_for(lambda: ask(site, f"{path}?by=me"), lambda seen: seen[0] != 503, "a place")
    assert status == 200
    assert len(data) > ENDING_BYTES


@pytest.mark.usefixtures("short_line")
def test_an_agent_in_the_line_gets_its_inputs(
    site: Site, occupied: Callable[[], None], sandbox: Path, agent: Callable[..., object]
) -> None:
    job_id = site.submit()
    (site.work(job_id) / "late").touch()
    command = site.stage_in(job_id)
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(agent(command, sandbox)))
    thread.start()
    pauses = sandbox.parent / "bin-curl" / "pauses"
    wait_for(lambda: pauses.exists() and len(pauses.read_text()) >= 6, bool, "three visits")
    occupied()
    thread.join()
    assert getattr(done[0], "returncode", None) == 0
    assert getattr(done[0], "stderr", None) == ""


@pytest.mark.usefixtures("short_line")
def test_mesos_fetcher_gets_comments_while_it_waits(site: Site, occupied: Callable[[], None]) -> None:
    job_id = site.submit()
    place = urlsplit(site.parts.staging_url())
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request("GET", f"{path_of(site, job_id)}/inputs.tar")
        answer = connection.getresponse()
        data = answer.read(3 * 1024)
        occupied()
        data += answer.read()
    assert data[:1024] == data[1024:2048] == data[2048:3072]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        told = archive.extractfile(".airavata-mesos/inputs.sha256")
        assert told is not None
        assert told.read().decode() == hashlib.sha256(data[:-ENDING_BYTES]).hexdigest() + "\n"


@pytest.mark.usefixtures("short_line")
def test_a_job_that_ends_while_mesos_fetcher_waits(site: Site, occupied: Callable[[], None]) -> None:
    job_id = site.submit()
    place = urlsplit(site.parts.staging_url())
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request("GET", f"{path_of(site, job_id)}/inputs.tar")
        answer = connection.getresponse()
        assert answer.read(1024)
        site.ledger.advance(job_id, JobPhase.CANCELLED, source="test")
        occupied()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()


def test_an_agent_that_takes_nothing_loses_its_place(
    site: Site, occupied: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to `occupied` was begun with the long patience; the next one has the short one."""
    occupied()
    monkeypatch.setattr(route, "STALL_SECONDS", 0.1)
    work = str(site.directory / "big")
    place = urlsplit(site.parts.staging_url())
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request("GET", path_of(site, site.submit(working_directory=work)))
        assert len(connection.getresponse().read(1000)) == 1000
        assert ask(site, path_of(site, site.submit()))[0] == 200


def test_a_limit_of_bandwidth_changes_no_byte(make_site: Callable[..., Site]) -> None:
    site = make_site(staging={"bandwidth_mb_per_second": 50, "job_bandwidth_mb_per_second": 40})
    work = site.directory / "inputs"
    work.mkdir()
    (work / "data").write_bytes(bytes(range(256)) * 40_000)
    path = path_of(site, site.submit(working_directory=str(work)))
    status, data = ask(site, path)
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        content = archive.extractfile("data")
        assert content is not None
        assert content.read() == (work / "data").read_bytes()
    assert hashlib.sha256(data[:-ENDING_BYTES]).hexdigest().encode() in data[-ENDING_BYTES:]

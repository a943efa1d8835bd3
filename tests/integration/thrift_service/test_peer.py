"""A peer submits, follows, cancels and fetches through a client that was generated from the IDL."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import uuid
from pathlib import Path
from typing import Any

import pytest
import trustme
from thrift.transport.TTransport import TTransportException

from airavata_mesos_plugin import __version__
from tests.integration.thrift_service.conftest import PEER_NAME, Connect, Peer, Served
from tests.support.waiting import wait_for

SCRIPT = "#!/bin/bash\n{}\n"


def spec(peer: Peer, served: Served, body: str, **more: Any) -> Any:
    values = {"name": "A77", "workingDirectory": str(served.site.work()), "script": SCRIPT.format(body)}
    return peer.ttypes.JobSpec(**{**values, **more})


def token() -> str:
    return str(uuid.uuid4())


def finished(client: Any, peer: Peer, job_id: int) -> tuple[Any, list[Any]]:
    """Wait for the end with one cursor that moves on; the job with all events that were seen."""
    seen: list[Any] = []

    def look() -> Any:
        (info,) = client.follow([peer.ttypes.Cursor(job_id, seen[-1].sequence if seen else 0)])
        seen.extend(info.events)
        return info

    info = wait_for(look, lambda info: info.isFinal, f"the end of job {job_id}")
    return info, seen


@pytest.mark.parametrize("name", [None, PEER_NAME], ids=["unix", "tls"])
def test_a_job_runs_through_the_service(
    served: Served, peer: Peer, connect: Connect, name: str | None
) -> None:
    client = connect(name)
    job = spec(
        peer,
        served,
        'tr a-z A-Z < input.txt > "r \xe9.txt"; echo out "$@"; echo err >&2; exit 3',
        standardOutput="App.%j.stdout",
        standardError="App.stderr",
        arguments=["one two", "$HOME"],
        labels={"experiment": "E1"},
        wallTimeSeconds=90,
    )
    given = Path(job.workingDirectory, "input.txt")
    given.write_text("words\n")
    os.utime(given, (1_700_000_000, 1_700_000_000))  # a young one is fetched again: it may have changed

    info = client.submit(token(), job)
    assert (info.phase, info.isFinal) == (peer.ttypes.Phase.ACCEPTED, False)
    info, events = finished(client, peer, info.id)

    phases = peer.ttypes.Phase
    assert (info.phase, info.airavataState, info.slurmState) == (phases.FAILED, "FAILED", "FAILED")
    assert (info.exitCode, info.reason, info.labels) == (3, "exit code 3", {"experiment": "E1"})
    assert info.user == served.site.user
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.phase for event in events] == sorted(event.phase for event in events)
    assert (events[0].source, events[-1].phase) == ("peer", phases.FAILED)
    assert info.acceptedAt <= info.queuedAt <= info.startedAt <= info.endedAt <= info.changedAt
    assert {file.name: file.size for file in client.outputs(info.id, b"")} == {
        f"App.{info.id}.stdout".encode(): len("out one two $HOME\n"),
        b"App.stderr": 4,
        "r \xe9.txt".encode(): 6,
    }
    assert info.standardOutput == f"App.{info.id}.stdout".encode()
    chunk = client.read(info.id, "r \xe9.txt".encode(), 2, 3)
    assert (chunk.data, chunk.offset, chunk.atEnd) == (b"RDS", 5, False)
    chunk = client.read(info.id, "r \xe9.txt".encode(), 5, 100)
    assert (chunk.data, chunk.offset, chunk.atEnd) == (b"\n", 6, True)
    assert client.tail(info.id, False, 6).data == b"$HOME\n"
    assert client.tail(info.id, True, 100).data == b"err\n"
    assert client.script(info.id) == job.script


def test_a_repeated_submit_is_the_same_job(served: Served, peer: Peer, connect: Connect) -> None:
    client, key = connect(), token()
    job = spec(peer, served, "sleep 0.1")
    first = client.submit(key, job)
    assert connect(PEER_NAME).submit(key, job).id == first.id
    info, _ = finished(client, peer, first.id)
    assert client.submit(key, job) == client.find(key)
    assert client.find(key).id == info.id
    assert client.submit(token(), job).id != first.id
    job.script += "echo more\n"
    with pytest.raises(peer.ttypes.InvalidRequest, match=f"job {first.id}, whose script differ"):
        client.submit(key, job)
    with pytest.raises(peer.ttypes.NotFound):
        client.find("another")


def test_a_running_job_is_read_and_cancelled(served: Served, peer: Peer, connect: Connect) -> None:
    client = connect()
    job = spec(peer, served, "echo alive; sleep 100", standardOutput="log")
    job_id = client.submit(token(), job).id
    chunk = wait_for(lambda: client.tail(job_id, False, 100), lambda chunk: chunk.data, "output")
    assert (chunk.data, chunk.offset, chunk.atEnd) == (b"alive\n", 6, False)
    assert client.read(job_id, b"log", 6, 100).data == b""

    (result,) = client.cancel([job_id, 10**15])
    assert (result.jobId, result.asked, result.refusal) == (job_id, True, None)
    assert result.phaseBefore == peer.ttypes.Phase.RUNNING
    assert client.cancel([job_id])[0].asked is False
    info, _ = finished(client, peer, job_id)
    assert (info.phase, info.airavataState) == (peer.ttypes.Phase.CANCELLED, "CANCELED")
    assert info.cancelRequestedAt is not None
    assert client.read(job_id, b"log", 0, 6).data == b"alive\n"


def test_jobs_are_found_by_labels_names_and_phases(served: Served, peer: Peer, connect: Connect) -> None:
    client, mark = connect(), token()
    ids = [client.submit(token(), spec(peer, served, "true", labels={"batch": mark})).id for _ in range(3)]
    query = peer.ttypes.JobQuery(labels={"batch": mark})
    assert [info.id for info in client.jobs(query)] == ids[::-1]
    query.limit = 1
    assert [info.id for info in client.jobs(query)] == ids[-1:]
    for job_id in ids:
        finished(client, peer, job_id)
    done = peer.ttypes.JobQuery(labels={"batch": mark}, phases={peer.ttypes.Phase.COMPLETED})
    assert len(client.jobs(done)) == 3
    assert client.jobs(peer.ttypes.JobQuery(users=["nobody-here"])) == []
    assert [
        info.id for info in client.follow([peer.ttypes.Cursor(i) for i in [ids[0], 10**15, -1, ids[1]]])
    ] == (ids[:2])


def test_what_there_is(served: Served, peer: Peer, connect: Connect) -> None:
    client = connect(PEER_NAME)
    version = client.version()
    assert (version.release, version.resource, version.user) == (__version__, "mesos", served.site.user)
    assert version.interfaceVersion == peer.constants.INTERFACE_VERSION
    (queue,) = client.queues()
    assert (queue.name, queue.cluster, queue.isDefault) == ("default", "testing", True)
    (cluster,) = client.capacity()
    assert cluster.trouble is None
    assert sum(node.total.cpus for node in cluster.nodes) == 8


BAD = [
    ({"workingDirectory": "relative"}, "not an absolute path"),
    ({"workingDirectory": "/not/there"}, "No such file"),
    ({"script": "echo no interpreter"}, "does not begin with #!"),
    ({"script": "#!/bin/sh\r\n"}, "DOS line breaks"),
    ({"script": "#!/bin/sh\n" + "x" * 4 * 1024 * 1024}, "more than the 4194304"),
    ({"name": ""}, "name of the job is empty"),
    ({"name": "x" * 256}, "longer than 255 bytes"),
    ({"tasks": 0}, "0 tasks"),
    ({"tasks": 10_000}, "at most 8 CPUs, not 10000"),
    ({"nodes": 0}, "0 nodes"),
    ({"tasksPerNode": -1}, "-1 tasks per node"),
    ({"nodes": 2}, "runs each job on one node, not on 2"),
    ({"memoryMb": -1}, "-1 MB of memory"),
    ({"gpus": 1}, "1 GPUs"),
    ({"wallTimeSeconds": 0}, "wall time of 0 s"),
    ({"wallTimeSeconds": 2**31 - 1}, "at most 7-00:00:00"),
    ({"standardOutput": "../out"}, "leads out of the working directory"),
    ({"standardError": "/etc/passwd"}, "leads out of the working directory"),
    ({"labels": {"a": "x" * 300}}, "longer than 255 bytes"),
    ({"arguments": ["a\0b"]}, "NUL"),
]


@pytest.mark.parametrize(("change", "text"), BAD, ids=[text for _, text in BAD])
def test_impossible_jobs_are_refused_at_once(
    served: Served, peer: Peer, connect: Connect, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(peer.ttypes.InvalidRequest) as caught:
        connect().submit(token(), spec(peer, served, "true", **change))
    assert text in caught.value.message
    assert (caught.value.isTransient, caught.value.outcomeUnknown) == (False, False)


def test_other_mistakes_have_names(served: Served, peer: Peer, connect: Connect) -> None:
    client, ttypes = connect(), peer.ttypes
    with pytest.raises(ttypes.NotFound, match="invalid partition"):
        client.submit(token(), spec(peer, served, "true", queue="nowhere"))
    with pytest.raises(ttypes.InvalidRequest, match="token is empty"):
        client.submit("", spec(peer, served, "true"))
    for call in (
        client.script,
        lambda job: client.outputs(job, b""),
        lambda job: client.read(job, b"x", 0, 1),
    ):
        with pytest.raises(ttypes.NotFound, match="no job has the id 999999999"):
            call(999_999_999)
    with pytest.raises(ttypes.InvalidRequest, match="1001 jobs are more"):
        client.cancel(list(range(1001)))
    with pytest.raises(ttypes.InvalidRequest, match="no phase with the number 77"):
        client.jobs(ttypes.JobQuery(phases={77}))
    job_id = client.submit(token(), spec(peer, served, "true")).id
    finished(client, peer, job_id)
    with pytest.raises(ttypes.InvalidRequest):
        client.read(job_id, b"../../secret", 0, 10)
    with pytest.raises(ttypes.InvalidRequest, match="length of 0 bytes"):
        client.read(job_id, b"x", 0, 0)
    assert client.read(job_id, b"not-there", 0, 10).atEnd


def test_a_job_of_the_command_line_is_seen_too(served: Served, peer: Peer, connect: Connect) -> None:
    job = served.site.accepted("echo hello")
    info, events = finished(connect(), peer, int(job.job_id))
    assert info.phase == peer.ttypes.Phase.COMPLETED
    assert events[0].source == "sbatch"
    assert connect().tail(info.id, False, 100).data == b"hello\n"


def test_a_certificate_without_an_account_is_sent_away(connect: Connect) -> None:
    with pytest.raises((TTransportException, OSError)):
        connect("stranger.example.org").version()


def test_a_certificate_of_another_authority_is_sent_away(connect: Connect) -> None:
    with pytest.raises((TTransportException, OSError)):
        connect(PEER_NAME, trustme.CA()).version()


def test_without_a_certificate_nothing_is_said(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.directory / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        contextlib.suppress(OSError),  # with TLS 1.3 the client learns of it with its first read
    ):
        wrapped.sendall(b"\0\0\0\1x")
        assert wrapped.recv(1) == b""


def test_the_socket_is_for_every_account_and_the_home_is_not(served: Served) -> None:
    assert served.socket.stat().st_mode & 0o777 == 0o777
    assert served.site.home.stat().st_mode & 0o777 == 0o711

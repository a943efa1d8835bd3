"""A peer looks at the files of a running job, takes them and follows them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.integration.thrift_service.conftest import Connect, Peer, Served
from tests.support.waiting import wait_for

SMALL = 70_000


def started(client: Any, peer: Peer, served: Served, body: str) -> tuple[Any, Path]:
    """A job that has run ``body`` and waits for the file that is given back."""
    go = served.site.directory / f"go-{uuid.uuid4()}"
    work = served.site.work()
    (work / "input.dat").write_text("sent\n")
    script = f"#!/bin/bash\n{body}\ntouch ready\nuntil [ -e {go} ]; do sleep 0.05; done\necho last >> grows\n"
    spec = peer.ttypes.JobSpec(name="A78", workingDirectory=str(work), script=script)
    info = client.submit(str(uuid.uuid4()), spec)
    wait_for(
        lambda: [entry.name for entry in client.browse(info.id, b"", b"").entries],
        lambda names: b"ready" in names,
        "a job that runs",
    )
    return info, go


def whole(client: Any, job_id: int, name: bytes, cursor: str = "") -> tuple[bytes, str]:
    data = b""
    while True:
        step = client.step(job_id, name, cursor, 10_000)
        data = step.data if step.isAnew else data + step.data
        cursor = step.cursor
        if step.atEnd:
            return data, cursor


def test_files_of_a_running_job(served: Served, peer: Peer, connect: Connect) -> None:
    client = connect(None)
    body = (
        f"mkdir -p 'r\\303\\251'; head -c {SMALL} /dev/urandom > random.dat; printf x > $'b\\351'; "
        "mkdir sub; echo 1 > sub/one.dat; echo first > grows"
    )
    info, go = started(client, peer, served, body)
    places = peer.ttypes.FilePlace

    listing = client.browse(info.id, b"sub", b"")
    assert listing.place == places.SANDBOX
    (one,) = listing.entries
    assert (one.name, one.kind, one.size, one.mode & 0o600) == (b"one.dat", "-", 2, 0o600)
    assert not listing.hasMore
    names = [entry.name for entry in client.browse(info.id, b"", b"b\xe9").entries]
    assert names == sorted(names)
    assert names
    assert min(names) > b"b\xe9"

    fresh = client.choose(info.id, [b"*.dat"], True, b"")
    assert [entry.name for entry in fresh.entries] == [b"random.dat", b"sub/one.dat"]
    every = client.choose(info.id, [b"*.dat"], False, b"input.dat")
    assert [entry.name for entry in every.entries] == [b"random.dat", b"sub/one.dat"]

    random, _ = whole(client, info.id, b"random.dat")
    assert len(random) == SMALL
    assert whole(client, info.id, b"b\xe9")[0] == b"x"
    assert whole(client, info.id, b"grows")[0] == b"first\n"
    _, cursor = whole(client, info.id, b"grows")
    go.touch()
    seen = b""
    while True:
        step = client.step(info.id, b"grows", cursor, 1000)
        seen, cursor = seen + step.data, step.cursor
        if step.isOver:
            break
    assert seen == b"last\n"


def test_a_replaced_file_is_begun_anew(served: Served, peer: Peer, connect: Connect) -> None:
    client = connect(None)
    replace = served.site.directory / f"replace-{uuid.uuid4()}"
    wait = f"until [ -e {replace} ]; do sleep 0.05; done"
    body = f"echo old and long > data; ({wait}; echo new > n; mv n data) &"
    info, go = started(client, peer, served, body)
    old, cursor = whole(client, info.id, b"data")
    assert old == b"old and long\n"
    replace.touch()
    step = wait_for(lambda: client.step(info.id, b"data", cursor, 1000), lambda step: step.data, "new bytes")
    assert (step.isAnew, step.data) == (True, b"new\n")
    assert "replaced" in step.notes[0]
    go.touch()


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda client, job: client.browse(job, b"../..", b""), "InvalidRequest"),
        (lambda client, job: client.browse(job, b"none", b""), "NotFound"),
        (lambda client, job: client.choose(job, [b"a" * 2000], False, b""), "InvalidRequest"),
        (lambda client, job: client.step(job, b"/etc/passwd", "", 10), "InvalidRequest"),
        (lambda client, job: client.step(job, b"", "", 10), "InvalidRequest"),
        (lambda client, job: client.step(job, b"ready", "no cursor", 10), "InvalidRequest"),
        (lambda client, job: client.step(job, b"ready", '{"offset": -1}', 10), "InvalidRequest"),
        (lambda client, job: client.step(job, b"ready", "", 0), "InvalidRequest"),
        (lambda client, job: client.step(job + 10_000, b"ready", "", 10), "NotFound"),
    ],
)
def test_what_cannot_be(served: Served, peer: Peer, connect: Connect, call: Any, kind: str) -> None:
    client = connect(None)
    info, go = started(client, peer, served, "true")
    with pytest.raises(getattr(peer.ttypes, kind)):
        call(client, info.id)
    go.touch()

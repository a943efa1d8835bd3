"""The Thrift service of a daemon of root: identity, rights over files and visibility as with the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.accounts.conftest import Host, HostFactory, Person

# The interpreter may lie where only root can go, so everything is imported before rights are given up.
_CALL = """
import json, os, sys
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport
from airavata_mesos_plugin.gen.provider import MesosProvider, ttypes
uid = int(sys.argv[1])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
transport = TFramedTransport(TSocket(unix_socket=sys.argv[2]))
client = MesosProvider.Client(TBinaryProtocol(transport))
call, arguments = sys.argv[3], json.loads(sys.argv[4])
if call == "submit":
    arguments = [arguments[0], ttypes.JobSpec(**arguments[1])]
if call == "jobs":
    arguments = [ttypes.JobQuery()]
transport.open()
try:
    answer = getattr(client, call)(*arguments)
except Exception as error:
    print(json.dumps(["error", str(error)]))
else:
    if call == "submit":
        answer = answer.id
    elif call == "jobs":
        answer = [job.id for job in answer]
    else:
        answer = repr(answer)
    print(json.dumps(["ok", answer]))
"""


def call(host: Host, person: Person, name: str, *arguments: object) -> tuple[str, Any]:
    socket = str(host.site.home / "provider.sock")
    done = subprocess.run(
        [sys.executable, "-c", _CALL, str(person.uid), socket, name, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, answer = json.loads(done.stdout)
    return kind, answer


def spec(directory: Path, script: str = "#!/bin/sh\necho x > out\n") -> dict[str, str]:
    return {"name": "peer", "workingDirectory": str(directory), "script": script}


def test_a_job_of_a_peer_has_the_rights_of_its_account(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    work = alice.makes(commons / "work", mode=0o700)
    private = bob.makes(commons / "private", mode=0o700)
    kind, text = call(host, alice, "submit", "t1", spec(private))
    assert (kind, "not writable" in text) == ("error", True), text
    kind, job = call(host, alice, "submit", "t2", spec(work))
    assert kind == "ok", job
    host.completed(str(job))
    assert (work / "out").stat().st_uid == alice.uid
    assert call(host, alice, "outputs", job, None)[0] == "ok"
    for name, arguments in (("outputs", (job, None)), ("script", (job,)), ("tail", (job, False, 10))):
        kind, text = call(host, bob, name, *arguments)
        assert (kind, f"belongs to {alice.name}" in text) == ("error", True), (name, text)


@pytest.mark.parametrize("see_all", [True, False])
def test_whose_jobs_a_peer_sees(
    own_host: HostFactory, alice: Person, bob: Person, commons: Path, see_all: bool
) -> None:
    host = own_host(accounts={"see_all_jobs": see_all})
    _, job = call(host, alice, "submit", "t", spec(alice.makes(commons / "work")))
    assert call(host, alice, "jobs") == ("ok", [job])
    assert call(host, bob, "jobs") == ("ok", [job] if see_all else [])
    kind, text = call(host, bob, "script", job)
    assert kind == "error"
    assert ("belongs to" if see_all else "no job has the id") in text


def test_refused_accounts(own_host: HostFactory, alice: Person, bob: Person) -> None:
    host = own_host(accounts={"refuse": [bob.name]})
    assert call(host, alice, "version")[0] == "ok"
    kind, text = call(host, bob, "version")
    assert (kind, f"does not serve the account {bob.name}" in text) == ("error", True), text

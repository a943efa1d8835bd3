"""The calls of the Thrift service: who may do what, and faults that peers can act on."""

from __future__ import annotations

import inspect
import os
import pwd
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    ConfigurationError,
    LedgerError,
    NotFound,
    OutcomeUnknown,
    UnsafePath,
)
from airavata_mesos_plugin.gen.provider import MesosProvider, constants, ttypes
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.provider.core import FileChunk
from airavata_mesos_plugin.service.peers import identity, wire
from airavata_mesos_plugin.service.peers.handler import SLOW_CALLS, PeerHandler
from airavata_mesos_plugin.service.peers.identity import Caller
from tests.unit.tasks.conftest import World

ALICE, BOB, ROOT = Caller(5001, "alice"), Caller(5002, "bob"), Caller(0, "root")


def spec(world: World, **more: Any) -> Any:
    values = {"name": "A1", "workingDirectory": str(world.work), "script": "#!/bin/sh\n"}
    return ttypes.JobSpec(**{**values, **more})


@pytest.fixture
def alice(world: World) -> PeerHandler:
    return PeerHandler(world.provider, ALICE)


@pytest.fixture
def bob(world: World) -> PeerHandler:
    return PeerHandler(world.provider, BOB)


@pytest.fixture
def broken(mocker: MockerFixture) -> tuple[PeerHandler, Mock]:
    provider: Mock = mocker.create_autospec(Provider, instance=True)
    return PeerHandler(provider, ALICE), provider


def test_the_handler_has_every_call_with_its_arguments() -> None:
    for name, method in inspect.getmembers(MesosProvider.Iface, inspect.isfunction):
        ours = inspect.signature(getattr(PeerHandler, name))
        assert len(ours.parameters) == len(inspect.signature(method).parameters), name
    assert {name for name, _ in inspect.getmembers(MesosProvider.Iface, inspect.isfunction)} > SLOW_CALLS


def test_every_phase_has_its_number() -> None:
    assert {phase.name: number for phase, number in wire.PHASES.items()} == ttypes.Phase._NAMES_TO_VALUES


def test_scripts_files_and_cancels_are_for_the_owner_and_root(
    world: World, alice: PeerHandler, bob: PeerHandler
) -> None:
    job_id = alice.submit("t", spec(world)).id
    for call in (
        lambda: bob.script(job_id),
        lambda: bob.outputs(job_id, b""),
        lambda: bob.read(job_id, b"x", 0, 1),
        lambda: bob.tail(job_id, False, 1),
    ):
        with pytest.raises(ttypes.Refused, match=f"job {job_id} belongs to alice"):
            call()
    (result,) = bob.cancel([job_id])
    assert (result.asked, result.refusal) == (False, f"job {job_id} belongs to alice")
    assert world.provider.job(job_id).cancel_requested_at is None
    assert [info.user for info in bob.jobs(None)] == ["alice"]
    assert PeerHandler(world.provider, ROOT).script(job_id) == "#!/bin/sh\n"
    assert PeerHandler(world.provider, ROOT).cancel([job_id])[0].asked


def test_tokens_of_accounts_do_not_meet(world: World, alice: PeerHandler, bob: PeerHandler) -> None:
    first = alice.submit("t", spec(world)).id
    with pytest.raises(ttypes.NotFound):
        bob.find("t")
    assert bob.submit("t", spec(world)).id != first
    assert alice.find("t").id == first


def test_a_repeat_needs_nothing_but_the_ledger(world: World, alice: PeerHandler) -> None:
    """The first answer was lost, and meanwhile the directory is gone and the queue's limits are others."""
    job = spec(world)
    first = alice.submit("t", job)
    world.work.rmdir()
    assert alice.submit("t", job).id == first.id


@pytest.mark.parametrize(
    "change",
    [
        {"name": "A2"},
        {"script": "#!/bin/sh\n:\n"},
        {"tasks": 2},
        {"cpusPerTask": 2},
        {"tasksPerNode": 1},
        {"arguments": ["x"]},
        {"memoryMb": 77},
        {"labels": {"a": "b"}},
        {"queue": "long"},
        {"wallTimeSeconds": 77},
        {"workingDirectory": "/tmp"},
    ],
)
def test_a_token_stands_for_one_job(world: World, alice: PeerHandler, change: dict[str, Any]) -> None:
    alice.submit("t", spec(world))
    with pytest.raises(ttypes.InvalidRequest, match=f"job 1, whose {next(iter(change))} differ"):
        alice.submit("t", spec(world, **change))


def test_events_come_once_and_within_the_budget(
    world: World, alice: PeerHandler, mocker: MockerFixture
) -> None:
    job_id = alice.submit("t", spec(world)).id
    world.move(job_id, JobPhase.SUBMITTING, JobPhase.QUEUED, JobPhase.RUNNING)
    (info,) = alice.follow([ttypes.Cursor(jobId=job_id, afterSequence=2)])
    assert [event.sequence for event in info.events] == [3, 4]
    mocker.patch.object(constants, "MAX_EVENTS", 5)
    both = alice.follow([ttypes.Cursor(jobId=job_id), ttypes.Cursor(jobId=job_id)])
    assert [[event.sequence for event in info.events] for info in both] == [[1, 2, 3, 4], [1]]


@pytest.mark.parametrize(
    ("cause", "kind", "transient", "unknown"),
    [
        (NotFound("x"), ttypes.NotFound, False, False),
        (UnsafePath("x"), ttypes.InvalidRequest, False, False),
        (LedgerError("x"), ttypes.Failure, False, False),
        (OutcomeUnknown("x"), ttypes.Failure, True, True),
        (RuntimeError("a fault of ours"), ttypes.Failure, False, True),
    ],
)
def test_errors_say_whether_to_try_again(
    broken: tuple[PeerHandler, Mock], cause: Exception, kind: Any, transient: bool, unknown: bool
) -> None:
    handler, provider = broken
    provider.job.side_effect = cause
    with pytest.raises(kind) as caught:
        handler.script(1)
    assert (caught.value.isTransient, caught.value.outcomeUnknown) == (transient, unknown)
    if not isinstance(cause, AiravataMesosError):
        assert "fault of ours" not in caught.value.message


def test_a_caller_who_is_not_served_gets_no_further(mocker: MockerFixture) -> None:
    provider: Mock = mocker.create_autospec(Provider, instance=True)
    handler = PeerHandler(provider, Caller(5002, "bob", "this provider serves the account alice only"))
    for call in (handler.version, handler.queues, lambda: handler.jobs(None), lambda: handler.cancel([1])):
        with pytest.raises(ttypes.Refused, match="alice only"):
            call()
    assert provider.mock_calls == []


def test_pieces_are_cut_to_what_was_asked_for() -> None:
    piece = wire.chunk(FileChunk(b"abcdef", 16, over=True), 4)
    assert (piece.data, piece.offset, piece.atEnd) == (b"abcd", 14, False)
    piece = wire.chunk(FileChunk(b"abcd", 14, over=True), 4)
    assert (piece.data, piece.offset, piece.atEnd) == (b"abcd", 14, True)


def test_names_of_logs_that_are_not_utf8_are_bytes(world: World, alice: PeerHandler) -> None:
    (world.work / "\udcff").write_bytes(b"x")
    job_id = alice.submit("t", spec(world)).id
    (world.work / "new\udcff").write_bytes(b"xy")
    world.move(job_id, JobPhase.FAILED)
    (file,) = [file for file in alice.outputs(job_id, b"") if file.name.startswith(b"new")]
    assert (file.name, file.size) == (b"new\xff", 2)
    assert alice.outputs(job_id, b"new\xff") == [
        other for other in alice.outputs(job_id, b"") if other.name > b"new\xff"
    ]
    assert alice.read(job_id, b"new\xff", 1, 10).data == b"y"


CERTIFICATE = {
    "subject": ((("organizationName", "x"),), (("commonName", "gateway"),)),
    "subjectAltName": (("DNS", "g.example.org"), ("URI", "spiffe://x/y")),
}


@pytest.mark.parametrize("name", ["gateway", "g.example.org", "spiffe://x/y"])
def test_any_name_of_a_certificate_stands_for_its_account(name: str) -> None:
    caller = identity.of_certificate(CERTIFICATE, {name: os.geteuid()})
    assert caller == Caller(os.geteuid(), pwd.getpwuid(os.geteuid()).pw_name)


@pytest.mark.parametrize("accounts", [{}, {"x": 1}, {"Gateway": 1}, {"gateway": 1, "g.example.org": 2}])
def test_certificates_without_exactly_one_account_stand_for_nobody(accounts: dict[str, int]) -> None:
    assert identity.of_certificate(CERTIFICATE, accounts) is None
    assert identity.of_certificate({}, accounts) is None


def test_a_daemon_of_an_ordinary_account_serves_that_account_only(mocker: MockerFixture) -> None:
    mocker.patch("os.geteuid", return_value=5001)
    caller = identity.of_certificate(CERTIFICATE, {"gateway": 5002})
    assert caller is not None
    assert "serves the account 5001 only, not 5002" in caller.refusal
    served = identity.of_certificate(CERTIFICATE, {"gateway": 5001})
    assert served is not None
    assert served.refusal == ""


def test_an_account_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="'no-such-account'"):
        identity.uids_of({"gateway": "no-such-account"})


def test_a_job_without_its_required_fields_is_refused(alice: PeerHandler, tmp_path: Path) -> None:
    for job in (None, ttypes.JobSpec(), ttypes.JobSpec(name="x", workingDirectory=str(tmp_path))):
        with pytest.raises(ttypes.InvalidRequest, match="the job has no"):
            alice.submit("t", job)


def test_a_race_of_two_first_calls_ends_with_one_job(
    world: World, alice: PeerHandler, mocker: MockerFixture
) -> None:
    """Both look before either has submitted."""
    looks: list[JobRecord | None] = [None, None]
    mocker.patch.object(world.provider, "with_submission_key", side_effect=lambda *_: looks.pop())
    first = alice.submit("t", spec(world))
    with pytest.raises(ttypes.InvalidRequest, match="script differ"):
        alice.submit("t", spec(world, script="#!/bin/sh\n:\n"))
    assert [info.id for info in alice.jobs(None)] == [first.id]

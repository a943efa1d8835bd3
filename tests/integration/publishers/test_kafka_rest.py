"""The REST proxy gets every state in order, whatever it answers first, and whoever it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby

import pytest

from airavata_mesos_plugin.airavata.publishers import announcements
from airavata_mesos_plugin.airavata.publishers.kafka_rest import KafkaRestChannel
from airavata_mesos_plugin.config.airavata import KafkaRestSettings
from airavata_mesos_plugin.errors import AiravataMesosError, OutcomeUnknown, Refused, Unreachable
from airavata_mesos_plugin.jobs import JobPhase
from tests.integration.publishers.conftest import Life
from tests.support.publishing import JOB_NAME, accept, request, script
from tests.support.status_servers import RestProxy
from tests.support.waiting import wait_for

Proxies = Callable[..., RestProxy]
Lives = Callable[..., Life]
TASK = "TASK_5a7a4d39-2f53-4b0c-8f44-1c5f0c7e9b60"


def finish(life: Life, job: int, end: JobPhase = JobPhase.COMPLETED) -> None:
    for phase in (JobPhase.QUEUED, JobPhase.RUNNING, JobPhase.FETCHING, end):
        life.ledger.advance(job, phase, source="test")


def test_task_and_address_come_from_the_script(lives: Lives, proxies: Proxies) -> None:
    proxy, life = proxies(), lives()
    finish(life, accept(life.ledger, text=script(proxy.endpoint)).id, JobPhase.FAILED)
    wait_for(lambda: len(proxy.records), (2).__eq__, "told")
    assert proxy.records == [
        {"jobName": JOB_NAME, "status": "RUNNING", "task": TASK},
        {"jobName": JOB_NAME, "status": "FAILED", "task": TASK},
    ]


def test_a_configured_address_goes_before_the_scripts(lives: Lives, proxies: Proxies) -> None:
    other, proxy = proxies(), proxies()
    life = lives(kafka_rest={"endpoint": proxy.endpoint})
    finish(life, accept(life.ledger, text=script(other.endpoint)).id)
    wait_for(lambda: proxy.statuses, ["RUNNING", "COMPLETED"].__eq__, "told")
    assert other.calls == []


def test_every_word(lives: Lives, proxies: Proxies) -> None:
    proxy, life = proxies(), lives()
    job = accept(life.ledger, text=script(proxy.endpoint)).id
    for run, phase in (
        (0, JobPhase.RUNNING),
        (1, JobPhase.QUEUED),
        (1, JobPhase.RUNNING),
        (1, JobPhase.CANCELLED),
    ):
        life.ledger.advance(job, phase, run=run, source="test")
    words = ["RUNNING", "NON_CRITICAL_FAIL", "QUEUED", "RUNNING", "CANCELED"]
    wait_for(lambda: proxy.statuses, words.__eq__, "told")


def test_faults_first(lives: Lives, proxies: Proxies) -> None:
    first: list[int | None] = [500, None, 404, 503]
    proxy = proxies(lambda number: first[number] if number < len(first) else 200)
    life = lives(kafka_rest={"timeout_seconds": 0.3})
    job = accept(life.ledger, text=script(proxy.endpoint)).id
    finish(life, job)
    wait_for(lambda: life.publishing.describe(job)[0]["waiting"], [].__eq__, "told")
    # What took too long is told again, which may have been our own fault.
    assert [word for word, _ in groupby(proxy.statuses)] == ["RUNNING", "COMPLETED"]
    calls = [call["status"] for call in proxy.calls]
    assert calls[:5] == ["RUNNING"] * 5
    assert [word for word, _ in groupby(calls)] == ["RUNNING", "COMPLETED"]


def test_it_is_told_what_waits_and_why(lives: Lives, proxies: Proxies) -> None:
    proxy = proxies(lambda _number: 500)
    life = lives()
    job = accept(life.ledger, text=script(proxy.endpoint)).id
    finish(life, job)
    (told,) = wait_for(
        lambda: life.publishing.describe(job), lambda found: bool(found[0]["failures"]), "a failure"
    )
    assert (told["channel"], told["told"], told["waiting"]) == ("kafka_rest", [], ["ACTIVE", "COMPLETE"])
    assert told["trouble"] == f"{proxy.endpoint} answered with HTTP status 500"
    assert told["next_try_at"] is not None
    proxy.answer = lambda _number: 200
    (told,) = wait_for(lambda: life.publishing.describe(job), lambda found: not found[0]["waiting"], "told")
    assert (told["told"], told["trouble"], told["failures"]) == (["ACTIVE", "COMPLETE"], "", 0)


def test_a_restart_in_the_middle(lives: Lives, proxies: Proxies) -> None:
    proxy = proxies(lambda number: 200 if number == 0 else 500)
    life = lives()
    job = accept(life.ledger, text=script(proxy.endpoint)).id
    finish(life, job)
    wait_for(lambda: len(proxy.calls), lambda count: count >= 3, "tried")
    life.close()
    proxy.answer = lambda _number: 200
    lives()
    wait_for(lambda: proxy.statuses, ["RUNNING", "COMPLETED"].__eq__, "told")


def test_a_job_that_was_under_way_when_the_channel_was_switched_on(lives: Lives, proxies: Proxies) -> None:
    proxy = proxies()
    life = lives(kafka_rest={"enabled": False})
    over = accept(life.ledger, text=script(proxy.endpoint)).id
    job = accept(life.ledger, request(name="other"), script(proxy.endpoint)).id
    finish(life, over)
    life.ledger.advance(job, JobPhase.RUNNING, source="test")
    assert life.publishing.describe(job) == []
    life.close()
    life = lives()
    life.ledger.advance(job, JobPhase.COMPLETED, source="test")
    wait_for(lambda: proxy.statuses, ["RUNNING", "COMPLETED"].__eq__, "told")
    assert life.publishing.describe(over) == []


def test_fifty_jobs_at_once_and_a_dead_address_among_them(lives: Lives, proxies: Proxies) -> None:
    proxy, life = proxies(), lives()
    dead = accept(life.ledger, text=script("http://127.0.0.1:9/topics/x")).id
    jobs = [
        accept(life.ledger, request(name=f"job{n}"), script(proxy.endpoint).replace(JOB_NAME, f"job{n}")).id
        for n in range(50)
    ]
    for job in (dead, *jobs):
        finish(life, job)
    wait_for(lambda: len(proxy.records), (100).__eq__, "told")
    for number in range(50):
        mine = [record["status"] for record in proxy.records if record["jobName"] == f"job{number}"]
        assert mine == ["RUNNING", "COMPLETED"]
    assert life.publishing.describe(dead)[0]["told"] == []


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\necho hi\n", script("ftp://127.0.0.1/topics/x"), script("http://a:b@127.0.0.1/x")]
)
def test_scripts_that_name_no_address(text: str) -> None:
    assert not KafkaRestChannel(KafkaRestSettings()).wants(request(), text)


def send(endpoint: str, life: Life, timeout: float = 60) -> None:
    """One state, straight through the channel."""
    channel = KafkaRestChannel(KafkaRestSettings(timeout_seconds=timeout))
    record = accept(life.ledger)
    life.ledger.advance(record.id, JobPhase.RUNNING, source="test")
    parcel = channel.compose(
        record, lambda: script(endpoint), announcements(life.ledger.events(record.id))[0]
    )
    assert parcel is not None
    try:
        parcel.send()
    finally:
        channel.close()


@contextmanager
def dripping() -> Iterator[str]:
    """A server that answers with one byte of a header now and then, for ever."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while not over.is_set():
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not over.wait(0.05):
                        connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/topics/x"
        finally:
            over.set()
            with socket.create_connection(listener.getsockname()):
                thread.join()


def test_a_server_that_drips_does_not_hold_us(lives: Lives) -> None:
    life = lives(kafka_rest={"enabled": False})
    with dripping() as endpoint:

        def outcome() -> str:
            with pytest.raises((OutcomeUnknown, Unreachable)) as caught:
                send(endpoint, life, timeout=0.5)
            return str(caught.value) if isinstance(caught.value, OutcomeUnknown) else ""

        # Where the machine stands still, the time may be over before there is a connection.
        wait_for(outcome, lambda text: "no answer in time" in text, "given up")


@pytest.mark.parametrize(
    ("status", "kind"), [(500, AiravataMesosError), (400, Refused), (302, Refused), (404, AiravataMesosError)]
)
def test_answers_that_are_no_success(
    lives: Lives, proxies: Proxies, status: int, kind: type[AiravataMesosError]
) -> None:
    proxy = proxies(lambda _number: status)
    with pytest.raises(kind, match=f"HTTP status {status}"):
        send(proxy.endpoint, lives(kafka_rest={"enabled": False}))


def test_nobody_sends_us_elsewhere(lives: Lives, proxies: Proxies) -> None:
    proxy = proxies()
    moved = proxy.endpoint.replace("/topics/helix-airavata-mq", "/moved")
    with pytest.raises(Refused, match="HTTP status 307"):
        send(moved, lives(kafka_rest={"enabled": False}))
    assert proxy.calls == []


def test_nobody_listens(lives: Lives) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable):
        send(f"http://127.0.0.1:{port}/topics/x", lives(kafka_rest={"enabled": False}))

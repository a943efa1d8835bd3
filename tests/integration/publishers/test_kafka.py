"""Kafka gets every state in order. The broker is librdkafka's own mock cluster, spoken to over sockets."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from airavata_mesos_plugin.airavata.publishers import announcements
from airavata_mesos_plugin.airavata.publishers.kafka import KafkaChannel
from airavata_mesos_plugin.config.airavata import KafkaSettings
from airavata_mesos_plugin.errors import OutcomeUnknown
from airavata_mesos_plugin.jobs import JobPhase
from tests.integration.publishers.conftest import Life
from tests.support.publishing import JOB_NAME, accept, request
from tests.support.status_servers import RestProxy
from tests.support.waiting import wait_for

Lives = Callable[..., Life]
TOPIC = "monitoring-data"
QUIET = logging.getLogger("mock-kafka")


@pytest.fixture
def brokers() -> Iterator[str]:
    """The addresses of a cluster of three brokers."""
    cluster = Producer(
        {"test.mock.num.brokers": 3, "bootstrap.servers": "ignored", "logger": QUIET, "log_level": 3}
    )
    found = cluster.list_topics(timeout=60).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found)
    del cluster


def messages(brokers: str, count: int) -> list[tuple[str, str]]:
    """Key and value of the first ``count`` messages, each job's in the order in which they came."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "MonitoringConsumer", "logger": QUIET})
    found: list[tuple[str, str]] = []
    try:
        partitions = wait_for(
            lambda: consumer.list_topics(TOPIC, timeout=60).topics[TOPIC].partitions, bool, "a topic"
        )
        consumer.assign([TopicPartition(TOPIC, number, 0) for number in partitions])

        def take() -> int:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                found.append((key.decode(), value.decode()))
            return len(found)

        wait_for(take, count.__le__, f"{count} messages", pause=0, context=lambda: str(found))
    finally:
        consumer.close()
    return found


def finish(life: Life, job: int) -> None:
    for phase in (JobPhase.QUEUED, JobPhase.RUNNING, JobPhase.FETCHING, JobPhase.COMPLETED):
        life.ledger.advance(job, phase, source="test")


def settings(brokers: str, **more: object) -> dict[str, object]:
    return {"bootstrap_servers": brokers.split(","), **more}


def test_the_messages_of_a_job(lives: Lives, brokers: str) -> None:
    life = lives(kafka=settings(brokers), kafka_rest={"enabled": False})
    job = accept(life.ledger, text="#!/bin/sh\n").id
    for run, phase in ((0, JobPhase.RUNNING), (1, JobPhase.RUNNING), (1, JobPhase.FAILED)):
        life.ledger.advance(job, phase, run=run, source="test")
    second = accept(life.ledger, request(name="A2"), "#!/bin/sh\n").id
    life.ledger.advance(second, JobPhase.CANCELLED, source="test")
    got = messages(brokers, 3)
    assert [value for key, value in got if key == str(job)] == [
        f"{job},{JOB_NAME},ACTIVE,airavata-mesos",
        f"{job},{JOB_NAME},FAILED,airavata-mesos",
    ]
    assert [value for key, value in got if key == str(second)] == [f"{second},A2,CANCELED,airavata-mesos"]


def test_order_of_many_jobs(lives: Lives, brokers: str) -> None:
    life = lives(kafka=settings(brokers, publisher="MesosFacade"), kafka_rest={"enabled": False})
    jobs = [accept(life.ledger, text="").id for _ in range(30)]
    for job in jobs:
        finish(life, job)
    got = messages(brokers, 60)
    for job in jobs:
        assert [value for key, value in got if key == str(job)] == [
            f"{job},{JOB_NAME},ACTIVE,MesosFacade",
            f"{job},{JOB_NAME},COMPLETE,MesosFacade",
        ]


def test_brokers_that_are_away_hold_up_nobody_and_lose_nothing(
    lives: Lives, brokers: str, proxies: Callable[..., RestProxy]
) -> None:
    proxy = proxies()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        away = f"127.0.0.1:{listener.getsockname()[1]}"
    life = lives(kafka=settings(away, timeout_seconds=0.5), kafka_rest={"endpoint": proxy.endpoint})
    job = accept(life.ledger).id
    finish(life, job)
    wait_for(lambda: proxy.statuses, ["RUNNING", "COMPLETED"].__eq__, "told over HTTP")
    wait_for(lambda: life.publishing.describe(job)[0]["trouble"], bool, "a failure of Kafka")
    kafka, rest = life.publishing.describe(job)
    assert (kafka["channel"], kafka["told"], kafka["waiting"]) == ("kafka", [], ["ACTIVE", "COMPLETE"])
    assert away in str(kafka["trouble"])
    assert rest["waiting"] == []
    life.close()

    lives(kafka=settings(brokers), kafka_rest={"endpoint": proxy.endpoint})
    assert [value for _, value in messages(brokers, 2)] == [
        f"{job},{JOB_NAME},ACTIVE,airavata-mesos",
        f"{job},{JOB_NAME},COMPLETE,airavata-mesos",
    ]
    assert proxy.statuses == ["RUNNING", "COMPLETED"]


def test_a_message_that_failed_does_not_come_later(lives: Lives) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and says nothing
        away = f"127.0.0.1:{listener.getsockname()[1]}"
        life = lives(kafka_rest={"enabled": False})
        record = accept(life.ledger)
        life.ledger.advance(record.id, JobPhase.RUNNING, source="test")
        channel = KafkaChannel(KafkaSettings(bootstrap_servers=(away,), timeout_seconds=0.3))
        parcel = channel.compose(record, str, announcements(life.ledger.events(record.id))[0])
        assert parcel is not None
        with pytest.raises(OutcomeUnknown, match=away):
            parcel.send()
        assert channel._producer is not None
        assert len(channel._producer) == 0  # nothing is left in the queue
        channel.close()


def test_names_that_cannot_stand_between_commas_are_not_airavatas() -> None:
    channel = KafkaChannel(KafkaSettings(bootstrap_servers=("127.0.0.1:9",)))
    assert channel.wants(request(), "")
    assert not channel.wants(request(name="a,COMPLETE,b"), "")
    assert not channel.wants(request(name="a\nb"), "")
    channel.close()

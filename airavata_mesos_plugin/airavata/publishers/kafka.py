"""Kafka itself: the topic on which Airavata develop collects the states of jobs from all its monitors.

Source: Airavata develop, ``JobStatusResultDeserializer``: the key is the job id, the value four fields
between commas. The message counts when exactly one job with that id and name is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement
from airavata_mesos_plugin.airavata.publishers.base import Parcel
from airavata_mesos_plugin.config.airavata import KafkaSettings
from airavata_mesos_plugin.errors import ConfigurationError, OutcomeUnknown
from airavata_mesos_plugin.jobs import JobRecord, JobRequest
from airavata_mesos_plugin.secret import Secret

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

log = logging.getLogger(__name__)

FLUSH_SLACK_SECONDS = 5.0
"""How much longer than a message may live we wait for word of it; librdkafka looks once a second."""


class KafkaChannel:
    """One message for each state, told when all replicas in sync have it."""

    name = "kafka"
    settles = True

    def __init__(self, settings: KafkaSettings) -> None:
        """Raises ConfigurationError when the extra is not installed or the settings are wrong."""
        self._settings = settings
        self._producer: Producer | None = self._open()

    def wants(self, request: JobRequest, _script: str) -> bool:
        """Every job whose name can stand between commas, as all of Airavata's can."""
        return "," not in request.name and request.name.isprintable()

    def compose(
        self, record: JobRecord, _script: Callable[[], str], announcement: Announcement
    ) -> Parcel | None:
        value = f"{record.id},{record.request.name},{announcement.state},{self._settings.publisher}"
        return Parcel(self._settings.topic, partial(self._send, str(record.id), value))

    def close(self) -> None:
        if self._producer is not None:
            self._producer.purge()  # its deallocation would wait for messages that nobody needs any more
            self._producer = None

    def _open(self) -> Producer:
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError as error:
            raise ConfigurationError(
                f"airavata.kafka needs the package confluent-kafka ({error})",
                advice="install airavata-mesos-plugin[kafka]",
            ) from error
        settings = self._settings
        options: dict[str, object] = {
            "bootstrap.servers": ",".join(settings.bootstrap_servers),
            "client.id": settings.publisher,
            "enable.idempotence": True,  # a repeat inside librdkafka must not come before an earlier message
            "linger.ms": 0,
            "message.timeout.ms": max(1, int(settings.timeout_seconds * 1000)),
        }
        if settings.password is not None:
            password = Secret(settings.password, keep_blanks=True).read()
            options.update({"sasl.username": settings.username, "sasl.password": password})
        options.update(settings.options)
        try:
            return Producer({**options, "logger": log, "error_cb": _note})
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"airavata.kafka: {error}") from error

    def _send(self, key: str, value: str) -> None:
        from confluent_kafka import KafkaException

        producer = self._producer
        if producer is None:
            raise OutcomeUnknown("the connection to Kafka is closed")
        answers: list[KafkaError | None] = []
        where = f"{self._settings.topic} at {','.join(self._settings.bootstrap_servers)}"
        try:
            producer.produce(
                self._settings.topic,
                key=key.encode(),
                value=value.encode(),
                on_delivery=lambda error, _message: answers.append(error),
            )
            producer.flush(self._settings.timeout_seconds + FLUSH_SLACK_SECONDS)
        except (KafkaException, BufferError) as error:
            raise OutcomeUnknown(f"{where}: {error}") from error
        if not answers:
            producer.purge()  # a late message must not overtake the next try
            raise OutcomeUnknown(f"{where}: no acknowledgement in time")
        if answers[0] is not None:
            raise OutcomeUnknown(f"{where}: {answers[0].str()}")


def _note(error: KafkaError) -> None:
    log.info("Kafka: %s", error.str())

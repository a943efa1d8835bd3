"""Makes the channels from the settings."""

from __future__ import annotations

from collections.abc import Iterable

from airavata_mesos_plugin.airavata.publishers.base import Channel
from airavata_mesos_plugin.airavata.publishers.kafka import KafkaChannel
from airavata_mesos_plugin.airavata.publishers.kafka_rest import KafkaRestChannel
from airavata_mesos_plugin.airavata.publishers.mail import MailChannel
from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.jobs import JobRequest


def make_channels(settings: AiravataSettings, instance: str) -> list[Channel]:
    """The channels that are configured; nothing is contacted. ``instance`` names the ledger.

    Raises ConfigurationError when an extra is not installed or a password cannot be read.
    """
    channels: list[Channel] = []
    if settings.kafka_rest.enabled and settings.version == "develop":
        channels.append(KafkaRestChannel(settings.kafka_rest))
    if settings.kafka is not None:
        channels.append(KafkaChannel(settings.kafka))
    if settings.mail is not None:
        channels.append(MailChannel(settings.mail, version=settings.version, instance=instance))
    return channels


def wanting(channels: Iterable[Channel], request: JobRequest, script: str) -> list[str]:
    """Names of the channels that a job with this request and script is told on."""
    return [channel.name for channel in channels if channel.wants(request, script)]

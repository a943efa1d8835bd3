"""Telling Airavata how its jobs stand, on every channel that a version of it listens to.

Airavata master asks by itself. Airavata develop hears of a job on Kafka, directly or through the REST proxy
that its scripts name, or by mail; Airavata 0.17 by mail only. `announcements` says what follows from the
history of a job, `timing` when it may be told, `Publisher` tells it on one `Channel`.
"""

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement, announcements
from airavata_mesos_plugin.airavata.publishers.base import Channel, Parcel
from airavata_mesos_plugin.airavata.publishers.channels import make_channels, wanting
from airavata_mesos_plugin.airavata.publishers.publisher import Publisher

__all__ = ["Announcement", "Channel", "Parcel", "Publisher", "announcements", "make_channels", "wanting"]

"""Which door fits a version of Airavata."""

from __future__ import annotations

from airavata_mesos_plugin.airavata.registration.develop import DevelopDoor
from airavata_mesos_plugin.airavata.registration.develop_client import ThriftClient
from airavata_mesos_plugin.airavata.registration.door import Door, Journal
from airavata_mesos_plugin.airavata.registration.master import MasterDoor
from airavata_mesos_plugin.airavata.registration.master_client import RestClient
from airavata_mesos_plugin.airavata.registration.server import Server
from airavata_mesos_plugin.airavata.registration.token import Access
from airavata_mesos_plugin.errors import InvalidRequest


def open_door(version: str, server: Server | None, access: Access, journal: Journal) -> Door:
    """The door of that version. Connects with the first question; without a server it answers "nothing".

    Raises InvalidRequest for a version without a door, or when nothing is there to send calls to, and
    ConfigurationError when the extra for the version is not installed.
    """
    if server is None and not journal.dry:
        raise InvalidRequest("no address of an Airavata server", advice="give --server HOST[:PORT]")
    if version == "develop":
        thrift = ThriftClient(server, access) if server else None
        return DevelopDoor(thrift, access.gateway, journal)
    if version == "master":
        rest = RestClient(server, access) if server else None
        return MasterDoor(rest, access.gateway, access.user, journal)
    raise InvalidRequest(f"Airavata {version} is registered by hand", advice="its portal needs the steps")

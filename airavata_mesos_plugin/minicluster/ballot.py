"""Mesos masters in ZooKeeper, in the form of Mesos 1.11: the one with the lowest number leads."""

from __future__ import annotations

import contextlib
import json
import logging

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import NoNodeError

from airavata_mesos_plugin.minicluster.mesos.objects import VERSION
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST, ClusterSettings
from airavata_mesos_plugin.minicluster.zookeeper import TROUBLE

_LOG = logging.getLogger(__name__)
MEMBER = "json.info_"


def master_info(master_id: str, port: int) -> dict[str, object]:
    """What a master says of itself (MasterInfo)."""
    return {
        "id": master_id,
        # Four bytes in network order, read as a number of a small-endian machine.
        "ip": int.from_bytes(bytes(map(int, LISTEN_HOST.split("."))), "little"),
        "port": port,
        "pid": f"master@{LISTEN_HOST}:{port}",
        "hostname": LISTEN_HOST,
        "version": VERSION,
        "address": {"hostname": LISTEN_HOST, "ip": LISTEN_HOST, "port": port},
    }


class ZooKeeperBallot:
    """See `masters.Ballot`.  One session announces all masters of this process."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._path = settings.mesos_path.rstrip("/")
        self._client: KazooClient | None = None
        self._ports: dict[int, int] = {}
        """Of those that are announced, the one that leads first."""
        self._nodes: dict[int, str] = {}
        self._lost = False

    def stand(self, number: int, port: int) -> None:
        """See `masters.Ballot`."""
        try:
            self._connected()
            self._ports[number] = port
            self._create(number)
        except TROUBLE as error:
            raise OSError(f"cannot announce a master in {self._path}: {error}") from error

    def withdraw(self, number: int) -> None:
        """See `masters.Ballot`."""
        self._ports.pop(number, None)
        node = self._nodes.pop(number, None)
        if node is not None:
            try:
                self._connected().delete(node)
            except NoNodeError:  # the session has ended meanwhile
                return
            except TROUBLE as error:
                raise OSError(f"cannot delete {node}: {error}") from error

    def expire(self) -> None:
        """See `masters.Ballot`."""
        try:
            twin = KazooClient(self._settings.zookeeper, client_id=self._connected().client_id)
            twin.start(timeout=self._settings.zk_connection_timeout)
            twin.stop()
            twin.close()
        except TROUBLE as error:
            raise OSError(f"cannot end the session of the masters: {error}") from error

    def close(self) -> None:
        """See `masters.Ballot`."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*TROUBLE):
                client.stop()
            with contextlib.suppress(*TROUBLE):
                client.close()

    def _create(self, number: int) -> None:
        payload = json.dumps(master_info(f"master-{number}", self._ports[number])).encode()
        self._nodes[number] = self._connected().create(
            f"{self._path}/{MEMBER}", payload, ephemeral=True, sequence=True, makepath=True
        )

    def _connected(self) -> KazooClient:
        if self._client is None:
            client = KazooClient(self._settings.zookeeper, timeout=self._settings.zk_session_timeout)
            client.start(timeout=self._settings.zk_connection_timeout)
            self._client = client
            client.add_listener(self._on_state)
        return self._client

    def _on_state(self, state: str) -> None:
        client = self._client
        if state == KazooState.LOST:
            self._lost = True
        elif state == KazooState.CONNECTED and self._lost and client is not None:
            self._lost = False
            # Kazoo's own thread tells, which must not wait for answers.
            client.handler.spawn(self._announce_again)

    def _announce_again(self) -> None:
        try:
            for number in list(self._ports):
                self._create(number)
        except TROUBLE as error:
            _LOG.warning("cannot announce the masters again: %s", error)

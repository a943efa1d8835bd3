"""Mesos masters in ZooKeeper, in the form of Mesos 1.11: the one with the lowest number leads."""

from __future__ import annotations

import contextlib
import json

from kazoo.client import KazooClient

from airavata_mesos_plugin.minicluster.mesos.objects import VERSION
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST, ClusterSettings
from airavata_mesos_plugin.minicluster.zookeeper import TROUBLE

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
        self._nodes: dict[int, str] = {}

    def stand(self, number: int, port: int) -> None:
        """See `masters.Ballot`."""
        payload = json.dumps(master_info(f"master-{number}", port)).encode()
        try:
            client = self._connected()
            self._nodes[number] = client.create(
                f"{self._path}/{MEMBER}", payload, ephemeral=True, sequence=True, makepath=True
            )
        except TROUBLE as error:
            raise OSError(f"cannot announce a master in {self._path}: {error}") from error

    def withdraw(self, number: int) -> None:
        """See `masters.Ballot`."""
        node = self._nodes.pop(number, None)
        if node is not None:
            try:
                self._connected().delete(node)
            except TROUBLE as error:
                raise OSError(f"cannot delete {node}: {error}") from error

    def close(self) -> None:
        """See `masters.Ballot`."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*TROUBLE):
                client.stop()
            with contextlib.suppress(*TROUBLE):
                client.close()

    def _connected(self) -> KazooClient:
        if self._client is None:
            self._client = KazooClient(self._settings.zookeeper, timeout=self._settings.zk_session_timeout)
            self._client.start(timeout=self._settings.zk_connection_timeout)
        return self._client

"""The provider as a Thrift service for peers in any language."""

from airavata_mesos_plugin.service.peers.server import PeerServer

__all__ = ["PeerServer"]

"""SSH connections to agents' hosts: one key of ours, host keys that somebody has compared, no surprises."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import paramiko

from airavata_mesos_plugin.config import SftpSettings
from airavata_mesos_plugin.errors import (
    ConfigurationError,
    ProtocolError,
    TransferError,
)
from airavata_mesos_plugin.sandbox.sftp.login import Identity, Target, log_in, reason
from airavata_mesos_plugin.sandbox.sftp.pipe import PacketPipe

WINDOW_BYTES = 16 * 1024 * 1024
"""What the other side may send before we have taken it: more than a fast network holds under way."""

PACKET_BYTES = 256 * 1024
"""Largest piece of a channel's data: each one costs some time of the interpreter, whatever its size."""

_LOG = "airavata_mesos_plugin.ssh"


class SshConnection:
    """A connection that is logged in, with one channel to the host's SFTP server."""

    def __init__(self, target: Target, client: paramiko.SSHClient, channel: paramiko.Channel) -> None:
        self.target = target
        self.channel = channel
        self._client = client

    @property
    def alive(self) -> bool:
        """Whether nothing is known against it."""
        transport = self._client.get_transport()
        return transport is not None and transport.is_active() and not self.channel.closed

    def abort(self) -> None:
        """End what goes on, from any thread; the connection is of no use afterwards. Repeatable."""
        self._client.close()

    close = abort


def connect(target: Target, settings: SftpSettings, silence_seconds: float) -> SshConnection:
    """Log in and start the SFTP server. No password is ever sent, no host key ever added.

    ``silence_seconds`` is how long the host may say nothing on the channel. Raises Unreachable,
    AuthenticationFailed (also for a host key that is unknown or another one), ConfigurationError for files
    of ours that cannot be used, ProtocolError when the host offers no SFTP.
    """
    client = paramiko.SSHClient()
    client.set_log_channel(_LOG)
    # Its threads write tracebacks there about what servers send; we tell of it in our own words.
    logging.getLogger(_LOG).setLevel(logging.CRITICAL)
    try:
        _load_known_hosts(client, settings.known_hosts)
        identity = Identity(settings.key, when_locked="make a key without one, for this use alone")
        seconds = settings.connect_timeout_seconds
        log_in(client, target, identity, settings.known_hosts, seconds, _transport)
        channel = _sftp_channel(client, target, settings)
        channel.settimeout(silence_seconds)
    except BaseException:
        client.close()
        raise
    return SshConnection(target, client, channel)


def _load_known_hosts(client: paramiko.SSHClient, path: Path) -> None:
    try:
        client.load_system_host_keys(str(path))
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise ConfigurationError(
            f"cannot read the host keys in {path}: {reason(error)}",
            advice="make the file with ssh-keyscan, and compare what it found with the hosts",
        ) from error


def _transport(sock: Any, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(
        sock, default_window_size=WINDOW_BYTES, default_max_packet_size=PACKET_BYTES, **options
    )
    offered = transport.get_security_options()
    # Encryption and check in one step: half of the time.
    quick = [name for name in offered.ciphers if "-gcm" in name]
    offered.ciphers = (*quick, *(name for name in offered.ciphers if name not in quick))
    return transport


def _sftp_channel(client: paramiko.SSHClient, target: Target, settings: SftpSettings) -> paramiko.Channel:
    transport = client.get_transport()
    if transport is None:
        raise TransferError(f"the SSH connection to {target} has ended")
    try:
        channel = transport.open_session(timeout=settings.connect_timeout_seconds)
        channel.settimeout(settings.connect_timeout_seconds)
        channel.in_buffer = PacketPipe()  # nothing comes before we ask
        channel.invoke_subsystem("sftp")
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise ProtocolError(
            f"{target} offers no SFTP: {reason(error)}",
            advice="its sshd_config needs the line: Subsystem sftp internal-sftp",
        ) from error
    return channel

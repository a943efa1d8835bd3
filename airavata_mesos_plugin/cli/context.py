"""What all commands share: where settings and home are, and how to reach the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin import config
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.service.client import DaemonClient
from airavata_mesos_plugin.service.home import Home


@dataclass(frozen=True)
class Context:
    """The options of the command group."""

    config_file: str | None
    home_directory: str | None

    @property
    def home(self) -> Home:
        """The home directory of this account's own daemon."""
        return Home(config.home_directory(self.home_directory))

    @property
    def serving_home(self) -> Home:
        """The home directory of the daemon that serves this account, which may be root's."""
        return Home(config.serving_home(self.home_directory))

    @property
    def daemon(self) -> DaemonClient:
        """The daemon that serves this account."""
        return DaemonClient(self.serving_home.socket)

    def settings(self) -> tuple[ProviderSettings, Path | None]:
        """The settings in force and their file. Raises ConfigurationError."""
        return config.load(self.config_file)

"""Settings: models with their defaults and help, and how they are read.

Source of a value, strongest first: command line (``--config``, ``--home``), environment
(``AIRAVATA_MESOS_CONFIG``, ``AIRAVATA_MESOS_HOME``), the file itself, the default written here.
Without any file the provider runs on an embedded minicluster.
"""

from __future__ import annotations

from airavata_mesos_plugin.config.cluster import ClusterSettings, LimitSettings
from airavata_mesos_plugin.config.connections import (
    AuthenticationSettings,
    SaslSettings,
    SftpSettings,
    TlsSettings,
    ZooKeeperSettings,
)
from airavata_mesos_plugin.config.fetching import FetchSettings, OutputSettings
from airavata_mesos_plugin.config.loading import (
    SYSTEM_CONFIG,
    SYSTEM_HOME,
    describe,
    embedded_settings,
    home_directory,
    load,
    serving_home,
)
from airavata_mesos_plugin.config.mesos import MesosSettings
from airavata_mesos_plugin.config.names import IDENTIFIER, QUEUE_NAME
from airavata_mesos_plugin.config.provider import ProviderSettings
from airavata_mesos_plugin.config.queue import QueueSettings
from airavata_mesos_plugin.config.service import AccountSettings, ServiceSettings, ThriftSettings
from airavata_mesos_plugin.config.staging import InputSettings, StagingSettings

__all__ = [
    "IDENTIFIER",
    "QUEUE_NAME",
    "SYSTEM_CONFIG",
    "SYSTEM_HOME",
    "AccountSettings",
    "AuthenticationSettings",
    "ClusterSettings",
    "FetchSettings",
    "InputSettings",
    "LimitSettings",
    "MesosSettings",
    "OutputSettings",
    "ProviderSettings",
    "QueueSettings",
    "SaslSettings",
    "ServiceSettings",
    "SftpSettings",
    "StagingSettings",
    "ThriftSettings",
    "TlsSettings",
    "ZooKeeperSettings",
    "describe",
    "embedded_settings",
    "home_directory",
    "load",
    "serving_home",
]

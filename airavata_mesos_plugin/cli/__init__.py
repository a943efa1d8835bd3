"""airavata-mesos: one command for people."""

from airavata_mesos_plugin.cli.main import main

__all__ = ["main"]

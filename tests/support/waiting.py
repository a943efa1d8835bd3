"""Waiting for something to become true."""

from __future__ import annotations

from airavata_mesos_plugin.testing.waiting import wait_for

__all__ = ["wait_for"]

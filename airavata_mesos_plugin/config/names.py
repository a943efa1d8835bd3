"""What names may look like."""

from __future__ import annotations

IDENTIFIER = r"^[A-Za-z0-9_.\-]{1,255}$"
"""Roles, environments and job names: Aurora 0.22, ``ConfigurationManager``."""

QUEUE_NAME = r"^[A-Za-z0-9_]+$"
"""Airavata's look-up of a job by name breaks on any other character in the partition column."""

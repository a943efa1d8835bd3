"""Names at the top of a sandbox that belong to the wrapper and to Thermos."""

from __future__ import annotations

CONTROL_DIRECTORY = ".airavata-mesos"
"""Ours: the wrapper, the user's script and the result lie here."""

THERMOS_LOGS = ".logs"
"""Output of the Thermos processes, ``.logs/<process>/<run>/stdout`` (Aurora 0.22)."""

THERMOS_PROFILE = ".thermos_profile"
"""Sourced by Thermos before each process (Aurora 0.22)."""

RESERVED = frozenset({CONTROL_DIRECTORY, THERMOS_LOGS, THERMOS_PROFILE})
"""No output of a job may have one of these as the first part of its name."""

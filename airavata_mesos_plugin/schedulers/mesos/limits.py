"""How long a framework waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What an administrator can set (`config.MesosSettings` explains it). All in seconds."""

    refuse: float = 30.0
    patience: float = 60.0
    reconcile: float = 900.0
    unreachable: float = 900.0
    unknown: float = 700.0
    remember: float = 86400.0

"""The messages over a job that a monitor of Airavata would get, taken from what the provider recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.states import AIRAVATA_STATES


def messages(events: Iterable[dict[str, Any]]) -> list[str]:
    """Airavata's job states in order, each once; a job that begins again says so."""
    told: list[str] = []
    for event in events:
        state = AIRAVATA_STATES[JobPhase(event["phase"])]
        if told and state == told[-1]:
            continue
        if told[-1:] == ["ACTIVE"] and state == "QUEUED":
            told.append("NON_CRITICAL_FAIL")
        told.append(state)
    return [state for state in told if state != "SUBMITTED"]

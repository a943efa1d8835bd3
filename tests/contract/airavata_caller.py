"""What Airavata types, and how it reads the answers."""

from __future__ import annotations

from airavata_mesos_plugin.testing.airavata_caller import (
    END_OF_OUTPUT_SECONDS,
    FINAL_STATES,
    STATES,
    Airavata,
    Answer,
    Submission,
)

__all__ = ["END_OF_OUTPUT_SECONDS", "FINAL_STATES", "STATES", "Airavata", "Answer", "Submission"]

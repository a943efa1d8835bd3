"""What docs/outputs.md shows can be used as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from airavata_mesos_plugin.config import FetchSettings, OutputSettings
from airavata_mesos_plugin.provider.output_rules import directives
from airavata_mesos_plugin.sandbox.agent.source import READ_FACTOR

TEXT = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text()


def block(language: str, beginning: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n({re.escape(beginning)}.*?)```", TEXT, flags=re.DOTALL)
    assert len(found) == 1, f"{language} {beginning}"
    return found[0]


def test_settings() -> None:
    settings = OutputSettings.model_validate(yaml.safe_load(block("yaml", "outputs:"))["outputs"])
    assert settings.include == ("results/", "*.log")
    assert settings.max_files == 100_000


def test_lines_of_a_script() -> None:
    found = directives("#!/bin/sh\n" + block("sh", "#AIRAVATA-MESOS"))
    assert found["include"] == ("results/",)
    assert found["exclude"] == ("results/scratch-*",)


def test_numbers() -> None:
    settings = FetchSettings()
    assert (settings.jobs, settings.long_jobs, settings.connections, settings.attempts) == (4, 4, 8, 5)
    assert settings.long_seconds == 15
    assert f"{1 - 1 / READ_FACTOR:.1%}".replace("%", " %") in TEXT

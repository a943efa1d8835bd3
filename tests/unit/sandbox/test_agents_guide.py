"""docs/agents.md: its settings are settings, its numbers those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from airavata_mesos_plugin.config import ClusterSettings, FetchSettings
from airavata_mesos_plugin.sandbox.agent.lines import BUFFER_BYTES

GUIDE = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()


def test_the_example_is_valid() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    (cluster,) = yaml.safe_load(block)["clusters"]
    settings = ClusterSettings.model_validate({**cluster, "schedulers": ["https://aurora1.example.org"]})
    assert settings.agent_access == settings.name == "production"
    assert not ClusterSettings.model_validate(
        {"name": "x", "schedulers": ["http://a"], "mesos_masters": ["http://m"]}
    ).agent_access


def test_its_numbers() -> None:
    settings = FetchSettings()
    assert f"`read_timeout_seconds` ({settings.read_timeout_seconds:g})" in GUIDE
    assert f"`least_bytes_per_second` ({settings.least_bytes_per_second:g})" in GUIDE
    assert f"{BUFFER_BYTES // 1024} KiB" in GUIDE

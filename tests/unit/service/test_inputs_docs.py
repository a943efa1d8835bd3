"""The settings that docs/inputs.md shows are valid, and say what its text says."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from airavata_mesos_plugin.config import InputSettings, ProviderSettings, QueueSettings, StagingSettings
from airavata_mesos_plugin.provider.input_methods import METHODS
from airavata_mesos_plugin.testing.settings import NOWHERE, provider_document

PAGE = (Path(__file__).parents[3] / "docs" / "inputs.md").read_text(encoding="utf-8")
BLOCKS: list[Any] = [
    yaml.safe_load(textwrap.dedent(block)) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
]


def test_every_block_is_valid() -> None:
    queue, staging, uris = BLOCKS
    assert QueueSettings.model_validate(queue["queues"][0]).inputs == InputSettings()
    shown = StagingSettings.model_validate(staging["staging"])
    assert shown.transfers == StagingSettings().transfers
    document = provider_document(NOWHERE, NOWHERE, {"queues": uris, **staging})
    assert len(ProviderSettings.model_validate(document).queues[0].inputs.uris) == 2


def test_every_method_has_its_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))
    assert rows == set(METHODS)

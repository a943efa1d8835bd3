"""The settings that the guide and the example file show are valid, and the defaults are those they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from airavata_mesos_plugin.config.airavata import AiravataSettings

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "status-channels.md").read_text(encoding="utf-8")


def section(text: str) -> AiravataSettings:
    document: dict[str, Any] = yaml.safe_load(text)
    return AiravataSettings.model_validate(document["airavata"])


def test_the_settings_of_the_guide() -> None:
    old, develop = (section(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))
    assert (old.version, develop.version) == ("0.17", "develop")
    assert old.mail is not None
    assert develop.kafka is not None
    assert develop.kafka.options["sasl.mechanism"] == "SCRAM-SHA-512"


def test_the_defaults_of_the_guide() -> None:
    rows = dict(re.findall(r"^\| `(\w+_seconds)` \| ([0-9]+) \|", GUIDE, re.MULTILINE))
    assert len(rows) == 3
    for name, value in rows.items():
        assert AiravataSettings.model_fields[name].default == float(value)


def test_the_optional_settings_of_the_example_file() -> None:
    text = (ROOT / "conf" / "provider.yaml").read_text(encoding="utf-8")
    whole = section(re.sub(r"^( *)## ?", r"\1", text[text.index("\nairavata:") :], flags=re.MULTILINE))
    assert whole.kafka is not None
    assert whole.mail is not None
    assert whole.kafka_rest.endpoint is not None
    assert whole.mail.security == "starttls"

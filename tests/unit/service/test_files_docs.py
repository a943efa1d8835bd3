"""docs/files.md names commands, options, settings and directives that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import yaml

from airavata_mesos_plugin.cli.main import command
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.provider.output_rules import live_patterns

TEXT = (Path(__file__).parents[3] / "docs/files.md").read_text()
CLUSTER = {"name": "production", "schedulers": ["http://a:1"], "mesos_masters": ["http://m:1"]}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_command_lines_can_be_typed() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"^\| `(airavata-mesos [^`]*)`", TEXT, flags=re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line.replace("[", "").replace("]", "").replace("...", ""), comments=True)
        assert words[0] == "airavata-mesos"
        named = command.get_command(click.Context(command), words[1])
        assert named is not None, line
        named.make_context(words[1], ["7" if word == "JOB" else word for word in words[2:]])


def test_settings_and_directive() -> None:
    (text,) = blocks("yaml")
    settings = ProviderSettings.model_validate({"clusters": [CLUSTER], **yaml.safe_load(text)})
    assert settings.queues[0].outputs.live == ("*.log", "progress/")
    (line,) = re.findall(r"^#AIRAVATA-MESOS .*$", TEXT, flags=re.MULTILINE)
    assert live_patterns(f"#!/bin/sh\n{line}\n", settings.queues[0])[2:] == ("progress/*.csv",)

"""The Python of the guide to the Thrift service runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from airavata_mesos_plugin.config import ServiceSettings
from tests.integration.thrift_service.conftest import Served

GUIDE = Path(__file__).parents[3] / "docs" / "thrift-service.md"


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    return str(text)


def test_the_python_of_the_guide_submits_a_job(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"SOCKET": str(served.socket), "DIRECTORY": str(served.site.work())}
    exec(compile(block("python"), str(GUIDE), "exec"), names)  # noqa: S102 - the guide is ours
    assert re.fullmatch(r"\d+ (SUBMITTED|QUEUED|ACTIVE) \[None.*\]\n", capsys.readouterr().out)


def test_the_settings_of_the_guide_are_valid() -> None:
    settings = ServiceSettings.model_validate(yaml.safe_load(block("yaml"))["service"])
    assert settings.thrift is not None
    assert settings.thrift.accounts == {"gateway.example.org": "airavata"}

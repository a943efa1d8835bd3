"""Channels are what the settings say, and settings that cannot work are refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from airavata_mesos_plugin.airavata.publishers import make_channels
from airavata_mesos_plugin.config.airavata import AiravataSettings, Login
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.secret import Secret

MAIL = {"host": "smtp.example.org", "sender": "slurm@mesos.example.org"}
KAFKA = {"bootstrap_servers": ["kafka1.example.org:9092"]}


def names(**settings: Any) -> list[str]:
    channels = make_channels(AiravataSettings.model_validate(settings), "0badcafe")
    found = [channel.name for channel in channels]
    for channel in channels:
        channel.close()
        channel.close()
    return found


def test_which_channels_there_are() -> None:
    assert names() == ["kafka_rest"]
    assert names(kafka_rest={"enabled": False}) == []
    assert names(version="master") == []
    assert names(version="master", mail=MAIL) == ["mail"]
    assert names(version="0.17", mail=MAIL) == ["mail"]
    assert names(version="develop", mail=MAIL, kafka=KAFKA) == ["kafka_rest", "kafka", "mail"]


def test_a_version_that_looks_like_a_number() -> None:
    document = yaml.safe_load("{version: 0.17, mail: {host: h, sender: a@b.org}}")
    assert AiravataSettings.model_validate(document).version == "0.17"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": "0.21"}, "version"),
        ({"version": "0.17"}, "by mail only"),
        ({"version": "0.17", "mail": MAIL, "kafka": KAFKA}, "does not read Kafka"),
        ({"version": "master", "kafka": KAFKA}, "does not read Kafka"),
        ({"kafka": {"bootstrap_servers": []}}, "bootstrap_servers"),
        ({"kafka": {**KAFKA, "username": "u"}}, "exactly one of password_file and password_environment"),
        ({"kafka": {**KAFKA, "password_environment": "X"}}, "username goes with"),
        ({"kafka": {**KAFKA, "publisher": "a,b"}}, "publisher"),
        ({"mail": {**MAIL, "sender": "nobody"}}, "sender"),
        ({"mail": {**MAIL, "sender": "a@b.org\nBcc: c@d.org"}}, "sender"),
        ({"mail": {**MAIL, "username": "u", "password_environment": "X"}}, "starttls or tls"),
        ({"kafka_rest": {"endpoint": "kafka:8082"}}, "is not an http"),
        ({"kafka_rest": {"endpoint": "http://a:b@kafka:8082/topics/t"}}, "user name or password"),
        ({"pause_seconds": -1}, "pause_seconds"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AiravataSettings.model_validate(settings)


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigurationError, match=r"install airavata-mesos-plugin\[kafka\]"):
        names(kafka=KAFKA)


def test_an_option_that_kafka_does_not_know_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no\.such\.option"):
        names(kafka={**KAFKA, "options": {"no.such.option": "1"}})


def test_passwords(tmp_path: Path) -> None:
    def password(environ: dict[str, str] | None = None, **place: Any) -> str:
        source = Login(username="u", **place).password
        assert source is not None
        return Secret(source, environ or {}, keep_blanks=True).read()

    file = tmp_path / "password"
    file.write_text(" p w \nsecond line\n")
    assert password(password_file=file) == " p w "
    assert password({"P": "x"}, password_environment="P") == "x"  # noqa: S106
    with pytest.raises(ConfigurationError, match="variable P holds no secret"):
        password(password_environment="P")  # noqa: S106
    assert Login().password is None

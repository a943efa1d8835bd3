"""Where settings and the home directory are looked for, and how a file is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import yaml
from pydantic import ValidationError

from airavata_mesos_plugin.config.provider import ProviderSettings
from airavata_mesos_plugin.errors import ConfigurationError

SYSTEM_CONFIG = Path("/etc/airavata-mesos/provider.yaml")
SYSTEM_HOME = Path("/var/lib/airavata-mesos")
"""Home directory of a daemon of root."""

_EMBEDDED = {
    "clusters": [
        {
            "name": "embedded",
            # The daemon puts the addresses of the minicluster here once it listens.
            "schedulers": ["http://127.0.0.1:1"],
            "mesos_masters": ["http://127.0.0.1:1"],
            "poll_interval_seconds": 0.5,
            "absence_seconds": 30,
            "embedded": True,
        }
    ],
    "queues": [{"name": "default", "cluster": "embedded", "role": "airavata"}],
}


def embedded_settings() -> ProviderSettings:
    """Settings without any file: a minicluster on this machine."""
    return ProviderSettings.model_validate(_EMBEDDED)


def home_directory(given: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the ledger, the sockets and the secrets live; nothing is created.

    Where nothing is said it is `SYSTEM_HOME` for root and the account's state directory for others.
    """
    text = given or environ.get("AIRAVATA_MESOS_HOME")
    if not text and os.geteuid() == 0:
        return SYSTEM_HOME
    path = Path(text) if text else platformdirs.user_state_path("airavata-mesos")
    return path.absolute()


def serving_home(
    given: str | None = None, environ: Mapping[str, str] = os.environ, system_home: Path = SYSTEM_HOME
) -> Path:
    """Home directory of the daemon that serves this account: its own one, or else root's if there is one."""
    own = home_directory(given, environ)
    if given or environ.get("AIRAVATA_MESOS_HOME") or own.exists() or not system_home.exists():
        return own
    return system_home


def load(
    given: str | None = None,
    environ: Mapping[str, str] = os.environ,
    system_config: Path = SYSTEM_CONFIG,
) -> tuple[ProviderSettings, Path | None]:
    """The settings and the file that they came from (None: the embedded default).

    Raises ConfigurationError that names the file and the wrong entry.
    """
    text = given or environ.get("AIRAVATA_MESOS_CONFIG")
    if text:
        path = Path(text).absolute()
    elif system_config.exists():
        path = system_config
    else:
        return embedded_settings(), None
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}",
            advice="name a readable file with --config or AIRAVATA_MESOS_CONFIG",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must hold a mapping with the members clusters and queues")
    try:
        return ProviderSettings.model_validate(document), path
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """A validation error in one line: each wrong entry with its place and what is wrong with it."""
    parts = []
    for item in error.errors(include_url=False):
        place = ".".join(str(step) for step in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return "; ".join(parts)

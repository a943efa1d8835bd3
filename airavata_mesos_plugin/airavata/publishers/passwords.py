"""Passwords from a file or an environment variable."""

from __future__ import annotations

import os
from collections.abc import Mapping

from airavata_mesos_plugin.config.airavata import Login
from airavata_mesos_plugin.errors import ConfigurationError


def password(login: Login, environ: Mapping[str, str] = os.environ) -> str:
    """The password of ``login``, which must have a user name. Raises ConfigurationError."""
    if login.password_environment is not None:
        found = environ.get(login.password_environment)
        if not found:
            raise ConfigurationError(f"the environment variable {login.password_environment} is not set")
        return found
    if login.password_file is None:
        raise ConfigurationError("there is a user name but no password")
    try:
        lines = login.password_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the password file {login.password_file}: {error}") from error
    if not lines or not lines[0]:
        raise ConfigurationError(f"the password file {login.password_file} has no first line")
    return lines[0]

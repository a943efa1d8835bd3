"""Where a non-interactive SSH session finds sacct and sinfo, which Airavata types without a directory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError

ON_PATH = ("sacct", "sinfo")
"""Commands that Airavata develop and master call by their bare name."""

MARK = "Written by airavata-mesos install-commands"
"""Stands at the beginning of each command that we wrote."""

_HEAD_BYTES = 1024

_START_UP_FILES = {"bash": ".bashrc", "zsh": ".zshenv"}
"""What a shell reads when sshd starts it for one command (bash 5 as Debian builds it, zsh 5)."""


def link(commands: Path, directory: Path) -> list[Path]:
    """Link sacct and sinfo of ``commands`` into ``directory``; the links.

    Repeatable; a link or command of ours is replaced in one step. Raises ConfigurationError when another
    program has the name, and when ``directory`` cannot be written.
    """
    links = [directory / name for name in ON_PATH]
    for path in links:
        if os.path.lexists(path) and not _ours(path, commands):
            raise ConfigurationError(
                f"{path} is another program", advice="name a directory that comes before it in the PATH"
            )
    try:
        for path in links:
            _replace(path, (commands / path.name).absolute())
    except OSError as error:
        raise ConfigurationError(
            f"cannot write into {directory}: {error.strerror}",
            advice="run this as root, or name a directory that you may write to",
        ) from error
    return links


def advice(commands: Path, shell: str) -> str:
    """What an administrator has to add so that sessions of an account with that login shell find them."""
    directory = commands.absolute()
    line = f'export PATH="{directory}:$PATH"'
    how = "on the PATH of non-interactive SSH sessions"
    file = _START_UP_FILES.get(Path(shell).name)
    if file is None:
        return (
            f"sacct and sinfo must be {how}: run this again as root with --path-directory /usr/local/bin,"
            f' or add to sshd_config: SetEnv PATH="{directory}:/usr/local/bin:/usr/bin:/bin"'
        )
    return (
        f"sacct and sinfo must be {how}: run this again as root with --path-directory /usr/local/bin,"
        f" or add as the first line of ~/{file}: {line}"
    )


def _ours(path: Path, commands: Path) -> bool:
    if path.is_symlink() and path.readlink() == (commands / path.name).absolute():
        return True
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return path.is_symlink() and not path.exists()  # it leads nowhere: the commands have moved


def _replace(path: Path, target: Path) -> None:
    if path.resolve() == target.resolve() and not path.is_symlink():
        return  # the commands themselves lie here
    with tempfile.TemporaryDirectory(prefix=".airavata-mesos-", dir=path.parent) as beside:
        link = Path(beside) / path.name
        link.symlink_to(target)
        link.replace(path)

"""sacct and sinfo where an SSH session finds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.slurm import install, place


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    install.install(directory, tmp_path / "s")
    return directory


@pytest.fixture
def local(tmp_path: Path) -> Path:
    directory = tmp_path / "local"
    directory.mkdir()
    return directory


def test_both_are_linked_and_nothing_else(commands: Path, local: Path) -> None:
    for _ in range(2):  # the second time changes nothing
        assert place.link(commands, local) == [local / "sacct", local / "sinfo"]
        assert {path.name: path.readlink() for path in local.iterdir()} == {
            name: commands / name for name in ("sacct", "sinfo")
        }


def test_a_relative_directory_makes_absolute_links(
    commands: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(commands.parent)
    place.link(Path("bin"), local)
    assert (local / "sacct").readlink() == commands / "sacct"


def test_links_and_copies_of_an_older_place_are_replaced(commands: Path, local: Path, tmp_path: Path) -> None:
    install.install(tmp_path / "old", tmp_path / "s")
    (local / "sacct").symlink_to(tmp_path / "old" / "sacct")
    (local / "sinfo").write_bytes((tmp_path / "old" / "sinfo").read_bytes())
    place.link(commands, local)
    assert {path.readlink().parent for path in local.iterdir()} == {commands}


def test_a_link_that_leads_nowhere_is_replaced(commands: Path, local: Path) -> None:
    (local / "sinfo").symlink_to("/nowhere/sinfo")
    place.link(commands, local)
    assert (local / "sinfo").readlink() == commands / "sinfo"


def test_the_commands_own_directory_is_left_as_it_is(commands: Path) -> None:
    place.link(commands, commands)
    assert not (commands / "sacct").is_symlink()
    assert (commands / "sacct").stat().st_size > 1000


@pytest.mark.parametrize("name", ["sacct", "sinfo"])
def test_a_program_of_others_is_not_touched(commands: Path, local: Path, name: str) -> None:
    (local / name).write_text("#!/bin/sh\n# real SLURM\n")
    with pytest.raises(ConfigurationError, match=f"{local / name} is another program"):
        place.link(commands, local)
    assert [path.name for path in local.iterdir()] == [name]
    assert "real SLURM" in (local / name).read_text()


def test_a_directory_that_is_none(commands: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write into"):
        place.link(commands, tmp_path / "missing")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("/bin/bash", "first line of ~/.bashrc: export PATH="),
        ("/usr/bin/zsh", "first line of ~/.zshenv: export PATH="),
        ("/bin/dash", "sshd_config: SetEnv PATH="),
        ("", "sshd_config: SetEnv PATH="),
    ],
)
def test_what_an_administrator_is_told(commands: Path, shell: str, words: str) -> None:
    text = place.advice(commands, shell)
    assert words in text
    assert os.fspath(commands) in text
    assert "--path-directory" in text

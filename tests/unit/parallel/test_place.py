"""The path that is the same on all nodes of a job: what its name tells, and who can have made it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.parallel.gang import PLACE, Gang
from airavata_mesos_plugin.parallel.program import _make_place, place_folder


@pytest.fixture
def gang() -> Iterator[Gang]:
    made = Gang(77, 1, 2, secrets.token_bytes(32), "http://daemon/gangs/x", [1, 1], 1, 60)
    yield made
    folder = place_folder(made)
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def control(tmp_path: Path) -> Path:
    made = tmp_path / "sandbox" / ".airavata-mesos"
    made.mkdir(parents=True)
    return made


def test_it_leads_to_the_sandbox(gang: Gang, control: Path) -> None:
    link = _make_place(gang, control)
    assert link.resolve() == control.parent
    assert (control / PLACE).read_text() == f"{link}\n"
    assert link.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_node_on_the_host_shares_it(gang: Gang, control: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / ".airavata-mesos"
    other.mkdir(parents=True)
    assert _make_place(gang, control) == _make_place(gang, other)


def test_its_name_tells_nothing_of_the_secret(gang: Gang) -> None:
    name = place_folder(gang).name.rpartition(".")[2]
    assert not any(name[at : at + 8] in gang.secret.hex() for at in range(len(name) - 7))
    assert name not in gang.marker, "what processes carry is another word"
    other = gang._replace(secret=secrets.token_bytes(32))
    assert place_folder(other) != place_folder(gang)


def _link(folder: Path, elsewhere: Path) -> None:
    folder.symlink_to(elsewhere)


def _open_to_all(folder: Path, _elsewhere: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _of_another(folder: Path, _elsewhere: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)


def _a_file(folder: Path, _elsewhere: Path) -> None:
    folder.touch()


TRAPS = [_link, _open_to_all, _a_file] + ([_of_another] if os.geteuid() == 0 else [])


@pytest.mark.parametrize("trap", TRAPS)
def test_what_another_account_may_have_put_there_is_not_used(
    gang: Gang, control: Path, tmp_path: Path, trap: Callable[[Path, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder = place_folder(gang)
    trap(folder, elsewhere)
    with pytest.raises(PermissionError, match="only this account can write to"):
        _make_place(gang, control)
    assert list(elsewhere.iterdir()) == []

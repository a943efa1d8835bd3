from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import StagingError
from airavata_mesos_plugin.sandbox.inputs.snapshot import SentDirectory, Snapshot, take

MOMENT = 1_600_000_000_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def test_files_and_directories(root: Path) -> None:
    (root / "sub" / "hollow").mkdir(parents=True)
    (root / "sub").chmod(0o1750)
    (root / "sub" / "file").write_bytes(b"12345")
    (root / "sub" / "file").chmod(0o4751)
    os.utime(root / "sub" / "file", ns=(0, MOMENT))
    snapshot = take(root, 1.7e9)
    assert snapshot.taken_at == 1.7e9
    (file,) = snapshot.files
    assert file == ("sub/file", 5, MOMENT, 0o751, None)
    assert snapshot.directories[0] == SentDirectory("sub", 0o750)
    assert [item.name for item in snapshot.directories] == ["sub", "sub/hollow"]
    assert (snapshot.links, snapshot.left_out) == ((), ())


def test_excluded_names_are_as_if_they_were_not_there(root: Path) -> None:
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "deep" / "file").write_bytes(b"")
    (root / "out").write_bytes(b"")
    (root / "in").write_bytes(b"")
    snapshot = take(root, 0, {"sub/deep", "out"})
    assert [item.name for item in snapshot.files] == ["in"]
    assert [item.name for item in snapshot.directories] == ["sub"]
    assert snapshot.left_out == ()


def test_links(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"shared data")
    (root / "sub").mkdir()
    (root / "file").write_bytes(b"")
    links = {
        "plain": "file",
        "sub/up": "../file",
        "directory": "sub",
        "chain": "plain",
        "absolute": str(root / "file"),
        "sub/round": "../../root/file",
        "untidy": "sub//.././file",
        "shared": str(outside / "file"),
        "shared-chain": "shared",
        "shared-directory": "../outside",
        "dangling": "missing",
        "self": "self",
        "device": "/dev/null",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    snapshot = take(root, 0)
    assert dict(snapshot.links) == {
        "plain": "file",
        "sub/up": "../file",
        "directory": "sub",
        "chain": "plain",
        "absolute": "file",
        "sub/round": "../file",
        "untidy": "sub//.././file",
    }
    sent = {item.name: item for item in snapshot.files}
    assert sent.keys() == {"file", "shared", "shared-chain"}
    assert sent["shared"].size == len(b"shared data")
    assert sent["shared"].outside is not None
    assert sent["shared"].outside.path == str(outside / "file")
    reasons = dict(snapshot.left_out)
    assert reasons.keys() == {"shared-directory", "dangling", "self", "device"}
    assert "directory outside" in reasons["shared-directory"]
    assert reasons["dangling"] == reasons["self"] == "the link leads nowhere"


def test_what_is_neither_file_nor_directory_is_left_out(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert take(root, 0).left_out == (("pipe", "not a regular file, directory or link"),)


def test_part_files_of_a_fetch_are_not_sent(root: Path) -> None:
    (root / ".out.airavata-part-3").write_bytes(b"half")
    assert take(root, 0).files == ()


def test_the_working_directory_may_itself_be_behind_a_link(root: Path, tmp_path: Path) -> None:
    (root / "file").write_bytes(b"")
    (root / "link").symlink_to(tmp_path / "alias" / "file")
    (tmp_path / "alias").symlink_to(root)
    snapshot = take(tmp_path / "alias", 0)
    assert [item.name for item in snapshot.files] == ["file"]
    assert dict(snapshot.links) == {"link": "file"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match=r"cannot list the working directory .*missing: No such file"):
        take(tmp_path / "missing", 0)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StagingError, match="Not a directory"):
        take(tmp_path / "file", 0)


def test_the_json_form_keeps_everything(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x")
    (root / os.fsdecode(b"bytes \xff\n'\"")).write_bytes(b"1")
    (root / "grüße 🙂").mkdir()
    (root / "link").symlink_to("grüße 🙂")
    (root / "shared").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "pipe")
    snapshot = take(root, 12.5)
    text = snapshot.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert Snapshot.from_json(text) == snapshot
    assert len(snapshot.files) == 2


def test_a_form_of_another_version_is_refused() -> None:
    document = {**json.loads(Snapshot(1.0).to_json()), "version": 99}
    with pytest.raises(ValueError, match="version 99"):
        Snapshot.from_json(json.dumps(document))

"""A snapshot changes by the names of some files, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import StagingError
from airavata_mesos_plugin.sandbox.inputs import snapshot
from airavata_mesos_plugin.sandbox.inputs.restaging import with_files


def test_only_the_named_files_change(tmp_path: Path) -> None:
    for name in ("kept", "replaced"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("kept")
    before = snapshot.take(tmp_path, 1000.0)
    for name in ("kept", "replaced", "other"):
        (tmp_path / name).write_text("changed since")
    (tmp_path / "link").unlink()
    (tmp_path / "link").write_text("a file now")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "a" / "b" / "new").write_text("new")
    now = snapshot.take(tmp_path, 2000.0)
    changed = with_files(before, now, ["replaced", "a/b/new", "link"])
    assert {file.name: file.size for file in changed.files} == {
        "kept": 4,
        "replaced": 13,
        "a/b/new": 3,
        "link": 10,
    }
    assert [directory.name for directory in changed.directories] == ["a", "a/b"]
    assert changed.links == ()
    assert changed.taken_at == 2000.0


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    found = snapshot.take(tmp_path, 1000.0)
    with pytest.raises(StagingError, match="none"):
        with_files(found, found, ["none"])

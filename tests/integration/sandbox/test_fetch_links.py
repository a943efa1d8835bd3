"""Links of sources that show them: kept when they stay inside, refused when not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot, take
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Entry
from tests.support.tree_source import TREE, TreeSource

EMPTY = Snapshot(taken_at=1.7e9)


@pytest.fixture
def source(sandbox: Path) -> TreeSource:
    (sandbox / "data").mkdir()
    (sandbox / "data" / "file").write_text("content")
    return TreeSource(sandbox)


def fetch(fetcher: Fetcher, working: Path, rules: OutputRules | None = None) -> FetchReport:
    return fetcher.fetch(TREE, working, EMPTY, job_id=1, rules=rules or OutputRules())


def test_links_that_stay_inside_are_kept(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    targets = {
        "latest": "data/file",
        "folder": "data",
        "chain": "./folder//file",
        "data/up": "../latest",
        "data/there-and-back": "../data/./file",
    }
    for name, target in targets.items():
        (source.root / name).symlink_to(target)
    report = fetch(fetcher, working)
    assert report.left_out == ()
    for name in targets:
        # Not Path.readlink: it would tidy up the target.
        assert os.readlink(working / name) == os.readlink(source.root / name)  # noqa: PTH115
        assert (working / name).exists()
    assert fetch(fetcher, working).left_out == (), "the same again"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "a link with an absolute target: /etc/passwd"),
        ("../elsewhere", "a link that leads out of the sandbox: ../elsewhere"),
        ("data/../../elsewhere", "leads out of the sandbox"),
        ("folder/../../elsewhere", "leads out of the sandbox"),
        ("nothing", "a link to nothing in the sandbox"),
        ("nothing/../data/file", "a link to nothing in the sandbox"),
        ("x", "a link that leads in a circle"),
        ("y", "a link that leads in a circle"),
        (".logs/x", "a link to nothing in the sandbox"),
        ("bad\x1b[31m", r"a link to nothing in the sandbox: bad\x1b[31m"),
    ],
)
def test_links_that_do_not_are_refused(
    fetcher: Fetcher, source: TreeSource, working: Path, target: str, why: str
) -> None:
    (source.root / "folder").symlink_to("data")
    (source.root / "y").symlink_to("x")
    (source.root / "x").symlink_to(target)
    (source.root / ".logs").mkdir()
    (source.root / ".logs" / "x").touch()
    left_out = dict(fetch(fetcher, working).left_out)
    assert why in left_out["x"]
    assert not (working / "x").is_symlink()


@pytest.mark.parametrize("target", ["", "a\0b", "\udcff/\ud800"])
def test_impossible_targets(fetcher: Fetcher, source: TreeSource, working: Path, target: str) -> None:
    source.extra = [Entry("x", "l", 1, 1, 0o777, 1, target), Entry("z", "l", 1, 1, 0o777, 1)]
    left_out = dict(fetch(fetcher, working).left_out)
    assert set(left_out) == {"x", "z"}
    assert not os.path.lexists(working / "x")


def test_a_link_of_ours_that_leads_out_does_not_help(
    fetcher: Fetcher, source: TreeSource, working: Path, tmp_path: Path
) -> None:
    """Where the sandbox has a directory, the working directory has a link to a place outside."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    (working / "data").symlink_to(tmp_path / "secret")
    (source.root / "x").symlink_to("data/file")
    (source.root / "y").symlink_to("data/../data/file")
    left_out = dict(fetch(fetcher, working).left_out)
    assert "the symbolic link data is" in left_out["x"]
    assert "the symbolic link data is" in left_out["y"]
    assert not os.path.lexists(working / "x")
    assert (tmp_path / "secret" / "file").read_text() == "secret"


def test_links_take_the_place_of_files_but_not_of_directories(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    (source.root / "a").symlink_to("data/file")
    (source.root / "b").symlink_to("data/file")
    (working / "a").write_text("old")
    (working / "b").mkdir()
    left_out = dict(fetch(fetcher, working).left_out)
    assert (working / "a").read_text() == "content"
    assert left_out == {"b": "a directory named b is in the way"}


def test_links_that_were_sent_do_not_come_back(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    (working / "data").mkdir()
    (working / "data" / "file").write_text("content")
    for name in ("same", "other"):
        (working / name).symlink_to("data/file")
    snapshot = take(working, SystemClock().now())
    (source.root / "same").symlink_to("data/file")
    (source.root / "other").symlink_to("data")
    (working / "same").unlink()  # the user removed it meanwhile
    fetcher.fetch(TREE, working, snapshot, job_id=1)
    assert not (working / "same").is_symlink()
    assert (working / "other").is_dir()


def test_rules_hold_for_links(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    for name in ("a", "b"):
        (source.root / name).symlink_to("data/file")
    fetch(fetcher, working, OutputRules(exclude=(("a",),)))
    assert {path.name for path in working.iterdir()} == {"b", "data"}


def test_what_is_no_file_or_link(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    os.mkfifo(source.root / "pipe")
    source.extra = [Entry(kind, kind, 0, 1, 0o7777, 1) for kind in "bcs?"]
    source.extra += [Entry("a\nb\x1b[2J", "p", 0, 1, 0, 1)]
    left_out = dict(fetch(fetcher, working).left_out)
    assert set(left_out) == {"pipe", *"bcs?", "a\nb\x1b[2J"}
    assert {path.name for path in working.iterdir()} == {"data"}

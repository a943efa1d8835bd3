"""A fetch into a directory of the working directory, one of several of the same job."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import AlreadyExists, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.inputs.snapshot import SentDirectory, SentFile, SentLink, Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport, give_up
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from tests.support.tree_source import TREE, TreeSource

EMPTY = Snapshot(taken_at=1.7e9)
MIB = 1024 * 1024
INTO = "nodes/n2"
NUMBER = layout.fetch_number(1, node=2)


def fetch(
    fetcher: Fetcher, working: Path, snapshot: Snapshot = EMPTY, rules: OutputRules | None = None
) -> FetchReport:
    return fetcher.fetch(
        TREE, working, snapshot, job_id=NUMBER, rules=rules or OutputRules(), into=INTO, keep=True
    )


def names(working: Path) -> set[str]:
    return {str(path.relative_to(working)) for path in working.rglob("*") if not path.is_dir()}


def test_files_have_their_names_below_it(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    (source.root / "in").write_text("as it was sent")
    (source.root / "deep").mkdir()
    (source.root / "deep" / "one.dat").write_text("one")
    (source.root / "two.txt").write_text("two")
    (source.root / "link").symlink_to("deep/one.dat")
    found = (source.root / "in").stat()
    snapshot = Snapshot(taken_at=2e9, files=(SentFile("in", found.st_size, found.st_mtime_ns, 0o644),))
    working.chmod(0o750)
    report = fetch(fetcher, working, snapshot, OutputRules(include=(("deep/*.dat", "/two.txt", "link"),)))
    assert (report.files, report.size, report.excluded) == (2, 6, 0)
    assert names(working) == {
        *("nodes/n2/deep/one.dat", "nodes/n2/two.txt", "nodes/n2/link"),
        layout.manifest_name(NUMBER),
    }
    assert (working / "nodes/n2/link").read_text() == "one"
    assert [(working / name).stat().st_mode & 0o777 for name in ("nodes", INTO)] == [0o750, 0o750]


def test_what_has_come_is_remembered_until_all_have(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    (source.root / "one").write_text("one")
    fetch(fetcher, working)
    source.asked.clear()
    report = fetch(fetcher, working)
    assert (report.files, report.present, report.size) == (0, 1, 3)
    assert not source.asked
    fetcher.fetch(TREE, working, EMPTY, job_id=NUMBER, into=INTO)
    assert names(working) == {"nodes/n2/one"}


def test_fetches_of_one_job_leave_each_other_alone(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    (source.root / "big").write_bytes(b"x" * 4 * MIB)
    source.breaks = {"big": 3 * MIB}
    for number, into in ((1, ""), (NUMBER, INTO)) * 2:
        with pytest.raises(TransferError, match="broke"):
            fetcher.fetch(TREE, working, EMPTY, job_id=number, into=into)
    source.breaks = {}
    source.asked.clear()
    fetcher.fetch(TREE, working, EMPTY, job_id=1)
    fetcher.fetch(TREE, working, EMPTY, job_id=NUMBER, into=INTO)
    assert source.asked == {("big", 3 * MIB): 2}
    assert names(working) == {"big", "nodes/n2/big"}


def test_giving_up(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    (source.root / "big").write_bytes(b"x" * 4 * MIB)
    (source.root / "one").write_text("one")
    source.breaks = {"big": 3 * MIB}
    with pytest.raises(TransferError):
        fetch(fetcher, working)
    assert give_up(working, NUMBER, "nodes/none") == (1, 3)
    assert give_up(working, NUMBER, INTO) == (0, 0)
    assert names(working) == {"nodes/n2/one"}
    assert not (working / "nodes/none").exists()


def test_nothing_that_comes_leaves_nothing(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    assert source.entries("") == []
    assert fetch(fetcher, working).files == 0
    assert list(working.iterdir()) == []
    (working / "nodes").mkdir()
    (working / "nodes" / "kept").touch()
    fetch(fetcher, working)
    assert names(working) == {"nodes/kept"}


@pytest.mark.parametrize("way", ["nodes", "nodes/n2"])
def test_it_does_not_lead_out(
    fetcher: Fetcher, source: TreeSource, working: Path, tmp_path: Path, way: str
) -> None:
    (source.root / "one").write_text("one")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (working / way).parent.mkdir(exist_ok=True)
    (working / way).symlink_to(elsewhere)
    with pytest.raises(UnsafePath, match=f"symbolic link {way} is in the way"):
        fetch(fetcher, working)
    assert give_up(working, NUMBER, INTO) == (0, 0)
    assert list(elsewhere.iterdir()) == []
    (working / way).unlink()
    (working / way).touch()
    with pytest.raises(AlreadyExists, match=f"{way} is in the way and is not a directory"):
        fetch(fetcher, working)


def test_a_job_that_has_something_of_that_name(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    def taken(snapshot: Snapshot = EMPTY, rules: OutputRules | None = None) -> bool:
        return fetcher.fetch(TREE, working, snapshot, job_id=1, rules=rules or OutputRules()).has_nodes

    (source.root / "nodes2").touch()
    assert not taken()
    assert taken(Snapshot(2e9, files=(SentFile("nodes", 1, 1, 0o644),)))
    assert taken(Snapshot(2e9, links=(SentLink("nodes", "nodes2"),)))
    assert taken(Snapshot(2e9, left_out=(("nodes", "the link leads nowhere"),)))
    (source.root / "nodes").mkdir()
    assert taken()
    assert not taken(Snapshot(2e9, directories=(SentDirectory("nodes", 0o755),)))
    (source.root / "nodes" / "file").touch()
    assert taken(Snapshot(2e9, directories=(SentDirectory("nodes", 0o755),)))
    assert not taken(rules=OutputRules(exclude=(("nodes/",),)))


def test_limits_are_for_all_of_them_together(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    for name, size in (("a", 10), ("b", 20), ("c", 30)):
        (source.root / name).write_bytes(b"x" * size)
    report = fetch(fetcher, working, rules=OutputRules(files=4, used_files=2))
    assert report.left_out == (("c", "more than the 4 files that a job may have"),)
    report = fetch(fetcher, working, rules=OutputRules(total_bytes=100, used_bytes=75))
    assert [name for name, _ in report.left_out] == ["b", "c"]
    assert "over the 100 bytes" in report.left_out[0][1]

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import StagingError, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.inputs.archive import ENDING_BYTES, Member, ending, idle, stream
from airavata_mesos_plugin.sandbox.inputs.snapshot import take

MOMENT = 1_600_000_000_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def fill(root: Path) -> None:
    (root / "sub" / "hollow").mkdir(parents=True)
    (root / "sub" / ("long " * 30)).mkdir()
    (root / "sub" / ("long " * 30) / ("x" * 200)).write_bytes(b"deep")
    (root / "sub" / "link").symlink_to("../empty")
    (root / "empty").write_bytes(b"")
    (root / "block").write_bytes(b"b" * 512)
    (root / "large").write_bytes(os.urandom(300_001))
    (root / os.fsdecode(b"bytes \xff\n'\"$(x)")).write_bytes(b"odd")
    (root / "grüße 🙂").write_bytes(b"utf-8")
    (root / "-rf").write_bytes(b"dash")
    (root / "tool").write_bytes(b"#!/bin/sh\n")
    (root / "tool").chmod(0o751)
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(0, MOMENT))
    os.utime(root / "empty", ns=(0, -1_500_000_000))


def same(left: Path, right: Path) -> None:
    names = {os.fsencode(path.relative_to(left)) for path in left.rglob("*")}
    assert {os.fsencode(path.relative_to(right)) for path in right.rglob("*")} == names
    for raw in names:
        one, two = left / os.fsdecode(raw), right / os.fsdecode(raw)
        assert one.is_symlink() == two.is_symlink()
        if one.is_symlink():
            assert one.readlink() == two.readlink()
            continue
        assert one.stat().st_mode == two.stat().st_mode
        if one.is_file():
            assert one.read_bytes() == two.read_bytes()
            assert one.stat().st_mtime_ns == two.stat().st_mtime_ns


@pytest.mark.parametrize("chunk", [1, 700, 65536, 1024 * 1024])
def test_tar_unpacks_the_very_same_tree_twice(root: Path, tmp_path: Path, chunk: int) -> None:
    fill(root)
    target = tmp_path / "target"
    target.mkdir()
    archive = b"".join(stream(root, take(root, 1.7e9), chunk=chunk))
    digest = hashlib.sha256(idle() + archive).hexdigest()
    archive = idle() + archive + ending(digest)
    assert hashlib.sha256(archive[:-ENDING_BYTES]).hexdigest() == digest
    for _ in range(2):
        done = subprocess.run(
            [shutil.which("tar") or "tar", "-xf", "-", "-C", str(target)],
            input=archive,
            capture_output=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            check=True,
        )
        assert b"hdrcharset" in done.stderr or not done.stderr
        assert (target / layout.DIGEST_FILE).read_text() == f"{digest}\n"
        shutil.rmtree(target / layout.CONTROL_DIRECTORY)
        same(root, target)


def test_python_reads_it_too(root: Path) -> None:
    fill(root)
    archive = tarfile.open(fileobj=io.BytesIO(b"".join(stream(root, take(root, 1.7e9)))), encoding="utf-8")  # noqa: SIM115
    with archive:
        members = {member.name: member for member in archive.getmembers()}
    assert members["block"].size == 512
    assert (members["block"].uid, members["block"].gid) == (0, 0)
    assert members["sub/link"].linkname == "../empty"
    assert members["sub/hollow"].isdir()


def test_own_members_come_first(root: Path) -> None:
    (root / "file").write_bytes(b"x")
    extra = [Member(".airavata-mesos/run.sh", b"#!/bin/bash\n", 0o755), Member(".airavata-mesos/script", b"")]
    data = b"".join(stream(root, take(root, 1.7e9), extra))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [
            ".airavata-mesos/run.sh",
            ".airavata-mesos/script",
            "file",
        ]
        assert members[0].mode == 0o755
        content = archive.extractfile(members[0])
        assert content is not None
        assert content.read() == b"#!/bin/bash\n"
    with pytest.raises(UnsafePath):
        list(stream(root, take(root, 0), [Member("../x", b"")]))


def test_pieces_are_put_together_and_repeatable(root: Path) -> None:
    for number in range(100):
        (root / f"f{number}").write_bytes(b"x")
    (root / "large").write_bytes(b"y" * 100_000)
    snapshot = take(root, 1.7e9)
    pieces = list(stream(root, snapshot, chunk=20_000))
    assert all(len(piece) >= 20_000 for piece in pieces[:-1])
    assert max(len(piece) for piece in pieces) <= 60_000
    assert b"".join(stream(root, snapshot, chunk=20_000)) == b"".join(pieces)


def test_it_begins_anywhere(root: Path) -> None:
    fill(root)
    snapshot, extra = take(root, 1.7e9), [Member("own", b"o" * 600)]
    whole = b"".join(stream(root, snapshot, extra))
    edges = {0, 1, 511, 512, 513, 1535, 1536, 1537, len(whole) - 1, len(whole), len(whole) + 9}
    for start in edges | set(range(0, len(whole), 7919)):
        assert b"".join(stream(root, snapshot, extra, 10_000, start=start)) == whole[start:]


def test_what_lies_before_the_beginning_is_not_read(root: Path) -> None:
    (root / "a").write_bytes(b"x" * 100_000)
    (root / "b").write_bytes(b"y" * 100_000)
    snapshot = take(root, 1.7e9)
    assert [file.name for file in snapshot.files] == ["a", "b"]
    whole = b"".join(stream(root, snapshot))
    (root / "a").unlink()
    assert b"".join(stream(root, snapshot, start=110_000)) == whole[110_000:]
    with pytest.raises(StagingError, match="the input a can no longer be read"):
        read_all(stream(root, snapshot, start=100_000))
    (root / "b").write_bytes(b"z" * 100_001)
    with pytest.raises(StagingError, match="the input b was changed"):
        read_all(stream(root, snapshot, start=150_000))


def test_a_file_of_more_than_8_gib(root: Path) -> None:
    size = 9 * 2**30
    with (root / "huge").open("wb") as file:
        file.truncate(size)
        file.seek(size - 3)
        file.write(b"end")
    (root / "later").write_bytes(b"l")
    snapshot = take(root, 1.7e9)
    head = next(stream(root, snapshot, chunk=4096))
    with tarfile.open(fileobj=io.BytesIO(head)) as archive:
        assert archive.next().size == size  # type: ignore[union-attr]
    headers = head.index(b"huge\0", 512) + 512
    tail = b"".join(stream(root, snapshot, start=headers + size - 3))
    assert tail.startswith(b"end")
    with tarfile.open(fileobj=io.BytesIO(tail[3:] + ending("0"))) as archive:
        assert archive.getnames() == ["later", layout.DIGEST_FILE]


def test_no_more_is_held_than_a_few_pieces(root: Path) -> None:
    """However large a file is: what is between reading and sending is bounded by the size of a piece."""
    (root / "large").touch()
    os.truncate(root / "large", 64 * 2**20)
    pieces = stream(root, take(root, 1.7e9), chunk=2**20)
    next(pieces)
    tracemalloc.start()
    try:
        read_all(pieces)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def read_all(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def test_a_file_that_was_touched(root: Path) -> None:
    (root / "in\nput").write_bytes(b"x")
    snapshot = take(root, 0)
    os.utime(root / "in\nput", ns=(0, MOMENT))
    with pytest.raises(StagingError, match=r"the input in\\nput was changed after the job was submitted"):
        read_all(stream(root, snapshot))


def test_a_file_that_vanished(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "input").write_bytes(b"x")
    snapshot = take(root, 0)
    (root / "sub" / "input").unlink()
    with pytest.raises(StagingError, match="the input sub/input can no longer be read: No such file"):
        read_all(stream(root, snapshot))
    (root / "sub").rmdir()
    with pytest.raises(StagingError, match="the input sub/input can no longer be read"):
        read_all(stream(root, snapshot))
    root.rmdir()
    with pytest.raises(StagingError, match="cannot read the working directory"):
        read_all(stream(root, snapshot))


@pytest.mark.parametrize("size", [3_000_000, 5_000_000])
def test_a_file_that_changes_while_it_is_sent(root: Path, size: int) -> None:
    (root / "input").write_bytes(b"x" * 4_000_000)
    pieces = stream(root, take(root, 0), chunk=100_000)
    next(pieces)
    os.truncate(root / "input", size)
    with pytest.raises(StagingError, match="the input input was changed"):
        read_all(pieces)


def test_a_file_swapped_for_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    (root / "input").write_bytes(b"y")
    for path in (secret, root / "input"):
        os.utime(path, ns=(0, MOMENT))
    snapshot = take(root, 0)
    (root / "input").unlink()
    (root / "input").symlink_to(secret)
    with pytest.raises(StagingError, match="input is a symbolic link"):
        read_all(stream(root, snapshot))


def test_a_directory_swapped_for_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    for top in (root / "sub", tmp_path / "elsewhere"):
        top.mkdir()
        (top / "input").write_bytes(b"x")
        os.utime(top / "input", ns=(0, MOMENT))
    snapshot = take(root, 0)
    (root / "sub").rename(tmp_path / "away")
    (root / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StagingError, match="the symbolic link sub is in the way"):
        read_all(stream(root, snapshot))


def test_content_of_a_link_to_the_outside(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_bytes(b"shared data")
    other = tmp_path / "other"
    other.write_bytes(b"other bytes")
    for path in (shared, other):
        os.utime(path, ns=(0, MOMENT))
    (root / "link").symlink_to(shared)
    snapshot = take(root, 0)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(root, snapshot)))) as archive:
        member = archive.getmember("link")
        assert member.isreg()
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"shared data"
    other.rename(shared)  # same size, same time, another file
    with pytest.raises(StagingError, match="the input link was changed"):
        read_all(stream(root, snapshot))
    shared.unlink()
    shared.symlink_to(tmp_path / "root")
    with pytest.raises(StagingError, match="can no longer be read"):
        read_all(stream(root, snapshot))


def test_an_empty_file_that_grew(root: Path) -> None:
    (root / "input").write_bytes(b"")
    snapshot = take(root, 0)
    (root / "input").write_bytes(b"late")
    with pytest.raises(StagingError, match="the input input was changed"):
        read_all(stream(root, snapshot))

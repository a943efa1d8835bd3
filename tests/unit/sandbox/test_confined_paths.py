from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import AlreadyExists, UnsafePath
from airavata_mesos_plugin.sandbox.paths import Root, components, create_at, escape, rename_at

COMPONENT = st.binary(min_size=1, max_size=20).filter(
    lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b"..")
)
NAMES = st.lists(COMPONENT, min_size=1, max_size=5).map(lambda parts: os.fsdecode(b"/".join(parts)))


@given(NAMES)
def test_every_name_that_stays_inside_is_accepted(name: str) -> None:
    assert "/".join(components(name)) == name


@given(st.one_of(st.text(), st.text(alphabet="./a\0", max_size=8)))
def test_no_accepted_name_leads_out(name: str) -> None:
    try:
        parts = components(name)
    except UnsafePath:
        return
    assert not name.startswith("/")
    assert "\0" not in name
    assert not {"", ".", ".."} & set(parts)
    assert os.path.normpath(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc", "..", "../x", "a/..", "a/../b", ".", "./a", "a/.", "a//b", "a/", "a\0b", "\ud800"],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        components(name)


@given(st.text())
def test_an_escaped_name_is_printable_and_unique(name: str) -> None:
    shown = escape(name)
    assert shown.isprintable()
    if shown == name:
        assert "\\" not in name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.txt", "plain name.txt"),
        ("grüße", "grüße"),
        ("a\nb\tc\rd\x1b[31m", "a\\nb\\tc\\rd\\x1b[31m"),
        ("back\\nslash", "back\\\\nslash"),
        (os.fsdecode(b"\xff"), "\\xff"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_escape(name: str, shown: str) -> None:
    assert escape(name) == shown


@pytest.fixture
def root_path(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return path


def test_directories_are_made_on_the_way(root_path: Path) -> None:
    modes = {"a": 0o700, "a/b": 0o750}
    with Root(root_path) as root, root.parent("a/b/file", modes.__getitem__) as (fd, base):
        os.close(create_at(fd, base))
    assert (root_path / "a" / "b" / "file").is_file()
    assert stat.S_IMODE((root_path / "a" / "b").stat().st_mode) == 0o750


def test_a_missing_directory_is_told(root_path: Path) -> None:
    with Root(root_path) as root, pytest.raises(FileNotFoundError), root.parent("a/file"):
        pass


@pytest.mark.parametrize("target", ["../outside", ".", "inner", "missing"])
def test_links_on_the_way_are_refused_wherever_they_lead(root_path: Path, target: str) -> None:
    (root_path / "inner").mkdir()
    (root_path / "link").symlink_to(target)
    with Root(root_path) as root:
        with pytest.raises(UnsafePath, match="the symbolic link link is in the way"), root.parent("link/x"):
            pass
        with pytest.raises(UnsafePath), root.parent("link/x", lambda _name: 0o700):
            pass
        with pytest.raises(UnsafePath):
            root.make_directory("link", lambda _name: 0o700)
        with pytest.raises(UnsafePath):
            root.open_directory("link")
        with pytest.raises(UnsafePath):
            root.remove("link/secret")
    assert (root_path.parent / "outside" / "secret").exists()


def test_a_file_on_the_way(root_path: Path) -> None:
    (root_path / "file").write_bytes(b"")
    with (
        Root(root_path) as root,
        pytest.raises(AlreadyExists, match="not a directory"),
        root.parent("file/x"),
    ):
        pass


def test_only_regular_files_are_opened(root_path: Path) -> None:
    (root_path / "file").write_bytes(b"content")
    (root_path / "link").symlink_to("../outside/secret")
    (root_path / "directory").mkdir()
    os.mkfifo(root_path / "fifo")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root_path / "socket"))
    with Root(root_path) as root:
        fd = root.open_file("file")
        assert os.read(fd, 100) == b"content"
        os.close(fd)
        for name in ("link", "directory", "fifo", "socket"):
            with pytest.raises(UnsafePath):
                root.open_file(name)
        with pytest.raises(FileNotFoundError):
            root.open_file("missing")
    server.close()


def test_create_does_not_follow_or_reuse(root_path: Path) -> None:
    (root_path / "link").symlink_to("../outside/new")
    (root_path / "file").write_bytes(b"x")
    with Root(root_path) as root, root.parent("x") as (fd, _):
        for name in ("link", "file"):
            with pytest.raises(FileExistsError):
                create_at(fd, name)
    assert not (root_path.parent / "outside" / "new").exists()


def test_rename_replaces_a_link_but_no_directory(root_path: Path) -> None:
    (root_path / "new").write_bytes(b"new")
    (root_path / "link").symlink_to("../outside/secret")
    (root_path / "directory").mkdir()
    with Root(root_path) as root, root.parent("new") as (fd, _):
        with pytest.raises(AlreadyExists, match="a directory named directory"):
            rename_at(fd, "new", "directory")
        rename_at(fd, "new", "link")
    assert (root_path / "link").read_bytes() == b"new"
    assert (root_path.parent / "outside" / "secret").read_bytes() == b"secret"


def test_remove_is_repeatable_and_takes_the_link_only(root_path: Path) -> None:
    (root_path / "link").symlink_to("../outside/secret")
    with Root(root_path) as root:
        root.remove("link")
        root.remove("link")
    assert not (root_path / "link").is_symlink()
    assert (root_path.parent / "outside" / "secret").exists()


def test_no_descriptor_is_left_open(root_path: Path) -> None:
    (root_path / "a" / "b").mkdir(parents=True)
    (root_path / "a" / "link").symlink_to("b")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Root(root_path) as root:
        for name in ("a/b/file", "a/link/file", "a/missing/file"):
            try:
                with root.parent(name):
                    pass
            except (UnsafePath, FileNotFoundError):
                continue
        root.make_directory("a/b/c", lambda _name: 0o700)
    root.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before

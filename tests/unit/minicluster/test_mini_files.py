"""Virtual paths, hostile ones too, and the JSON of browse and read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airavata_mesos_plugin.minicluster.mesos.files import (
    READ_LIMIT,
    Attached,
    FilesError,
    IsFifo,
    browse,
    read_json,
)

VIRTUAL = "/frameworks/F/executors/E/runs/latest"


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    made = tmp_path / "sandbox"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_text("hello")
    (made / "sub" / "b").write_text("b")
    (made / "inside").symlink_to("sub/b")
    (made / "dangling").symlink_to("nowhere")
    (made / "up").symlink_to("..")
    (made / "loop").symlink_to("loop")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sandbox-next").mkdir()
    (tmp_path / "sandbox-next" / "x").write_text("x")
    (made / "out").symlink_to(tmp_path / "secret")
    (made / "next").symlink_to(tmp_path / "sandbox-next" / "x")
    return made


@pytest.fixture
def attached(sandbox: Path) -> Attached:
    found = Attached()
    found.attach(VIRTUAL, sandbox)
    found.attach(str(sandbox), sandbox)
    return found


def refused(attached: Attached, virtual: str) -> FilesError:
    with pytest.raises(FilesError) as caught:
        attached.resolve(virtual)
    return caught.value


@pytest.mark.parametrize("suffix", ["", "/", "/a.txt", "/sub/b", "/sub//b", "/sub/../a.txt", "/./a.txt"])
def test_paths_inside(attached: Attached, sandbox: Path, suffix: str) -> None:
    assert attached.resolve(VIRTUAL + suffix) == os.path.realpath(f"{sandbox}{suffix}")
    assert attached.resolve(f"{sandbox}{suffix}") == os.path.realpath(f"{sandbox}{suffix}")


def test_links_inside_are_followed(attached: Attached, sandbox: Path) -> None:
    assert attached.resolve(f"{VIRTUAL}/inside") == str(sandbox / "sub" / "b")


@pytest.mark.parametrize(
    "suffix", ["/..", "/../secret", "/out", "/up/secret", "/sub/../../secret", "/next", "/../sandbox-next/x"]
)
def test_what_leads_outside_is_400_and_names_the_real_path(attached: Attached, suffix: str) -> None:
    error = refused(attached, VIRTUAL + suffix)
    assert error.status == 400
    assert error.text.endswith("is inaccessible.\n")


@pytest.mark.parametrize(
    "virtual",
    [
        f"{VIRTUAL}/missing", f"{VIRTUAL}/dangling", f"{VIRTUAL}/a.txt/x",
        f"{VIRTUAL}/../nothing", f"{VIRTUAL}/a\0b", f"{VIRTUAL}x/a.txt", "/", "//", "/etc/passwd",
        "etc", "..", "/../../etc",
        "/frameworks/F", "/frameworks/../frameworks/F/executors/E/runs/latest", f"{VIRTUAL}/\udcff",
    ],
)  # fmt: skip
def test_what_is_not_there_or_not_attached_is_404_without_text(attached: Attached, virtual: str) -> None:
    error = refused(attached, virtual)
    assert (error.status, error.text) == (404, "")


def test_no_path_is_400(attached: Attached) -> None:
    assert refused(attached, "").status == 400


def test_detached_paths_are_gone(attached: Attached) -> None:
    attached.detach(VIRTUAL)
    attached.detach(VIRTUAL)
    assert refused(attached, VIRTUAL).status == 404


def test_browse_lists_virtual_paths_sorted_with_links_followed(sandbox: Path) -> None:
    (sandbox / "a.txt").chmod(0o640)
    found = {entry["path"]: entry for entry in browse(str(sandbox), "/v/")}
    assert list(found) == ["/v/a.txt", "/v/inside", "/v/next", "/v/out", "/v/sub", "/v/up"]
    assert (found["/v/a.txt"]["size"], found["/v/a.txt"]["mode"]) == (5, "-rw-r-----")
    assert found["/v/inside"]["mode"].startswith("-")
    assert found["/v/sub"]["mode"].startswith("d")
    assert isinstance(found["/v/a.txt"]["uid"], str)
    assert browse(str(sandbox / "a.txt"), "/v/a.txt") == []


def read(path: Path, offset: str | None = None, length: str | None = None) -> dict[str, object]:
    body = read_json(str(path), offset, length)
    decoded = json.loads(body.decode("latin-1"))
    assert isinstance(decoded, dict)
    return decoded


def test_read_offsets_and_lengths(sandbox: Path) -> None:
    path = sandbox / "a.txt"
    assert read(path) == {"data": "", "offset": 5}
    assert read(path, "-1", "3") == {"data": "", "offset": 5}
    assert read(path, "0") == {"data": "hello", "offset": 0}
    assert read(path, "1", "3") == {"data": "ell", "offset": 1}
    assert read(path, "1", "-1") == {"data": "ello", "offset": 1}
    assert read(path, "1", "0") == {"data": "", "offset": 1}
    assert read(path, "5") == {"data": "", "offset": 5}
    assert read(path, str(2**63 - 1)) == {"data": "", "offset": 2**63 - 1}
    assert read(path, "+1") == read(path, "0x1") == {"data": "ello", "offset": 1}


@pytest.mark.parametrize("number", ["-2", "x", "", "1.5", "1_0", " 1", "9" * 5000, "\u0661", str(2**63)])
def test_numbers_that_are_refused_as_offset_or_length(sandbox: Path, number: str) -> None:
    for offset, length in ((number, None), ("0", number)):
        with pytest.raises(FilesError) as caught:
            read_json(str(sandbox / "a.txt"), offset, length)
        assert caught.value.status == 400


def test_reads_are_capped_and_bytes_survive(sandbox: Path) -> None:
    every = bytes(range(256)) * 400
    (sandbox / "bytes").write_bytes(every)
    first = read(sandbox / "bytes", "0", "1000000")["data"]
    assert isinstance(first, str)
    assert first.encode("latin-1") == every[:READ_LIMIT]
    assert len(first) == READ_LIMIT == 65536
    raw = read_json(str(sandbox / "bytes"), "254", "2")
    assert raw == b'{"data":"\xfe\xff","offset":254}'


@pytest.mark.parametrize("suffix", ["/loop", "/" + "x" * 300])
def test_a_path_that_the_system_does_not_take_is_400_and_names_the_reason(
    attached: Attached, suffix: str
) -> None:
    error = refused(attached, VIRTUAL + suffix)
    assert error.status == 400
    assert error.text.startswith("Failed to determine canonical path of")


def test_a_path_ends_at_its_first_nul(attached: Attached) -> None:
    assert attached.resolve(f"{VIRTUAL}/a.txt\0b") == attached.resolve(f"{VIRTUAL}/a.txt")


def test_only_regular_files_are_read(sandbox: Path) -> None:
    with pytest.raises(FilesError) as caught:
        read_json(str(sandbox / "sub"), "0", None)
    assert caught.value.status == 400
    os.mkfifo(sandbox / "pipe")
    with pytest.raises(IsFifo):
        read_json(str(sandbox / "pipe"), "0", None)

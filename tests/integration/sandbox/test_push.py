"""Archives that agents send: taken whole or not at all, unpacked under the rules of every other output."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import NotReady, ProtocolError, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot, take
from airavata_mesos_plugin.sandbox.layout import pushed_archive
from airavata_mesos_plugin.sandbox.origins import PUSH, push_details
from airavata_mesos_plugin.sandbox.outputs import push, tar_index
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress

NAME = pushed_archive(12, 1)


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    fetcher = Fetcher(FetchSettings(), SystemClock())
    yield fetcher
    fetcher.close()


def archive(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def pieces(content: bytes, size: int = 1000) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def unpack(fetcher: Fetcher, working: Path, before: Snapshot | None = None) -> FetchReport:
    origin = Origin(PUSH, SandboxAddress("", ""), push_details(str(working), 12, 1))
    return fetcher.fetch(origin, working, before or Snapshot(0), job_id=12)


def files(working: Path) -> dict[str, str]:
    return {
        str(path.relative_to(working)): path.read_text()
        for path in working.rglob("*")
        if path.is_file() and ".airavata-mesos" not in path.parts
    }


def test_what_gnu_tar_packs_comes_as_it_was(fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    (sandbox / ".airavata-mesos").mkdir()
    (sandbox / ".airavata-mesos/result").write_text("exit_code=4\nstarted_at=1\nended_at=2\n")
    odd = os.fsdecode(b"odd\xff\n name")
    long = "l" * 200
    (sandbox / "deep" / long).mkdir(parents=True)
    (sandbox / "deep" / long / odd).write_text("odd")
    os.utime(sandbox / "deep" / long / odd, (1_500_000_000, 1_500_000_000))
    (sandbox / "hollow").mkdir()
    (sandbox / "tool").write_text("tool")
    (sandbox / "tool").chmod(0o4750)
    os.link(sandbox / "tool", sandbox / "same tool")
    (sandbox / "inside").symlink_to("tool")
    (sandbox / "outside").symlink_to("/etc/passwd")
    os.mkfifo(sandbox / "fifo")
    with (sandbox / "large").open("wb") as file:
        file.truncate(3_000_000)
    packed = subprocess.run(
        ["tar", "--create", "--file=-", "--format=pax", "--hard-dereference", "."],
        cwd=sandbox,
        capture_output=True,
        check=True,
    ).stdout
    assert push.receive(str(working), NAME, pieces(packed, 100_000)) == ""
    report = unpack(fetcher, working)
    assert report.result is not None
    assert report.result.exit_code == 4
    assert (working / "deep" / long / odd).read_text() == "odd"
    assert (working / "deep" / long / odd).stat().st_mtime == 1_500_000_000
    assert (working / "hollow").is_dir()
    assert (working / "tool").stat().st_mode & 0o7777 == 0o750
    assert (working / "same tool").read_text() == "tool"
    assert (working / "inside").readlink() == Path("tool")
    assert (working / "large").stat().st_size == 3_000_000
    assert sorted(name for name, _ in report.left_out) == ["fifo", "outside"]
    push.discard(str(working), [NAME])
    assert not [path for path in working.iterdir() if path.name.startswith(".")]


def test_inputs_that_did_not_change_stay(fetcher: Fetcher, working: Path) -> None:
    (working / "input").write_text("same")
    os.utime(working / "input", (1_500_000_000, 1_500_000_000))
    before = take(working, 1_600_000_000)
    number = (working / "input").stat().st_ino
    info = tarfile.TarInfo("./input")
    info.size, info.mtime = 4, 1_500_000_000
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(info, io.BytesIO(b"same"))
    push.receive(str(working), NAME, [made.getvalue()])
    unpack(fetcher, working, before)
    assert (working / "input").stat().st_ino == number


@pytest.mark.parametrize("cut", [0, 1, 600, 3000, 6656, 7168])
def test_an_archive_that_breaks_off_is_not_taken(fetcher: Fetcher, working: Path, cut: int) -> None:
    whole = archive(("a", b"a" * 5000), ("b", b"b"))
    with pytest.raises(ProtocolError):
        push.receive(str(working), NAME, pieces(whole[:cut]))
    assert not list((working / ".airavata-mesos").iterdir())
    with pytest.raises(NotReady, match="has not sent"):
        unpack(fetcher, working)


def test_a_second_time_replaces_the_first(fetcher: Fetcher, working: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield archive(("a", b"half"))[:700]
        raise TransferError("the agent broke off")

    push.receive(str(working), NAME, [archive(("a", b"first"))])
    with pytest.raises(TransferError, match="broke off"):
        push.receive(str(working), NAME, breaks())
    unpack(fetcher, working)
    assert files(working) == {"a": "first"}
    push.receive(str(working), NAME, [archive(("a", b"second one"))])
    unpack(fetcher, working)
    assert files(working) == {"a": "second one"}


def test_names_and_links_that_lead_out(fetcher: Fetcher, working: Path, tmp_path: Path) -> None:
    hostile = archive(
        ("../climbs", b"x"),
        (str(tmp_path / "absolute"), b"x"),
        ("a/../../climbs", b"x"),
        special("link", tarfile.SYMTYPE, str(tmp_path)),
        ("link/through", b"x"),
        special("hard", tarfile.LNKTYPE, "/etc/passwd"),
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
        (".airavata-mesos/run.sh", b"x"),
        (".a.airavata-part-12", b"x"),
        ("good", b"good"),
        ("new/er/good", b"good"),
    )
    push.receive(str(working), NAME, pieces(hostile))
    report = unpack(fetcher, working)
    assert files(working)["good"] == "good"
    assert files(working)["new/er/good"] == "good"
    assert not (working / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["working"]
    assert {"link", "hard", "device", "pipe"} <= {name for name, _ in report.left_out}
    assert (working / ".airavata-mesos").is_dir()
    assert not (working / ".airavata-mesos/run.sh").exists()


def test_a_link_in_the_place_of_our_folder_is_not_followed(working: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (working / ".airavata-mesos").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath):
        push.receive(str(working), NAME, [archive(("a", b"a"))])
    push.discard(str(working), [NAME])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_headers_that_claim_too_much(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extended header may be as large as the archive; nobody needs to hold that."""
    head = special("x", tarfile.XHDTYPE)
    head.size = 2 * tar_index.EXTENDED_LIMIT
    bomb = head.tobuf(tarfile.USTAR_FORMAT) + bytes(head.size) + bytes(1024)
    with pytest.raises(ProtocolError, match="extended header"):
        push.receive(str(working), NAME, pieces(bomb, 1_000_000))
    for record in (b"9999999 path=a\n", b"x path=a\n", b"3 a", b"14 size=-1234\n", b"16 size=9999999\n"):
        head = special("x", tarfile.XHDTYPE)
        head.size = len(record)
        made = head.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
        with pytest.raises(ProtocolError):
            push.receive(str(working), NAME, [made + archive(("a", b"a"))])
    damaged = bytearray(archive(("a", b"a")))
    damaged[0] ^= 1
    with pytest.raises(ProtocolError, match="damaged"):
        push.receive(str(working), NAME, [bytes(damaged)])
    monkeypatch.setattr(tar_index, "MOST_MEMBERS", 10)
    with pytest.raises(ProtocolError, match="more than 10"):
        push.receive(str(working), NAME, [archive(*[(f"f{n}", b"") for n in range(11)])])


def test_what_a_failed_stage_in_said(working: Path) -> None:
    made = archive((".logs/stage_in/0/stderr", b"first"), (".logs/stage_in/10/stderr", b"last"))
    assert push.receive(str(working), NAME, [made]) == "last"


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="cannot open"):
        push.receive(str(tmp_path / "gone"), NAME, [archive(("a", b"a"))])

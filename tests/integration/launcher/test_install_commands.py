"""Writing the command files."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.slurm import install
from airavata_mesos_plugin.slurm.session import COMMANDS


def test_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "bin"
    files = install.install(directory, tmp_path / "s")
    assert [file.name for file in files] == list(COMMANDS)
    names = [path.name for path in directory.iterdir()]
    assert sorted(name for name in names if not name.startswith(".")) == sorted(COMMANDS)
    assert sorted(name.split(".")[1] for name in names if name.startswith(".")) == sorted(COMMANDS)
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o755
        first = file.read_bytes().split(b"\n", 1)[0].decode()
        interpreter = first.removeprefix("#!").removesuffix(" -IS")
        assert os.path.realpath(interpreter) == interpreter
        assert Path(interpreter).read_bytes()[:4] == b"\x7fELF"
        assert not Path(interpreter).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_a_repeat_replaces(tmp_path: Path) -> None:
    install.install(tmp_path / "bin", tmp_path / "one")
    before = (tmp_path / "bin" / "squeue").stat().st_ino
    install.install(tmp_path / "bin", tmp_path / "two")
    assert (tmp_path / "bin" / "squeue").stat().st_ino != before
    done = subprocess.run([tmp_path / "bin" / "squeue"], capture_output=True, text=True, check=False)
    assert f"does not answer at {tmp_path / 'two'} " in done.stderr


def test_next_to_nothing_is_imported(tmp_path: Path) -> None:
    """Beyond what a bare interpreter has: the socket module in C, and nothing that is read as Python."""
    (file,) = [f for f in install.install(tmp_path / "bin", tmp_path / "s") if f.name == "squeue"]
    interpreter = file.read_bytes().split(b"\n", 1)[0].decode().removeprefix("#!").removesuffix(" -IS")

    def imported(*arguments: str) -> set[str]:
        done = subprocess.run(
            [interpreter, "-IS", "-X", "importtime", *arguments], capture_output=True, text=True, check=False
        )
        return {line.split("|")[2].strip() for line in done.stderr.splitlines() if line.count("|") == 2}

    assert imported(str(file)) - imported("-c", "pass") <= {"_socket", "posix", "time", "marshal"}


def code_of(file: Path) -> Path:
    (code,) = file.parent.glob(f".{file.name}.*.code")
    return code


def compiled(*argv: str | Path, cwd: Path | None = None) -> bool:
    """Run a command without a daemon; whether it ran its compiled program."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 1
    if done.stderr.startswith("from the code\n"):
        return True
    assert done.stderr.startswith("sbatch: error: Batch job submission failed: Unable to contact")
    return False


@pytest.fixture
def sbatch(tmp_path: Path) -> Path:
    """A command whose compiled program says so."""
    (file, *_) = install.install(tmp_path / "bin", tmp_path / "s")
    assert file.name == "sbatch"
    source = "import posix\nposix.write(2, b'from the code\\n')\nposix._exit(1)\n"
    code_of(file).write_bytes(marshal.dumps(compile(source, "command", "exec")))
    return file


def test_the_compiled_program_is_what_runs(sbatch: Path, tmp_path: Path) -> None:
    assert compiled(sbatch)
    assert compiled("./sbatch", cwd=sbatch.parent)
    link = tmp_path / "linked"
    link.symlink_to(sbatch)
    assert compiled(link)


def test_the_readable_program_runs_without_it(sbatch: Path) -> None:
    code_of(sbatch).unlink()
    assert not compiled(sbatch)


@pytest.mark.parametrize("content", [b"", b"\xe3", b"(", b"nonsense", b"N", b"i\x01\x00\x00\x00"])
def test_the_readable_program_runs_when_it_is_damaged(sbatch: Path, content: bytes) -> None:
    code_of(sbatch).write_bytes(content)
    assert not compiled(sbatch)


def test_another_python_than_the_one_that_compiled_it(sbatch: Path) -> None:
    text = sbatch.read_bytes()
    magic = repr(importlib.util.MAGIC_NUMBER).encode()
    assert magic in text
    sbatch.write_bytes(text.replace(b"MAGIC_NUMBER != " + magic, b"MAGIC_NUMBER != b'other'"))
    assert not compiled(sbatch)


def test_no_compiled_program_of_another_directory(sbatch: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "sbatch"
    copy.parent.mkdir()
    shutil.copy(sbatch, copy)
    assert not compiled(copy)
    link = tmp_path / "links" / "sbatch"
    link.parent.mkdir()
    link.symlink_to("../elsewhere/sbatch")
    elsewhere = tmp_path / "cwd" / "elsewhere"  # where the link would lead from the current directory
    elsewhere.mkdir(parents=True)
    shutil.copy(code_of(sbatch), elsewhere)
    (tmp_path / "cwd" / "sub").mkdir()
    assert not compiled(link, cwd=tmp_path / "cwd" / "sub")


def test_old_compiled_programs_are_removed(tmp_path: Path) -> None:
    install.install(tmp_path, tmp_path / "one")
    foreign = tmp_path / ".other.0123456789abcdef.code"
    foreign.write_bytes(b"")
    old = {path.name for path in tmp_path.glob(".s*.code")}
    install.install(tmp_path, tmp_path / "two")
    new = {path.name for path in tmp_path.glob(".s*.code")}
    assert len(old) == len(new) == len(COMMANDS)
    assert not old & new
    assert foreign.exists()


def test_odd_characters_in_the_socket_path(tmp_path: Path) -> None:
    socket = tmp_path / "a 'b' \"c\" \\ \u00e4"
    (file, *_) = install.install(tmp_path / "bin", socket)
    done = subprocess.run([file], capture_output=True, text=True, check=False)
    assert f"does not answer at {socket} (No such file or directory)" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "mode", "why"),
    [
        ("missing", None, 0, "No such file"),
        ("shim", b"#!/bin/sh\nexec python3\n", 0o755, "not a program file"),
        ("with blank", b"\x7fELF", 0o755, "a blank"),
        ("x" * 250, b"\x7fELF", 0o755, "too long"),
        ("noexec", b"\x7fELF", 0o644, "not a program file"),
    ],
)
def test_interpreters_that_cannot_be_used(
    tmp_path: Path, name: str, content: bytes | None, mode: int, why: str
) -> None:
    interpreter = tmp_path / name
    if content is not None:
        interpreter.write_bytes(content)
        interpreter.chmod(mode)
    with pytest.raises(ConfigurationError, match=why):
        install.install(tmp_path / "bin", tmp_path / "s", interpreter)
    assert not (tmp_path / "bin").exists()


def test_a_program_that_is_no_python(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot run the commands"):
        install.install(tmp_path / "bin", tmp_path / "s", Path("/bin/true"))


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write the commands"):
        install.install(tmp_path / "file" / "bin", tmp_path / "s")


def test_socket_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="longer than 107 bytes"):
        install.install(tmp_path / "bin", Path("/" + "x" * 107))
    with pytest.raises(ConfigurationError, match="not absolute"):
        install.install(tmp_path / "bin", Path("s"))


@pytest.mark.parametrize(
    ("release", "limit"), [("4.19.0-x", 127), ("5.0.1", 127), ("5.1", 255), ("6.18.44-fc", 255)]
)
def test_the_kernels_limit(release: str, limit: int) -> None:
    assert install._line_limit(release) == limit

"""Write the command files that Airavata calls: small programs for a plain interpreter."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.slurm.session import COMMANDS

_OPTIONS = "-IS"
_SOCKET_LIMIT = 107
"""Bytes of a Unix socket's path on Linux, without the final NUL."""

_COMPILE = """
import _frozen_importlib_external as importlib, _socket, marshal, posix, sys, time
assert sys.version_info >= (3, 10), "it is older than Python 3.10"
sources = sys.stdin.read().split(chr(0))
codes = [compile(source, "command", "exec", dont_inherit=True, optimize=2) for source in sources]
print(repr((importlib.MAGIC_NUMBER, [marshal.dumps(code) for code in codes])))
"""

_BODY = """\
# {command} for jobs that run on Mesos. Written by airavata-mesos install-commands; do not edit.
# The readable program. Its compiled form lies beside this file, which Python loads much quicker; where that
# cannot be used, the readable one is run.
import _frozen_importlib_external, marshal, posix
SOURCE = r'''{source}'''
try:
    path = posix.readlink(__file__)
except OSError:
    path = __file__
try:
    # Only for this very Python, and only from the directory of this very file: no other is trusted.
    if _frozen_importlib_external.MAGIC_NUMBER != {magic!r} or (path != __file__ and path[:1] != "/"):
        raise ValueError
    descriptor = posix.open(path.rpartition("/")[0] + "/" + {code_name!r}, posix.O_RDONLY | posix.O_CLOEXEC)
    program = marshal.loads(posix.read(descriptor, {size}))
    posix.close(descriptor)
    program.co_name  # damaged files may hold something else
except (OSError, ValueError, EOFError, TypeError, AttributeError):
    program = SOURCE
exec(program)
"""
_CODE_NAME = re.compile(r"\.([a-z]+)\.[0-9a-f]{16}\.code")


@dataclass(frozen=True)
class _Program:
    """A command file, and the compiled program beside it, whose name says what is in it."""

    text: bytes
    code: bytes
    code_name: str


def install(directory: Path, socket: Path, interpreter: Path | None = None) -> list[Path]:
    """Write one file for each command into ``directory`` (made if missing); the paths of the files.

    The compiled programs lie beside them, as files whose names begin with a dot.

    Without ``interpreter`` it is the one below the virtual environment that runs this. Repeatable: each
    file is replaced in one step, so that a command which starts meanwhile finds the old or the new one.
    Raises ConfigurationError when the interpreter, the socket's path or the directory cannot be used.
    """
    if len(os.fsencode(socket)) > _SOCKET_LIMIT:
        raise ConfigurationError(
            f"the path of the command socket is longer than {_SOCKET_LIMIT} bytes: {socket}",
            advice="choose a shorter AIRAVATA_MESOS_HOME",
        )
    if not socket.is_absolute():
        raise ConfigurationError(f"the path of the command socket is not absolute: {socket}")
    programs = _programs(socket, _interpreter(interpreter))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for program in programs.values():
            _replace(directory / program.code_name, program.code, 0o644)
        files = [_replace(directory / name, program.text, 0o755) for name, program in programs.items()]
        _remove_old_code(directory, {program.code_name for program in programs.values()})
        return files
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the commands into {directory}: {error.strerror}",
            advice="name a directory that you may write to",
        ) from error


def _interpreter(given: Path | None) -> Path:
    """The real file of the interpreter, fit to stand in a first line. Raises ConfigurationError."""
    named = given or Path(getattr(sys, "_base_executable", "") or sys.executable)
    path = Path(os.path.realpath(named))
    advice = "name another Python (3.10 or later) with --python"
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigurationError(
            f"cannot use {named} as interpreter: {error.strerror}", advice=advice
        ) from error
    if magic != b"\x7fELF" or not path.stat().st_mode & stat.S_IXUSR:
        raise ConfigurationError(
            f"{named} is not a program file but perhaps a version manager's script, which would cost"
            " time on every call",
            advice=advice,
        )
    line = os.fsencode(_first_line(path))
    if any(blank in os.fsencode(path) for blank in b" \t\n"):
        raise ConfigurationError(
            f"the path of the interpreter has a blank in it, which a first line cannot hold: {path}",
            advice=advice,
        )
    limit = _line_limit(platform.release())
    if len(line) > limit:
        raise ConfigurationError(
            f"the path of the interpreter is too long for a first line of {limit} bytes: {path}",
            advice=advice,
        )
    return path


def _first_line(interpreter: Path) -> str:
    return f"#!{interpreter} {_OPTIONS}"


def _line_limit(release: str) -> int:
    """Bytes of a ``#!`` line that the kernel reads: 127 before Linux 5.1, 255 since."""
    numbers = release.split(".")[:2]
    known = [int(text) for text in numbers if text.isdigit()]
    return 255 if known >= [5, 1] else 127


def _programs(socket: Path, interpreter: Path) -> dict[str, _Program]:
    text = (Path(__file__).parent / "launcher.py").read_text(encoding="ascii")
    text = text.replace('SOCKET = ""', f"SOCKET = {str(socket)!a}", 1)
    text = text.replace('PYTHON = ""', f"PYTHON = {sys.executable!a}", 1)
    if "'''" in text:
        raise ConfigurationError(f"the path of the command socket has three quotes in a row: {socket}")
    sources = {name: text.replace('COMMAND = "squeue"', f"COMMAND = {name!r}", 1) for name in COMMANDS}
    done = subprocess.run(
        [str(interpreter), _OPTIONS, "-c", _COMPILE],
        input="\0".join(sources.values()),
        capture_output=True,
        encoding="ascii",
        errors="backslashreplace",
        timeout=60,
        check=False,
    )
    try:
        magic, codes = ast.literal_eval(done.stdout)
    except (SyntaxError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["it gave no answer"])[-1]
        raise ConfigurationError(
            f"{interpreter} cannot run the commands: {last}", advice="name another Python with --python"
        ) from error
    first = os.fsencode(_first_line(interpreter) + "\n")
    return {
        name: _program(name, first, source, magic, code)
        for (name, source), code in zip(sources.items(), codes, strict=True)
    }


def _program(name: str, first: bytes, source: str, magic: bytes, code: bytes) -> _Program:
    code_name = f".{name}.{hashlib.sha256(code).hexdigest()[:16]}.code"
    text = _BODY.format(command=name, source=source, magic=magic, code_name=code_name, size=len(code) + 1)
    return _Program(first + text.encode("ascii"), code, code_name)


def _remove_old_code(directory: Path, present: set[str]) -> None:
    """Remove the compiled programs of earlier command files; one that just started runs its readable one."""
    for path in directory.iterdir():
        match = _CODE_NAME.fullmatch(path.name)
        if match and match[1] in COMMANDS and path.name not in present:
            path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes, mode: int) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path

"""What `doctor --ssh` looks at: every step of Airavata on the submission host, from outside.

What is typed and how it is judged: Airavata develop and master, ``SSHJAgentAdaptor``,
``SlurmJobConfiguration``, ``SlurmOutputParser``, ``ClusterStatusMonitorJob``; master's ``MonitoringTask``.
"""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.cli.ssh_session import Answer, CopyFailed, Silence, SshSession, connect
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.sandbox.sftp.login import Target
from airavata_mesos_plugin.schedulers.base import Check
from airavata_mesos_plugin.slurm.place import MARK, ON_PATH

NAME = "A0000000000"
"""A job name of Airavata's form that it would draw once in ten thousand million times."""
NO_JOB = "4294901760"
"""An id that no job has: the first above SLURM's own range."""
NO_QUEUE = "airavata_mesos_doctor"
CONTENT = b"written by airavata-mesos doctor\n"
NOT_FOUND = 127  # POSIX: the shell found no such command

_SCRIPT = f"#!/bin/bash\n#SBATCH -p {NO_QUEUE}\n#SBATCH -J {NAME}\ntrue\n".encode()
_NODES = re.compile(r"up \d+/\d+/\d+/\d+\n")


@dataclass(frozen=True)
class _Step:
    """A command line, and what is wrong with its answer; empty when it is well."""

    subject: str
    command: str
    judge: Callable[[Answer], str]


def examine(target: Target, identity: Path | None, bin_path: str | None) -> list[Check]:
    """All checks in Airavata's own order. Nothing stays behind on the host, and no job is submitted."""
    checks: list[Check] = []
    try:
        with connect(target, identity) as session:
            checks.append(Check("login", True, str(target)))
            checks.extend(_shell(session))
            if all(check.ok for check in checks):
                checks.extend(_host(session, bin_path))
    except AiravataMesosError as error:
        checks.append(Check("login" if not checks else "connection", False, str(error)))
    return checks


def _shell(session: SshSession) -> Iterator[Check]:
    """Whatever a shell prints by itself stands in front of every answer."""
    yield from _do(session, _Step("nothing pollutes stdout", "true", _polluted))
    yield from _do(session, _Step("nothing pollutes stderr", "true", _alarming))
    yield from _do(session, _Step("exit codes arrive", "exit 7", _seven))


def _polluted(answer: Answer) -> str:
    if not answer.stdout:
        return ""
    return (
        f"the shell's start-up files print {_first(answer.stdout)!r}; let them print only where a person"
        " is: put this line before it: case $- in *i*) ;; *) return ;; esac"
    )


def _alarming(answer: Answer) -> str:
    if "error" not in answer.stderr:
        return ""
    return f"Airavata 0.17 takes this for a failure of every command: {_first(answer.stderr)!r}"


def _seven(answer: Answer) -> str:
    if answer.exit_code == 7:
        return ""
    return f"`exit 7` ended with {answer.exit_code}: the start-up files of the shell or a forced command exit"


def _host(session: SshSession, bin_path: str | None) -> Iterator[Check]:
    try:
        with session.sftp() as sftp:
            directory = f"{sftp.normalize('.').rstrip('/')}/.airavata-mesos-doctor-{uuid.uuid4().hex}"
            sftp.mkdir(directory, 0o700)
    except (AiravataMesosError, OSError) as error:
        yield Check("SFTP", False, f"{error}")
        return
    yield Check("SFTP", True, "makes and removes directories")
    try:
        yield from _files(session, directory)
        yield from _commands(session, directory, bin_path)
    finally:
        session.run(f"rm -rf {shlex.quote(directory)}")


def _files(session: SshSession, directory: str) -> Iterator[Check]:
    try:
        session.copy_in(_SCRIPT, "job.slurm", directory)
        session.copy_in(CONTENT, "input.txt", directory)
        copied = session.copy_out(f"{directory}/input.txt")
    except (CopyFailed, Silence) as error:
        yield Check("scp", False, f"{error}: install OpenSSH's client programs on the host")
    else:
        yield Check("scp", copied == CONTENT, "copies there and back")
    steps = (
        _Step("wildcards", f"cd {directory}; ls *.txt", _is("input.txt\n")),
        _Step(
            "archives",
            f"cd {directory} && find ./ -not -type l -not -type d -print0"
            f" | tar --null --files-from - -cvf {directory}/archive.tar",
            _contains("./input.txt"),
        ),
        _Step("tee", f"cd {directory}; echo x | tee {directory}/{NAME}", _is("x\n")),
    )
    for step in steps:
        yield from _do(session, step)


def _commands(session: SshSession, directory: str, bin_path: str | None) -> Iterator[Check]:
    if bin_path is None:
        found = session.run("command -v sbatch").stdout.strip()
        if not found.startswith("/"):
            yield Check("sbatch", False, "it is not on the PATH: name its directory with --bin-path")
            return
        bin_path = found.rpartition("/")[0]
    place = bin_path.rstrip("/") + "/"
    submit = f"cd {directory}; {place}sbatch {directory}/job.slurm | tee {directory}/{NAME}"
    user = session.run("id -un").stdout.strip()
    steps = [
        _Step("sbatch", submit, _refused("invalid partition")),
        _Step("squeue by id", f"{place}squeue -j {NO_JOB}", _refused("Invalid job id")),
        _Step("squeue by name", f"{place}squeue -n {NAME} -u {user}", _table),
        _Step("scancel", f"{place}scancel {NO_JOB}", _is("")),
        _Step("sacct", f"sacct -X -n -P -o State,Submit --duplicates -j {NO_JOB}", _is("")),
    ]
    for step in steps:
        yield from _do(session, step)
    yield from _queues(session)
    for name in ON_PATH:
        found = session.run(f"command -v {name}").stdout.strip()
        if found:  # its absence has been told already
            yield from _do(session, _Step(f"{name} is ours", f'grep -c "{MARK}" {shlex.quote(found)}', _ours))


def _queues(session: SshSession) -> Iterator[Check]:
    listing = session.run("sinfo -h -o %P")
    names = [word.rstrip("*") for word in listing.stdout.split()]
    if wrong := _general(listing) or ("" if names else "it shows no queue"):
        yield Check("sinfo", False, wrong)
    for name in names:
        summary = f'sinfo -s -p {name} -o "%a %F" | tail -1'
        yield from _do(session, _Step(f"sinfo of {name}", summary, _up))
        yield from _do(session, _Step(f"sinfo -p {name}", f"sinfo -p {name}", _contains(" up ")))


def _do(session: SshSession, step: _Step) -> Iterator[Check]:
    try:
        answer = session.run(step.command)
    except Silence as error:
        yield Check(step.subject, False, f"{error}; Airavata would wait for ever: {step.command}")
        return
    wrong = step.judge(answer)
    yield Check(step.subject, not wrong, wrong or step.command)


def _is(text: str) -> Callable[[Answer], str]:
    def judge(answer: Answer) -> str:
        if wrong := _general(answer):
            return wrong
        if answer.exit_code != 0:
            return f"it ended with exit code {answer.exit_code}: {_first(answer.stderr)}"
        return "" if answer.stdout == text else f"it printed {_first(answer.stdout)!r} and not {text!r}"

    return judge


def _contains(text: str) -> Callable[[Answer], str]:
    def judge(answer: Answer) -> str:
        if wrong := _general(answer):
            return wrong
        found = text in answer.stdout and answer.exit_code == 0
        return "" if found else f"it printed {_first(answer.stdout or answer.stderr)!r}"

    return judge


def _refused(words: str) -> Callable[[Answer], str]:
    """A question that must be refused, and by the daemon."""

    def judge(answer: Answer) -> str:
        if wrong := _general(answer):
            return wrong
        if answer.stdout:
            return f"it printed {_first(answer.stdout)!r}"
        return "" if words in answer.stderr else f"it said {_first(answer.stderr)!r} and not {words!r}"

    return judge


def _table(answer: Answer) -> str:
    if wrong := _general(answer):
        return wrong
    begin = answer.stdout.split()[:1]
    return "" if begin == ["JOBID"] and answer.exit_code == 0 else f"it printed {_first(answer.stdout)!r}"


def _up(answer: Answer) -> str:
    if wrong := _general(answer):
        return wrong
    return "" if _NODES.fullmatch(answer.stdout) else f"it printed {_first(answer.stdout)!r}"


def _ours(answer: Answer) -> str:
    if answer.stdout.strip() == "1":
        return ""
    return "another program of this name comes first on the PATH; Airavata would ask that one"


def _general(answer: Answer) -> str:
    """What can be wrong with any answer of our commands."""
    if answer.exit_code == NOT_FOUND or "not found" in answer.stderr:
        return (
            f"{_first(answer.stderr)}: where Airavata gives no directory, it must be on the PATH of a"
            " non-interactive session; see the advice of: airavata-mesos install-commands"
        )
    if answer.exit_code is None:
        return "no exit code arrived: Airavata takes that for a broken connection"
    if "airavata-mesos serve" in answer.stderr:
        return answer.stderr.strip().splitlines()[-1]
    return ""


def _first(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""

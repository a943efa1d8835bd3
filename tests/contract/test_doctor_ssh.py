"""`doctor --ssh` proves from outside that Airavata can work with a host, and finds what is wrong there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.ssh_host import SshHost, make_key, ssh_host, start_up_files
from tests.support.site import CLI, Site, environment

Found = dict[str, tuple[bool, str]]

EVERYTHING = {
    *("login", "nothing pollutes stdout", "nothing pollutes stderr", "exit codes arrive"),
    *("SFTP", "scp", "wildcards", "archives", "tee"),
    *("sbatch", "squeue by id", "squeue by name", "scancel", "sacct"),
    *("sinfo of default", "sinfo -p default", "sacct is ours", "sinfo is ours"),
}


class Doctor:
    """Runs the command with a home directory of its own, in which a host may be known."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "administrator"
        (self.home / ".ssh").mkdir(parents=True)

    def trust(self, host: SshHost, line: str | None = None) -> None:
        (self.home / ".ssh" / "known_hosts").write_text(line or host.known_hosts)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*CLI, "doctor", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=environment(HOME=str(self.home), SSH_AUTH_SOCK=""),
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def examine(self, host: SshHost, commands: Path | None, identity: Path | None = None) -> Found:
        """What it finds; the exit code must say the same."""
        arguments = ["--json", "--ssh", host.target, "--identity", str(identity or host.identity)]
        done = self.run(*arguments, *(["--bin-path", str(commands)] if commands else []))
        found = {check["subject"]: (check["ok"], check["detail"]) for check in json.loads(done.stdout)}
        assert done.returncode == (0 if all(ok for ok, _ in found.values()) else 1), done
        return found


def wrong(found: Found) -> set[str]:
    return {subject for subject, (ok, _) in found.items() if not ok}


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


@pytest.fixture(scope="module")
def links(site: Site) -> Path:
    """sacct and sinfo alone, as --path-directory places them."""
    directory = site.directory / "local-bin"
    directory.mkdir()
    site.cli("install-commands", str(site.commands), "--path-directory", str(directory))
    assert sorted(path.name for path in directory.iterdir()) == ["sacct", "sinfo"]
    return directory


@pytest.fixture(scope="module")
def host(links: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    with ssh_host(tmp_path_factory.mktemp("host"), path=[links]) as running:
        yield running


@pytest.fixture
def account(host: SshHost) -> Iterator[SshHost]:
    """The host with an account whose start-up files a test may change."""
    yield host
    for path in host.home.iterdir():
        path.unlink()


def test_a_host_on_which_everything_works(site: Site, host: SshHost, doctor: Doctor) -> None:
    doctor.trust(host)
    before = site.count()
    found = doctor.examine(host, site.commands)
    assert wrong(found) == set()
    assert set(found) == EVERYTHING
    assert site.count() == before  # nothing was submitted
    login = Path("~").expanduser() if os.geteuid() else Path("/root")
    for directory in (host.home, login):
        assert list(directory.glob(".airavata-mesos-doctor-*")) == []


def test_people_read_a_table(site: Site, host: SshHost, doctor: Doctor) -> None:
    doctor.trust(host)
    done = doctor.run(
        "--ssh", host.target, "--identity", str(host.identity), "--bin-path", str(site.commands)
    )
    assert done.returncode == 0, done
    assert "nothing pollutes stdout" in done.stdout
    assert "WRONG" not in done.stdout


@pytest.mark.parametrize(
    ("files", "subject", "words"),
    [
        ({".bashrc": "echo Welcome to the cluster\n"}, "nothing pollutes stdout", "Welcome to the cluster"),
        ({".bashrc": "echo module: error: no modules >&2\n"}, "nothing pollutes stderr", "0.17"),
        ({".bashrc": "exit 0\n"}, "exit codes arrive", "start-up files"),
    ],
    ids=["stdout", "stderr", "exit"],
)
def test_start_up_files_that_disturb(
    site: Site, account: SshHost, doctor: Doctor, files: Mapping[str, str], subject: str, words: str
) -> None:
    doctor.trust(account)
    start_up_files(account, files)
    found = doctor.examine(account, site.commands)
    assert wrong(found) == {subject}
    assert words in found[subject][1]
    assert "sbatch" not in found  # nothing after it would mean anything


def test_start_up_files_that_keep_quiet_for_programs(site: Site, account: SshHost, doctor: Doctor) -> None:
    """The line that the doctor recommends does what it says."""
    doctor.trust(account)
    start_up_files(account, {".bashrc": "case $- in *i*) ;; *) return ;; esac\necho Welcome\n"})
    assert wrong(doctor.examine(account, site.commands)) == set()


def programs(host: SshHost, *directories: Path, without: str = "") -> str:
    """A PATH with what a host must have and no job manager of its own, whatever this machine has."""
    directory = host.directory / f"programs-without-{without or 'nothing'}"
    if not directory.exists():
        directory.mkdir()
        for name in {"ls", "find", "tar", "tee", "tail", "rm", "id", "grep", "scp", "sh"} - {without}:
            (directory / name).symlink_to(Path("/usr/bin") / name)
    return ":".join(str(entry) for entry in (*directories, directory))


def test_sacct_and_sinfo_that_are_not_on_the_path(site: Site, account: SshHost, doctor: Doctor) -> None:
    doctor.trust(account)
    start_up_files(account, {".bashrc": f"PATH={programs(account)}\n"})
    found = doctor.examine(account, site.commands)
    assert wrong(found) == {"sacct", "sinfo"}
    for name in ("sacct", "sinfo"):
        assert f"{name}: command not found" in found[name][1]
        assert "install-commands" in found[name][1]


def test_the_line_that_install_commands_recommends(site: Site, account: SshHost, doctor: Doctor) -> None:
    done = site.cli("install-commands", str(site.commands))
    (text,) = done.stderr.splitlines()
    assert "~/.bashrc" in text
    doctor.trust(account)
    line = "export " + text.partition(": export ")[2]
    start_up_files(account, {".bashrc": f"PATH={programs(account)}\n{line}\n"})
    assert wrong(doctor.examine(account, None)) == set()  # sbatch is found there too


def test_another_sacct_that_comes_first(site: Site, account: SshHost, doctor: Doctor) -> None:
    other = account.directory / "other"
    other.mkdir()
    (other / "sacct").write_text("#!/bin/sh\nexit 0\n")
    (other / "sacct").chmod(0o755)
    doctor.trust(account)
    start_up_files(account, {".bashrc": f'PATH="{other}:$PATH"\n'})
    found = doctor.examine(account, site.commands)
    assert wrong(found) == {"sacct is ours"}


def test_a_host_without_scp(site: Site, account: SshHost, doctor: Doctor) -> None:
    doctor.trust(account)
    start_up_files(account, {".bashrc": f"PATH={programs(account, site.commands, without='scp')}\n"})
    found = doctor.examine(account, site.commands)
    assert wrong(found) == {"scp", "wildcards", "archives", "sbatch"}  # nothing was copied
    assert "scp: command not found" in found["scp"][1]


def test_a_host_without_sftp(site: Site, links: Path, doctor: Doctor, tmp_path: Path) -> None:
    with ssh_host(tmp_path / "no-sftp", path=[links], sftp=False) as host:
        doctor.trust(host)
        found = doctor.examine(host, site.commands)
        assert wrong(found) == {"SFTP"}
        assert "Subsystem sftp" in found["SFTP"][1]


def test_a_bin_path_without_commands(host: SshHost, doctor: Doctor) -> None:
    doctor.trust(host)
    found = doctor.examine(host, Path("/nowhere"))
    assert {"sbatch", "squeue by id", "squeue by name", "scancel"} <= wrong(found)
    assert "/nowhere/sbatch" in found["sbatch"][1]


def test_no_bin_path_and_no_sbatch(account: SshHost, doctor: Doctor) -> None:
    doctor.trust(account)
    start_up_files(account, {".bashrc": f"PATH={programs(account)}\n"})
    found = doctor.examine(account, None)
    assert "--bin-path" in found["sbatch"][1]


def test_a_daemon_that_does_not_run(tmp_path: Path, doctor: Doctor) -> None:
    down = Site(tmp_path / "down", None, {})
    down.install()
    with ssh_host(tmp_path / "host", path=[down.commands]) as host:
        doctor.trust(host)
        found = doctor.examine(host, down.commands)
    assert {"sbatch", "squeue by id", "squeue by name", "scancel"} <= wrong(found)
    assert "airavata-mesos serve" in found["sbatch"][1]


def test_a_key_that_is_not_let_in(host: SshHost, doctor: Doctor, tmp_path: Path) -> None:
    doctor.trust(host)
    make_key(tmp_path / "other")
    found = doctor.examine(host, None, tmp_path / "other")
    assert set(found) == {"login"}
    assert "authorized_keys" in found["login"][1]


def test_a_host_key_that_nobody_compared(host: SshHost, doctor: Doctor) -> None:
    found = doctor.examine(host, None)
    assert set(found) == {"login"}
    assert f"ssh-keyscan -p {host.port} 127.0.0.1" in found["login"][1]
    assert "SHA256:" in found["login"][1]
    assert not (doctor.home / ".ssh" / "known_hosts").exists()


def test_a_host_key_that_has_changed(host: SshHost, doctor: Doctor, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    doctor.trust(host, f"[127.0.0.1]:{host.port} {kind} {key}\n")
    found = doctor.examine(host, None)
    assert set(found) == {"login"}
    assert "has another one" in found["login"][1]


def test_nobody_listens(host: SshHost, doctor: Doctor) -> None:
    done = doctor.run("--json", "--ssh", f"{host.user}@127.0.0.1:1")
    (check,) = json.loads(done.stdout)
    assert (done.returncode, check["ok"]) == (1, False)
    assert "127.0.0.1" in check["detail"]


@pytest.mark.parametrize("target", ["host", "@host", "user@", "user@host:", "user@host:0", "user@host:70000"])
def test_targets_that_are_none(doctor: Doctor, target: str) -> None:
    done = doctor.run("--ssh", target)
    assert (done.returncode, done.stdout) == (1, "")
    assert "user@host:port" in done.stderr

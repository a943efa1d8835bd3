"""A submission host as Airavata reaches it: Debian's OpenSSH server on loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_for

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""OpenSSH 9.2 of Debian wants it when root runs the server. It is made at boot, so containers may lack it."""


class SshHost:
    """One server process. The account that runs the tests logs in, with a home directory of the test's."""

    def __init__(self, directory: Path, *, path: str = SYSTEM_PATH, sftp: bool = True) -> None:
        """``path`` is the PATH of the server's sessions."""
        self.directory = directory
        self.user = getpass.getuser()
        self.home = directory / "account"
        self.path = path
        self.port = 0
        self._sftp = sftp
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> Path:
        """The private key that is let in."""
        return self.directory / "id_airavata"

    @property
    def target(self) -> str:
        return f"{self.user}@127.0.0.1:{self.port}"

    @property
    def known_hosts(self) -> str:
        """The line that a client's known_hosts needs."""
        kind, key = (self.directory / "host_key.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def start(self) -> None:
        self.home.mkdir(parents=True)
        make_key(self.identity)
        make_key(self.directory / "host_key")
        shutil.copy(f"{self.identity}.pub", self.directory / "authorized_keys")
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        for _ in range(3):  # another process may take the free port before the server does
            self.port = free_port()
            config = self.directory / "sshd_config"
            config.write_text("\n".join(self._configuration()) + "\n")
            self._process = subprocess.Popen(
                [server_program(), "-D", "-f", str(config), "-E", str(self.directory / "sshd.log")],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            wait_for(lambda: self._answers() or self._ended(), bool, "an answer of sshd")
            if not self._ended():
                return
        raise AssertionError((self.directory / "sshd.log").read_text())

    def stop(self) -> None:
        """End the server; connections that are still open end with their client."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def _configuration(self) -> Iterator[str]:
        environment = {"HOME": str(self.home), "PATH": self.path}
        yield "ListenAddress 127.0.0.1"
        yield f"Port {self.port}"
        yield f"HostKey {self.directory}/host_key"
        yield f"AuthorizedKeysFile {self.directory}/authorized_keys"
        yield f"PidFile {self.directory}/sshd.pid"
        yield "StrictModes no"  # the directories of tests lie below one that all may write
        yield "UsePAM no"
        yield "PasswordAuthentication no"
        yield "KbdInteractiveAuthentication no"
        yield "PermitRootLogin prohibit-password"
        yield "AllowUsers " + self.user
        yield "MaxStartups 200"
        yield "SetEnv " + " ".join(f'{name}="{value}"' for name, value in environment.items())
        if self._sftp:
            yield "Subsystem sftp internal-sftp"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


@contextmanager
def ssh_host(directory: Path, *, path: Sequence[Path] = (), sftp: bool = True) -> Iterator[SshHost]:
    """A running server; ``path`` stands before the system's directories in the PATH of its sessions."""
    directory.mkdir(parents=True, exist_ok=True)
    text = ":".join([*(str(entry) for entry in path), SYSTEM_PATH])
    host = SshHost(directory, path=text, sftp=sftp)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def server_program() -> str:
    """sshd's absolute path, without which it does not start."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    assert found, "the tests need the package openssh-server; `make test` installs it"
    return found


def make_key(path: Path) -> None:
    """A new Ed25519 key pair without a passphrase."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)],
        stdin=subprocess.DEVNULL,
        check=True,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_up_files(host: SshHost, files: Mapping[str, str]) -> None:
    """Give the account files such as ``.bashrc``."""
    for name, text in files.items():
        (host.home / name).write_text(text)

"""The peer of the commands: a real SLURM cluster on this host, of a temporary directory and on loopback.

Tried with SLURM 22.05 as Debian 12 has it. The daemons belong to the account that starts the benchmark.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from .measure import BenchmarkFailed, program, run_process, wait_until
from .processes import Servers, answers, free_ports, kill_marked
from .slurm_config import Layout, cgroup_conf, init_sql, slurm_conf, slurmdbd_conf


class SlurmPeer:
    """Context manager: a cluster that takes jobs when entered, nothing left of it when left."""

    def __init__(self, nodes: int = 1) -> None:
        """Each of the ``nodes`` has all CPUs of this host."""
        self._nodes = nodes
        self._stack = ExitStack()
        self._environment: dict[str, str] = {}
        self.directory = Path()

    @property
    def environment(self) -> dict[str, str]:
        """What the commands need in their environment."""
        return dict(self._environment)

    @property
    def version(self) -> str:
        """As ``sbatch --version`` prints it."""
        return self._run("sbatch", "--version").strip()

    def __enter__(self) -> SlurmPeer:
        address = _own_loopback_address()
        with ExitStack() as stack:
            self.directory = Path(tempfile.mkdtemp(prefix="slurm-peer-"))
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            # munged wants a way to its socket that everybody may go; the files themselves stay private.
            self.directory.chmod(0o755)
            controller, accounting, database, *nodes = free_ports(address, 3 + self._nodes)
            layout = Layout(
                self.directory,
                getpass.getuser(),
                address,
                controller_port=controller,
                node_ports=tuple(nodes),
                accounting_port=accounting,
                database_port=database,
            )
            for path in layout.directories:
                path.mkdir(mode=0o755)
            self._environment = {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(self.directory),
                "LANG": "C.UTF-8",
                "SLURM_CONF": str(layout.slurm_conf),
            }
            stack.callback(kill_marked, f"SLURM_CONF={layout.slurm_conf}".encode())
            servers = stack.enter_context(Servers(layout.logs))
            self._start_munge(servers, layout)
            self._start_database(servers, layout)
            self._start_slurm(servers, layout)
            stack.callback(self._cancel_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def command(self, name: str) -> str:
        """The path of a command."""
        return program(name)

    def submit(self, script: Path, *options: str) -> int:
        """Submit a script; its id."""
        printed = self._run("sbatch", *options, str(script))
        found = re.fullmatch(r"Submitted batch job (\d+)\n", printed)
        if found is None:
            raise BenchmarkFailed(f"SLURM's sbatch prints {printed!r}")
        return int(found[1])

    def wait_for_accounting(self, job_id: int, seconds: float = 30.0) -> None:
        """Until sacct knows a job that waits; the record comes some seconds after the submission."""
        wait_until(
            f"SLURM's sacct knows job {job_id}",
            lambda: "PENDING" in self._run("sacct", "-X", "-n", "-o", "State", "-j", str(job_id)),
            seconds,
        )

    def _run(self, name: str, *arguments: str) -> str:
        run = run_process([program(name), *arguments], self._environment)
        if run.exit_code != 0:
            raise BenchmarkFailed(f"SLURM's {name} {' '.join(arguments)}: {run.describe()}")
        return run.stdout.decode()

    def _works(self, name: str, *arguments: str) -> bool:
        return run_process([program(name), *arguments], self._environment).exit_code == 0

    def _start_munge(self, servers: Servers, layout: Layout) -> None:
        layout.munge_key.touch(0o600)
        layout.munge_key.write_bytes(secrets.token_bytes(1024))
        servers.start(
            "munged",
            [
                program("munged"),
                "--foreground",
                "--force",  # an account of its own is not needed for a cluster of minutes
                f"--socket={layout.munge_socket}",
                f"--key-file={layout.munge_key}",
                f"--log-file={layout.logs / 'munge.log'}",
                f"--pid-file={layout.run / 'munged.pid'}",
                f"--seed-file={layout.run / 'munged.seed'}",
            ],
            self._environment,
            lambda: self._works("munge", "-n", "-S", str(layout.munge_socket)),
        )

    def _start_database(self, servers: Servers, layout: Layout) -> None:
        done = subprocess.run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={layout.database}",
                f"--user={layout.user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkFailed(f"mariadb-install-db: {done.stdout.decode(errors='replace')[-1500:]}")
        layout.init_sql.touch(0o600)
        layout.init_sql.write_text(init_sql(layout))
        servers.start(
            "mariadbd",
            [
                program("mariadbd"),
                "--no-defaults",
                f"--user={layout.user}",
                f"--datadir={layout.database}",
                f"--socket={layout.run / 'mariadb.sock'}",
                f"--pid-file={layout.run / 'mariadb.pid'}",
                f"--bind-address={layout.address}",
                f"--port={layout.database_port}",
                f"--init-file={layout.init_sql}",
                "--innodb-lock-wait-timeout=900",  # both as SLURM's guide to accounting advises
                "--innodb-buffer-pool-size=256M",
            ],
            self._environment,
            lambda: answers(layout.address, layout.database_port),
        )

    def _start_slurm(self, servers: Servers, layout: Layout) -> None:
        layout.slurmdbd_conf.touch(0o600)
        layout.slurmdbd_conf.write_text(slurmdbd_conf(layout))
        layout.slurm_conf.write_text(slurm_conf(layout, os.cpu_count() or 1))
        layout.cgroup_conf.write_text(cgroup_conf())
        servers.start(
            "slurmdbd",
            # It looks for its configuration beside SLURM_CONF.
            [program("slurmdbd"), "-D"],
            self._environment,
            lambda: (
                answers(layout.address, layout.accounting_port)
                and self._works("sacctmgr", "-n", "show", "cluster")
            ),
        )
        for entity in (
            ["cluster", layout.cluster],
            ["account", layout.account, f"Cluster={layout.cluster}"],
            ["user", layout.user, f"Account={layout.account}", f"DefaultAccount={layout.account}"],
        ):
            self._sacctmgr("add", *entity)
        servers.start(
            "slurmctld",
            [program("slurmctld"), "-D", "-i"],
            self._environment,
            lambda: self._works("scontrol", "ping"),
        )
        for name in layout.nodes:
            servers.start(
                f"slurmd-{name}",
                [program("slurmd"), "-D", "-N", name],
                self._environment,
                partial(self._idle, name),
            )

    def _idle(self, node: str) -> bool:
        return "idle" in self._run("sinfo", "-h", "-n", node, "-o", "%T")

    def _sacctmgr(self, *arguments: str) -> None:
        run = run_process([program("sacctmgr"), "-i", *arguments], self._environment)
        # Root has an account from the start, which sacctmgr reports with exit code 1.
        if run.exit_code != 0 and b"Nothing new added" not in run.stdout + run.stderr:
            raise BenchmarkFailed(f"sacctmgr {' '.join(arguments)}: {run.describe()}")

    def _cancel_all(self) -> None:
        """So that the node daemon ends the running jobs before it is stopped itself."""
        run_process([program("scancel"), "-u", getpass.getuser()], self._environment)
        wait_until("SLURM's jobs have ended", lambda: not self._run("squeue", "-h").strip(), 120)


def _own_loopback_address() -> str:
    """The address that SLURM's daemons take when they may not listen everywhere: that of the host's name."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = ""
    if not address.startswith("127."):
        raise BenchmarkFailed(
            f"the host's name {name} resolves to {address or 'nothing'}, and SLURM would listen there;"
            " let it resolve to an address of loopback in /etc/hosts"
        )
    return address

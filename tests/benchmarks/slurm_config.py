"""Where a private SLURM cluster keeps its files, and the text of its configuration (SLURM 22.05)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

_MEMORY_MB_PER_CPU = 2000


@dataclass(frozen=True)
class Layout:
    """One cluster below ``directory``; all its ports are on loopback."""

    directory: Path
    user: str
    address: str  # on loopback; what this host's name resolves to
    controller_port: int
    node_ports: tuple[int, ...]  # of one node daemon each
    accounting_port: int
    database_port: int
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    cluster: str = "peer"
    account: str = "bench"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(f"node{number + 1}" for number in range(len(self.node_ports)))

    @property
    def etc(self) -> Path:
        return self.directory / "etc"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def database(self) -> Path:
        return self.directory / "database"

    @property
    def directories(self) -> tuple[Path, ...]:
        return (self.etc, self.run, self.logs, self.state, self.spool, self.database)

    @property
    def munge_key(self) -> Path:
        return self.etc / "munge.key"

    @property
    def munge_socket(self) -> Path:
        return self.run / "munge.socket"

    @property
    def slurm_conf(self) -> Path:
        return self.etc / "slurm.conf"

    @property
    def slurmdbd_conf(self) -> Path:
        return self.etc / "slurmdbd.conf"

    @property
    def cgroup_conf(self) -> Path:
        return self.etc / "cgroup.conf"

    @property
    def init_sql(self) -> Path:
        return self.etc / "init.sql"


def slurm_conf(layout: Layout, cpus: int) -> str:
    """Nodes that each have all CPUs of this host and memory as consumable resources, backfill, accounting."""
    memory = _MEMORY_MB_PER_CPU * cpus
    each = f"NodeHostname=localhost NodeAddr={layout.address} CPUs={cpus} RealMemory={memory}"
    nodes = "\n".join(
        f"NodeName={name} Port={port} {each}"
        for name, port in zip(layout.nodes, layout.node_ports, strict=True)
    )
    return f"""ClusterName={layout.cluster}
SlurmctldHost=localhost({layout.address})
SlurmctldPort={layout.controller_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={layout.user}
SlurmdUser={layout.user}
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
StateSaveLocation={layout.state}
SlurmdSpoolDir={layout.spool}/%n
SlurmctldPidFile={layout.run}/slurmctld.pid
SlurmdPidFile={layout.run}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
KillWait=30
MinJobAge=300
MaxJobCount=50000
MessageTimeout=10
DefMemPerCPU=500
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={layout.address}
AccountingStoragePort={layout.accounting_port}
AccountingStoragePass={layout.munge_socket}
AccountingStorageEnforce=associations,limits,qos
{nodes}
PartitionName=batch Nodes={",".join(layout.nodes)} Default=YES DefaultTime=30 MaxTime=1-00:00:00 State=UP
"""


def slurmdbd_conf(layout: Layout) -> str:
    """The accounting daemon with its own database."""
    return f"""AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
DbdHost=localhost
DbdAddr={layout.address}
DbdPort={layout.accounting_port}
CommunicationParameters=NoInAddrAny
SlurmUser={layout.user}
PidFile={layout.run}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost={layout.address}
StoragePort={layout.database_port}
StorageUser=slurm
StoragePass={layout.password}
StorageLoc=slurm_acct_db
"""


def cgroup_conf() -> str:
    """No control groups: they would need more rights than a benchmark should have."""
    return "CgroupPlugin=cgroup/v1\nConstrainCores=no\nConstrainRAMSpace=no\n"


def init_sql(layout: Layout) -> str:
    """Statements that the database server carries out at its start."""
    return (
        "CREATE DATABASE IF NOT EXISTS slurm_acct_db;\n"
        f"CREATE USER IF NOT EXISTS 'slurm'@'%' IDENTIFIED BY '{layout.password}';\n"
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'%';\n"
    )

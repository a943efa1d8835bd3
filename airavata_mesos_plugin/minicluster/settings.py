"""Everything about a minicluster that can be tuned.  Times are seconds unless the name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LISTEN_HOST = "127.0.0.1"


@dataclass(frozen=True)
class AgentSettings:
    """One agent. Resources left out are those of this machine: its cores, memory and the free disk of the
    work directory."""

    host: str = "localhost"
    """Host name that the cluster shows. Clients reach the agent under it, so it must resolve to this
    machine."""
    port: int = 0
    """HTTP port, 0 for any free one."""
    cpus: float | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    gpus: int = 0
    ports: tuple[int, int] = (31000, 32000)
    """First and last port that tasks may be given."""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For constraints.  `host` is added with the host name unless given."""


@dataclass(frozen=True)
class ClusterSettings:
    work_dir: Path
    """Sandboxes lie below it.  Made when missing."""
    cluster_name: str = "minicluster"
    durable: bool = False
    """Whether the scheduler's state survives a restart, in a file of the work directory."""
    scheduler_port: int = 0
    master_port: int = 0
    agents: tuple[AgentSettings, ...] = (AgentSettings(),)
    state_dir: Path | None = None
    """Where that file is; processes of one host that share it take turns in leading."""
    schedulers: int = 1
    """Scheduler processes, as seen from outside: each has a port of its own, one leads."""
    zookeeper: str = ""
    """`host:port,host:port/chroot` of the ensemble in which the schedulers elect their leader; without one
    the only scheduler leads."""
    masters: int = 1
    """Mesos masters, as seen from outside: each has a port of its own, one leads."""
    mesos_path: str = ""
    """Where in ZooKeeper the masters announce themselves, as `/mesos`; empty: nowhere. Masters of one process
    only: other minicluster processes need another path."""
    serverset_path: str = "/aurora/scheduler"
    serverset_endpoint: str = "http"
    zk_digest: str = ""
    """`user:password`: only this identity may write what the schedulers publish."""
    zk_session_timeout: float = 15.0
    zk_connection_timeout: float = 10.0
    max_leading_duration: float = 86400.0
    """A leader steps down by itself after this, as Aurora's does once a day."""
    users: Mapping[str, tuple[str, tuple[str, ...]]] | None = None
    """For basic authentication: name to password and permissions. None: everybody may do everything."""
    shiro_ini: Path | None = None
    """The same in the form of Aurora's INI file."""
    control: bool = False
    """Whether the control calls that switch faults on answer on the scheduler's port."""

    # Scheduler: rules (defaults of Aurora 0.22)
    allowed_environments: str = r"^(prod|devel|test|staging\d*)$"
    max_instances_per_job: int = 4000
    max_update_instance_failures: int = 20000
    sla_min_instances: int = 20
    """Jobs with fewer instances have no SLA to keep."""
    sla_max_duration: int = 7200
    sla_non_production: bool = False
    """Whether the SLA of jobs counts that are not production."""
    executor_names: tuple[str, ...] = ("AuroraExecutor",)
    allow_gpus: bool = False
    allow_docker: bool = False
    allow_fetcher: bool = False
    allow_container_volumes: bool = False
    quotas: Mapping[str, tuple[float, int, int]] = field(default_factory=dict)
    """Per role: cores, memory in MiB, disk in MiB.  A role without an entry has none, as in Aurora."""
    partition_aware: bool = False
    """Whether tasks of an unreachable agent become PARTITIONED; otherwise Mesos reports them lost."""
    executor_cpus: float = 0.0
    executor_ram_mb: int = 0
    """Overhead counted for each task's executor. Aurora counts 0.25 cores and 128 MiB; here it is nothing,
    so that one machine can run a job on all its cores."""

    # Scheduler: times
    scheduling_delay: float = 0.001
    max_assignments_per_round: int = 20
    """Tasks started before other work gets its turn; the next round follows at once."""
    transient_timeout: float = 300.0
    """ASSIGNED, KILLING, PREEMPTING, RESTARTING or DRAINING for longer becomes LOST."""
    kill_retry_first: float = 15.0
    kill_retry_max: float = 300.0
    """A kill without effect is sent again after the first of these, then ever later up to the second."""
    flapping_threshold: float = 300.0
    """A task that ended sooner than this after its last active event counts as flapping."""
    flapping_penalty_min: float = 30.0
    flapping_penalty_first_max: float = 60.0
    flapping_penalty_max: float = 300.0
    history_max_per_job: int = 100
    history_max_age: float = 2 * 86400.0
    history_min_age: float = 3600.0
    prune_interval: float = 60.0
    update_history_max_per_job: int = 10
    update_history_max_age: float = 30 * 86400.0
    cron_timezone: str = "GMT"
    cron_start_backoff_first: float = 5.0
    cron_start_backoff_max: float = 60.0
    """How long a cron run waits, ever longer, before it looks again whether the run before has ended."""
    preemption_delay: float = 180.0
    """A task that waited this long may preempt others."""
    preemption_interval: float = 60.0
    maintenance_poll_interval: float = 60.0
    sla_retry_interval: float = 5.0
    reconciliation_interval: float = 3600.0

    # Mesos
    gc_delay: float = 7 * 86400.0
    """Age at which the sandbox of an ended executor is removed."""
    allocation_interval: float = 0.1
    """Between two rounds of offers to frameworks; Mesos takes 1."""
    heartbeat_interval: float = 15.0
    status_retry_first: float = 10.0
    status_retry_max: float = 600.0
    """An update that is not acknowledged is sent again after the first of these, then ever later up to the
    second."""
    agent_reregistration: float = 1.0
    """How long agents take to find a new leading master."""
    switch_user: bool = False
    """Whether, where this runs as root, commands of frameworks run as the account that they name; those of
    Aurora never do."""
    max_completed_executors: int = 150
    max_completed_tasks: int = 1000

    # Stopping
    executor_kill_grace: float = 240.0
    """After a kill request an executor that has not ended is killed; tasks may ask for a long
    finalization_wait."""
    executor_exit_grace: float = 10.0
    """An executor that has sent its last status must have left by then."""
    stop_grace: float = 3.0
    """Time for running tasks when the cluster stops; then everything left is killed."""
    max_request_bytes: int = 64 * 1024 * 1024

    @property
    def remembers(self) -> bool:
        """Another leader goes on from what this one leaves."""
        return self.durable or bool(self.zookeeper)

    @property
    def state_path(self) -> Path:
        return self.state_dir or self.work_dir

    @property
    def backup_dir(self) -> Path:
        return self.state_path / "backups"

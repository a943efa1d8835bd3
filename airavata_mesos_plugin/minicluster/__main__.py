"""`python -m airavata_mesos_plugin.minicluster`: a cluster as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from pathlib import Path

from airavata_mesos_plugin.minicluster.cluster import MiniCluster
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings

_PR_SET_PDEATHSIG = 1


def _positive(kind: type[int] | type[float]) -> object:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    parse.__name__ = kind.__name__
    return parse


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airavata_mesos_plugin.minicluster",
        description="An Aurora and Mesos compatible cluster on this machine. Tasks run under the account "
        "that starts it. One line of JSON with the addresses is printed when everything listens.",
    )
    parser.add_argument(
        "--work-dir", type=Path, required=True, help="directory for sandboxes, made when missing"
    )
    parser.add_argument("--cluster-name", default=ClusterSettings.cluster_name)
    for name in ("scheduler", "master", "agent"):
        parser.add_argument(f"--{name}-port", type=_port, default=0, help="0 for any free port (default)")
    parser.add_argument("--cpus", type=_positive(float), help="cores to offer (default: all of this machine)")  # type: ignore[arg-type]
    parser.add_argument("--memory-mb", type=_positive(int), help="memory to offer, MiB (default: all)")  # type: ignore[arg-type]
    parser.add_argument("--disk-mb", type=_positive(int), help="disk to offer, MiB (default: what is free)")  # type: ignore[arg-type]
    parser.add_argument(
        "--agent-host", default=AgentSettings.host, help="host name that tasks and clients see"
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end, with all tasks, when the parent process ends"
    )
    parser.add_argument("--durable", action="store_true", help="the scheduler's state survives a restart")
    parser.add_argument("--state-dir", type=Path, help="where that state is (default: the work directory)")
    parser.add_argument(
        "--zookeeper", default="", metavar="HOST:PORT,...", help="ensemble that elects the leader"
    )
    parser.add_argument("--serverset-path", default=ClusterSettings.serverset_path)
    parser.add_argument("--schedulers", type=int, default=1, help="schedulers, of which one leads")
    parser.add_argument("--agents", type=_positive(int), default=1, help="agents, all with what is offered")  # type: ignore[arg-type]
    parser.add_argument("--masters", type=_positive(int), default=1, help="Mesos masters, of which one leads")  # type: ignore[arg-type]
    parser.add_argument(
        "--mesos-path", default="", help="where masters announce themselves in ZooKeeper (default: nowhere)"
    )
    parser.add_argument(
        "--switch-user",
        action="store_true",
        help="as root, run commands of Mesos frameworks as the account that they name",
    )
    parser.add_argument(
        "--max-leading-duration",
        type=_positive(float),  # type: ignore[arg-type]
        default=ClusterSettings.max_leading_duration,
        help="seconds after which a leader steps down",
    )
    parser.add_argument(
        "--allow-fetcher", action="store_true", help="allow jobs to have URIs fetched by Mesos"
    )
    parser.add_argument("--shiro-ini", type=Path, help="accounts and permissions for basic authentication")
    parser.add_argument(
        "--control", action="store_true", help="answer the calls that switch faults on, for tests"
    )
    return parser


def _settings(options: argparse.Namespace) -> ClusterSettings:
    agents = tuple(
        AgentSettings(
            host=options.agent_host,
            port=options.agent_port if number == 0 else 0,
            cpus=options.cpus,
            memory_mb=options.memory_mb,
            disk_mb=options.disk_mb,
            # Constraints tell them apart, though all of them are this machine.
            attributes={"host": (f"{options.agent_host}-{number + 1}",)} if options.agents > 1 else {},
        )
        for number in range(options.agents)
    )
    return ClusterSettings(
        work_dir=options.work_dir,
        cluster_name=options.cluster_name,
        scheduler_port=options.scheduler_port,
        master_port=options.master_port,
        agents=agents,
        control=options.control,
        durable=options.durable,
        state_dir=options.state_dir,
        zookeeper=options.zookeeper,
        serverset_path=options.serverset_path,
        schedulers=options.schedulers,
        masters=options.masters,
        mesos_path=options.mesos_path,
        switch_user=options.switch_user,
        max_leading_duration=options.max_leading_duration,
        shiro_ini=options.shiro_ini,
        allow_fetcher=options.allow_fetcher,
    )


def _exit_with_parent(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot ask the kernel for a signal at the parent's end")
    if os.getppid() != parent:  # it ended before we could ask
        os.kill(os.getpid(), signal.SIGTERM)


async def _run(settings: ClusterSettings, parent: int | None) -> None:
    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, leave.set)
    if parent is not None:
        _exit_with_parent(parent)
    async with MiniCluster(settings) as cluster:
        line = {
            "cluster": settings.cluster_name,
            "scheduler": cluster.scheduler_url,
            "schedulers": cluster.scheduler_urls,
            "master": cluster.master_url,
            "masters": cluster.masters.urls,
            "agents": cluster.agent_urls,
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        await leave.wait()


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; then all tasks are ended and 0 is returned.  1 when it cannot start."""
    parent = os.getppid()
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_run(_settings(options), parent if options.exit_with_parent else None))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"minicluster: cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

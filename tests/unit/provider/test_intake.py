"""What becomes of the numbers that peers and task adapters give."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobRequest, Resources
from airavata_mesos_plugin.provider.intake import Wish, complete
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnPaths
from airavata_mesos_plugin.schedulers.base import Node

SETTINGS = ProviderSettings.model_validate(
    {
        "clusters": [{"name": "c", "schedulers": ["http://a:1"], "mesos_masters": ["http://m:1"]}],
        "queues": [{"name": "q", "cluster": "c", "role": "www", "max_nodes": 3, "disk_mb": 10}],
    }
)
NODE = Resources(cpus=4, memory_mb=8192, disk_mb=100, gpus=2)
NOTHING = Resources(cpus=0, memory_mb=0, disk_mb=0)


def asked(directory: Path, there: int = 3, **numbers: Any) -> JobRequest:
    wish = Wish("job", getpass.getuser(), os.geteuid(), str(directory), **numbers)
    seen = [Node(f"n{number}", NODE, NOTHING) for number in range(there)]
    return complete(wish, SETTINGS, lambda _: seen, OwnPaths())


@pytest.mark.parametrize(
    ("numbers", "nodes", "tasks", "cpus", "memory", "gpus"),
    [
        ({}, 1, 1, 1, 1024, 0),
        ({"tasks": 3, "cpus_per_task": 1}, 1, 3, 3, 3072, 0),
        ({"nodes": 3}, 3, 3, 1, 1024, 0),
        ({"nodes": 2, "tasks": 5}, 2, 5, 3, 3072, 0),
        ({"nodes": 3, "tasks": 2}, 2, 2, 1, 1024, 0),  # no more nodes than ranks
        ({"tasks": 4, "tasks_per_node": 2}, 2, 4, 2, 2048, 0),
        ({"nodes": 2, "tasks_per_node": 3}, 2, 6, 3, 3072, 0),
        ({"nodes": 2, "memory_mb": 500, "gpus": 2}, 2, 2, 1, 500, 2),
    ],
)
def test_nodes_tasks_and_what_each_node_has(
    tmp_path: Path, numbers: dict[str, int], nodes: int, tasks: int, cpus: int, memory: int, gpus: int
) -> None:
    request = asked(tmp_path, **numbers)
    assert (request.nodes, request.tasks) == (nodes, tasks)
    assert request.tasks_given is ("tasks" in numbers or "tasks_per_node" in numbers)
    assert request.resources == Resources(cpus=cpus, memory_mb=memory, disk_mb=10, gpus=gpus)


@pytest.mark.parametrize("what", ["nodes", "tasks", "cpus_per_task", "tasks_per_node"])
@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_numbers_that_are_none(tmp_path: Path, what: str, number: int) -> None:
    with pytest.raises(InvalidRequest, match=f"^{number} {what.replace('_', ' ')}: it must be 1 or more"):
        asked(tmp_path, **{what: number})


def test_without_a_node_in_sight_the_limits_of_the_partition_count(tmp_path: Path) -> None:
    assert asked(tmp_path, there=0, tasks=99).resources.cpus == 99

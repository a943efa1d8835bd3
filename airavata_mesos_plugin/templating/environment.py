"""The variables that a script finds in its environment."""

from __future__ import annotations

from itertools import pairwise

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.jobs import JobRecord, array_indexes


def slurm_environment(record: JobRecord, cluster_name: str) -> dict[str, str]:
    """The variables of a SLURM 22.05 batch job, as far as they are known before it runs: the names of several
    nodes come later.

    A value that nobody gave, such as an account, leaves its variable out. Which GPUs a job has is the
    agent's to say, so only their number is told.
    """
    request = record.request
    gpus = request.resources.gpus or None
    cpus = max(1, int(request.resources.cpus))
    memory = request.resources.memory_mb
    variables: dict[str, object] = {
        **_array_environment(record),
        "SLURM_CLUSTER_NAME": cluster_name,
        "SLURM_CPUS_ON_NODE": cpus,
        "SLURM_CPUS_PER_TASK": request.cpus_per_task,
        "SLURM_EXPORT_ENV": request.export,
        "SLURM_GET_USER_ENV": None if request.export is None else 1,
        "SLURM_GPUS": gpus if request.gpus_given else None,
        "SLURM_GPUS_ON_NODE": gpus,
        "SLURM_GTIDS": 0,
        "SLURM_JOBID": record.id,
        "SLURM_JOB_ACCOUNT": request.account or None,
        "SLURM_JOB_CPUS_PER_NODE": hostlist.repeated([cpus] * request.nodes),
        "SLURM_JOB_GID": request.gid,
        "SLURM_JOB_ID": record.id,
        "SLURM_JOB_NAME": request.name,
        "SLURM_JOB_NUM_NODES": request.nodes,
        "SLURM_JOB_PARTITION": request.queue,
        "SLURM_JOB_QOS": request.qos or None,
        "SLURM_JOB_RESERVATION": request.reservation or None,
        "SLURM_JOB_UID": request.uid,
        "SLURM_JOB_USER": request.user,
        "SLURM_LOCALID": 0,
        "SLURM_MEM_PER_CPU": None if request.memory_given else memory // cpus,
        "SLURM_MEM_PER_NODE": memory if request.memory_given else None,
        "SLURM_NNODES": request.nodes,
        "SLURM_NODEID": 0,
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_NPROCS": request.tasks if request.tasks_given else None,
        "SLURM_NTASKS": request.tasks if request.tasks_given else None,
        "SLURM_NTASKS_PER_NODE": request.tasks_per_node,
        "SLURM_PRIO_PROCESS": 0,
        "SLURM_PROCID": 0,
        "SLURM_RESTART_COUNT": record.attempt - 1 or None,
        "SLURM_SUBMIT_HOST": request.submit_host or None,
        "SLURM_TASKS_PER_NODE": hostlist.repeated(request.tasks_on_nodes),
        "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


def _array_environment(record: JobRecord) -> dict[str, object]:
    if record.array_id is None or not record.request.array:
        return {}
    indexes = array_indexes(record.request.array)
    steps = {later - earlier for earlier, later in pairwise(indexes)}
    return {
        "SLURM_ARRAY_JOB_ID": record.array_id,
        "SLURM_ARRAY_TASK_COUNT": len(indexes),
        "SLURM_ARRAY_TASK_ID": record.array_index,
        "SLURM_ARRAY_TASK_MAX": indexes[-1],
        "SLURM_ARRAY_TASK_MIN": indexes[0],
        "SLURM_ARRAY_TASK_STEP": steps.pop() if len(steps) == 1 else 1,
    }

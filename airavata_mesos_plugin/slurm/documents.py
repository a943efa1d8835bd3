"""``--json`` and ``--yaml`` of squeue and sacct, with the members that SLURM 22.05's version 0.0.38 has.

Members that mean nothing here have the value that SLURM shows when nothing was asked for. Unlike real
SLURM only the jobs that were asked for are in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.slurm import squeue_fields as fields
from airavata_mesos_plugin.slurm import view
from airavata_mesos_plugin.slurm.entries import Entry

_MISSING: dict[str, object] = {
    **dict.fromkeys(
        [
            *("admin_comment", "batch_features", "burst_buffer", "burst_buffer_state", "cluster_features"),
            *("container", "cpus_per_tres", "excluded_nodes", "features", "federation_origin"),
            *("federation_siblings_active", "federation_siblings_viable", "het_job_id_set", "licenses"),
            *("mcs_label", "memory_per_tres", "prefer", "required_nodes", "system_comment", "tres_bind"),
            *("tres_freq", "tres_per_socket", "tres_per_task", "wckey", "state_description"),
        ],
        "",
    ),
    **dict.fromkeys(
        [
            *("core_spec", "cores_per_socket", "cpu_frequency_governor", "cpu_frequency_maximum"),
            *("cpu_frequency_minimum", "nice", "profile", "shared", "sockets_per_node", "tasks_per_core"),
            *("tasks_per_socket", "thread_spec", "threads_per_core"),
        ]
    ),
    **dict.fromkeys(
        [
            *("deadline", "delay_boot", "derived_exit_code", "het_job_id", "het_job_offset", "max_cpus"),
            *("max_nodes", "minimum_tmp_disk_per_node", "pre_sus_time", "preempt_time", "resize_time"),
            *("sockets_per_board", "suspend_time", "tasks_per_board", "time_minimum", "association_id"),
        ],
        0,
    ),
    "batch_flag": True,
    "contiguous": False,
    "reboot": False,
    "flags": [],
    "gres_detail": [],
    "show_flags": ["SHOW_ALL", "SHOW_DETAIL", "SHOW_LOCAL"],
}


def jobs(rows: Sequence[Entry], cluster: str) -> dict[str, Any]:
    """The answer of squeue."""
    return {
        **_head("openapi/v0.0.38", "Slurm OpenAPI v0.0.38"),
        "jobs": [_job(row, cluster) for row in rows],
    }


def accounting(records: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """The answer of sacct."""
    return {**_head("openapi/dbv0.0.38", "Slurm OpenAPI DB v0.0.38"), "jobs": list(records)}


def as_json(document: Mapping[str, object]) -> str:
    """The text of a document."""
    return json.dumps(document, indent=2) + "\n"


def as_yaml(document: Mapping[str, object]) -> str:
    """The text of a document."""
    return str(yaml.safe_dump(document, sort_keys=False))


def _head(kind: str, name: str) -> dict[str, Any]:
    return {
        "meta": {
            "plugin": {"type": kind, "name": name},
            "Slurm": {"version": {"major": 22, "micro": 8, "minor": 5}, "release": "22.05.8"},
        },
        "errors": [],
    }


def _whole(seconds: float | None) -> int:
    return 0 if seconds is None else int(seconds)


def _job(row: Entry, cluster: str) -> dict[str, object]:
    job, request = row.job, row.job.request
    resources = request.resources
    group_id, group_name = view.group(request.uid, request.gid)
    cpus_of_node = max(1, int(resources.cpus))
    cpus = cpus_of_node * request.nodes
    return {
        **_MISSING,
        "account": request.account,
        "accrue_time": _whole(view.eligible_time(job)),
        "array_job_id": job.array_id or 0,
        "array_max_tasks": request.array_limit,
        "array_task_id": job.array_index,
        "array_task_string": "",
        "batch_host": job.batch_host,
        "billable_tres": float(request.all_resources.cpus),
        "cluster": cluster,
        "command": request.command,
        "comment": request.comment,
        "cpus": cpus,
        "cpus_per_task": request.cpus_per_task,
        "current_working_directory": request.working_directory,
        "dependency": fields.dependency(row),
        "eligible_time": _whole(view.eligible_time(job) or job.begin_at),
        "end_time": _whole(fields.end_time(row)),
        "exit_code": view.wait_status(job),
        "group_id": group_id,
        "group_name": group_name,
        "job_id": job.id,
        "job_resources": {
            "allocated_cores": cpus,
            "allocated_hosts": request.nodes,
            "nodes": job.shown_nodes,
        }
        if job.shown_nodes
        else {},
        "job_state": view.word(job),
        "last_sched_evaluation": _whole(job.changed_at),
        "memory_per_cpu": None if request.memory_given else resources.memory_mb // cpus_of_node,
        "memory_per_node": resources.memory_mb if request.memory_given else None,
        "minimum_cpus_per_node": request.cpus_per_task or 1,
        "name": request.name,
        "node_count": request.nodes,
        "nodes": job.shown_nodes,
        "partition": request.queue,
        "priority": int(fields.priority(row)),
        "qos": request.qos,
        "requeue": request.requeue is not False,
        "restart_cnt": job.attempt - 1,
        "resv_name": request.reservation,
        "standard_error": fields.file_name(row, request.stderr or request.stdout),
        "standard_input": fields.file_name(row, request.stdin),
        "standard_output": fields.file_name(row, request.stdout),
        "start_time": _whole(fields.start_time(row)),
        "state_reason": view.reason(job),
        "submit_time": _whole(view.submit_time(job)),
        "tasks": request.tasks,
        "tasks_per_node": request.tasks_per_node or 0,
        "time_limit": request.wall_time_seconds // 60,
        "tres_alloc_str": fields.tres(row) if job.phase is not JobPhase.ACCEPTED and job.shown_nodes else "",
        "tres_per_job": f"gres:gpu:{resources.gpus}" if request.gpus_given else "",
        "tres_per_node": fields.gpus(row).replace("N/A", ""),
        "tres_req_str": fields.tres(row),
        "user_id": request.uid,
        "user_name": request.user,
    }

"""Every recorded command line that makes sense here, typed again: shape and words must be SLURM's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.slurm import worlds
from tests.contract.slurm.masks import errors, lines
from tests.contract.slurm.playground import Playground

HERE = Path(__file__).parent
Case = dict[str, Any]

NOT_RUN: dict[str, list[str]] = yaml.safe_load((HERE / "not_run.yaml").read_text(encoding="utf-8"))
OURS: dict[str, Any] = yaml.safe_load((HERE / "ours.yaml").read_text(encoding="utf-8"))

WORLDS: tuple[tuple[str, worlds.World], ...] = (
    ("squeue/00[1-3]*", worlds.nothing),
    ("squeue/00[4-9]*", worlds.one_running),
    ("squeue/01*", worlds.one_running),
    ("squeue/02*", worlds.one_running),
    ("squeue/09[0-2]*", worlds.cancelled),
    ("squeue/11[01]*", worlds.finished),
    ("squeue/103*", worlds.array_partly_running),
    ("squeue/104*", worlds.array_finished),
    ("squeue/12*", worlds.long_names),
    ("squeue/137*", worlds.failed),
    ("squeue/13*", worlds.running("longforms")),
    ("squeue/*", worlds.many),
    ("scancel/02[7-9]*", worlds.held("arr", array="1-4")),
    ("scancel/030*", worlds.held("arr", array="1-4")),
    ("scancel/002*", worlds.held()),
    ("scancel/00[34]*", worlds.held_and_cancelled),
    ("scancel/060*", worlds.running("longforms")),
    ("scancel/*", worlds.cancel_filters),
    ("sacct/066*", worlds.requeued),
    ("sacct/067*", worlds.requeued_and_cancelled),
    ("sacct/068*", worlds.requeued_and_cancelled),
    ("sacct/080*", worlds.long_names),
    ("sacct/081*", worlds.held("longforms")),
    ("sacct/083*", worlds.failed),
    ("sacct/*", worlds.accounting),
    ("scontrol/03[3-4]*", worlds.held_by_root),
    ("scontrol/040*", worlds.requeue_running),
    ("scontrol/071*", worlds.running("longforms")),
    ("scontrol/*", worlds.control),
    ("sinfo/001*", worlds.nothing),
    ("sinfo/*", worlds.mixed),
    ("gateway/00[234]*", worlds.gateway_waiting),
    ("gateway/00[56]*", worlds.gateway_running),
    ("gateway/00[78]*", worlds.gateway_finished),
    ("gateway/009*", worlds.gateway_script),
    ("squeue/11[01]*", worlds.finished),
    ("gateway/01[123]*", worlds.six_on_four),
    ("gateway/014*", worlds.allocated),
    ("*", worlds.nothing),
)
"""The first that fits counts."""

# Partitions and jobs that only the recorded cluster can have: one that is closed, that drains, that waits
# for a node which never comes, or whose time limit is above that of its partition.
ELSEWHERE = (
    *("broken", "closed", "drain ", "drain|", "node3", "overlimi"),
    *("474", "475", "478", "479", "480"),
)
OPEN_ENDED = "infin"  # a partition without any time limit, which there is none of here
RUN = ("sbatch/*", "job/*", "srun/*", "life/05[34]*")
"""Cases whose jobs ran: they run here too, under the real wrapper."""

THEN_IN_ANY_ORDER = ("scancel/*",)
FILES_IN_ANY_ORDER = ("srun/*",)
ANY_ORDER = (
    "squeue/03*",
    "squeue/04*",
    "squeue/05*",
    "squeue/06*",
    "squeue/089*",
    "squeue/04[46]*",
    "sinfo/00[45]*",
)


def reason_not_run(name: str) -> str | None:
    """Why a case is not typed again; None when it is."""
    for reason, patterns in NOT_RUN.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    return None


def cases() -> Iterator[Any]:
    for file in sorted((HERE / "cases").glob("*.json")):
        if file.stem in ("directives", "matrix", "names"):
            continue
        for case in json.loads(file.read_text(encoding="utf-8")):
            name = f"{file.stem}/{case['name']}"
            if reason_not_run(name) is not None:
                continue
            yield pytest.param(name, case, id=name)


NODE = os.uname().nodename.split(".")[0]
NOT_THERE = (
    *(
        "SLURM_CONF=",
        "SLURM_WORKING_CLUSTER=",
        "SLURM_TASK_PID=",
        "AIRAVATA_MESOS_RUN=",
        "MAIL=",
        "PATH=",
        "TZ=",
    ),
    *("SBATCH_ACCOUNT=", "SBATCH_QOS=", "CUDA_VISIBLE_DEVICES=", "GPU_DEVICE_ORDINAL=", "SLURM_JOB_GPUS="),
)
"""Variables that mean nothing here, or that are different on any host."""


def in_files(playground: Playground, text: str) -> list[str]:
    """The masked lines of what a job wrote."""
    text = re.sub(r"/\S*/sandbox-\d+/.airavata-mesos/slurm_script", "/SPOOL/slurm_script", text)
    text = re.sub(r"/var/spool/slurmd/node\d/job\d+/slurm_script", "/SPOOL/slurm_script", text)
    for sandbox, directory in playground.sandboxes.items():
        text = text.replace(sandbox, directory)
    text = re.sub(r"(line \d+:) +\d+ ", r"\1 PID ", playground.there(text))
    text = text.replace(" root root ", " alice alice ")
    text = text.replace("Nlogin1-", "Nnode-").replace(f"N{NODE}-", "Nnode-")
    for host in (NODE, os.uname().nodename, "login1", "node1", "node2"):
        text = re.sub(rf"\b{re.escape(host)}\b", "node", text)
    found = [line for line in lines(text) if not line.startswith(NOT_THERE)]
    while found and not found[-1].strip():
        found.pop()
    return found


def world_of(name: str) -> worlds.World:
    return next(world for pattern, world in WORLDS if fnmatchcase(name, pattern))


def earlier(name: str, command: str) -> dict[str, str]:
    """The scripts of a command line that an earlier case of the folder left."""
    folder = name.split("/")[0]
    known = {"job.sh": worlds.JOB, "ok.sh": worlds.OK, "sleep.sh": worlds.JOB}
    for case in json.loads((HERE / "cases" / f"{folder}.json").read_text(encoding="utf-8")):
        if f"{folder}/{case['name']}" == name:
            break
        known.update(case.get("inputs", {}))
    words = [Path(word).name if word.startswith("/") else word for word in re.split(r"[\s;<>|]+", command)]
    return {
        file: text
        for file, text in known.items()
        if file in words or f"../{file}" in words or ("/" in file and file.split("/")[0] in command)
    }


@pytest.fixture
def typed(playground: Playground) -> Callable[..., Any]:
    def run(name: str, case: Case) -> Any:
        user = case.get("user", "alice")
        home = Path(playground.here(case.get("cwd", f"/home/{user}/run")))
        home.mkdir(parents=True, exist_ok=True)
        for file, text in {**earlier(name, case["command"]), **case.get("inputs", {})}.items():
            (home / file).parent.mkdir(parents=True, exist_ok=True)
            if file.startswith("crlf"):
                text = text.replace("\n", "\r\n")
            (home / file).write_bytes(playground.here(text).encode())
        world_of(name)(playground, case.get("job", 0))
        ours = OURS.get(name, {})
        environ = {"SBATCH_ACCOUNT": "physics", "SBATCH_QOS": "normal"}
        for variable, value in re.findall(r"(\w+)=(.*?)(?= \w+=|$)", case.get("env", "")):
            environ[variable] = value.replace("\\n", "\n")
        return playground.type(
            ours.get("command", case["command"]),
            user=user,
            cwd=case.get("cwd", ""),
            environ=environ,
            stdin=case.get("stdin"),
        )

    return run


@pytest.mark.parametrize(("name", "case"), list(cases()))
def test_a_recorded_line(playground: Playground, typed: Callable[..., Any], name: str, case: Case) -> None:
    done = typed(name, case)
    ours = OURS.get(name, {})
    expected = {
        key: ours.get(key, case.get(key, usual))
        for key, usual in (("stdout", ""), ("stderr", ""), ("exit", 0))
    }
    shown = lines(done.stdout)
    while shown and not shown[-1].strip():
        shown.pop()
    absent = () if "stdout" in ours or name.startswith("scontrol/017") else ELSEWHERE
    wanted = lines(expected["stdout"], absent)
    if name.startswith("sinfo"):
        shown, wanted = ([line for line in both if OPEN_ENDED not in line] for both in (shown, wanted))
    while wanted and not wanted[-1].strip():
        wanted.pop()
    if any(fnmatchcase(name, pattern) for pattern in ANY_ORDER):
        shown, wanted = sorted(shown), sorted(wanted)
    assert shown == wanted
    told = errors(done.stderr)
    said = errors(expected["stderr"])
    # SLURM's words first; a line of ours may say what to do about it.
    assert told[: len(said)] == said
    assert len(told) <= len(said) + (1 if said else 0)
    assert done.returncode == expected["exit"]
    if any(fnmatchcase(name, pattern) for pattern in RUN):
        playground.run_waiting()
    cwd = case.get("cwd", "/home/alice/run")
    if ours.get("files", True):
        for file, text in case.get("files", {}).items():
            path = Path(playground.here(f"{cwd}/{file}"))
            shown, wanted = in_files(playground, path.read_text(encoding="utf-8")), in_files(playground, text)
            if any(fnmatchcase(name, pattern) for pattern in FILES_IN_ANY_ORDER):
                shown, wanted = sorted(shown), sorted(wanted)
            assert shown == wanted, file
        for file in case.get("absent", ()):
            assert not Path(playground.here(f"{cwd}/{file}")).exists()
    any_order = any(fnmatchcase(name, pattern) for pattern in THEN_IN_ANY_ORDER)
    for command, code, output in case.get("then", ()) if ours.get("then", True) else ():
        playground.tick()
        playground.tick()
        after = playground.type(command, cwd=cwd)
        shown, wanted = in_files(playground, after.stdout + after.stderr), in_files(playground, output)
        assert (sorted(shown) if any_order else shown) == (sorted(wanted) if any_order else wanted), command
        assert after.returncode == code, command

"""Rendering: the shipped templates, overrides, what a template may not do, and errors that say where."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.config import ClusterSettings, QueueSettings, embedded_settings
from airavata_mesos_plugin.errors import ConfigurationError, InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.templating import (
    JobContext,
    StageIn,
    TemplateLibrary,
    job_context,
    wrapper_context,
)
from airavata_mesos_plugin.templating.environment import slurm_environment

LIBRARY = TemplateLibrary()
SETTINGS = embedded_settings()
CLUSTER: ClusterSettings = SETTINGS.clusters[0]
TOKEN = "@SANDBOX-0123@"  # noqa: S105 - no secret
URL = "http://127.0.0.1:8095/inputs/abc-DEF_1.2"


def a_queue(**values: Any) -> QueueSettings:
    return QueueSettings(**{"name": "default", "cluster": "embedded", "role": "airavata", **values})


def a_record(**request: Any) -> JobRecord:
    values: dict[str, Any] = {
        "name": "A1620574137",
        "user": "alice",
        "uid": 5001,
        "queue": "default",
        "working_directory": "/scratch/P1",
        "resources": Resources(cpus=2, memory_mb=1000, disk_mb=64),
        "wall_time_seconds": 1800,
        **request,
    }
    return JobRecord(
        id=7,
        request=JobRequest(**values),
        phase=JobPhase.ACCEPTED,
        cluster="embedded",
        key=JobKey("airavata", "prod", "mesos-7-2"),
        attempt=2,
        run=0,
        accepted_at=0,
        changed_at=0,
    )


def a_context(record: JobRecord | None = None, queue: QueueSettings | None = None) -> JobContext:
    return job_context(record or a_record(), queue or a_queue(), CLUSTER, StageIn("http", URL), "mesos")


def serial(record: JobRecord | None = None, queue: QueueSettings | None = None) -> dict[str, Any]:
    return LIBRARY.render_job("aurora", "serial", a_context(record, queue))


# The serial job


def test_serial_job() -> None:
    queue = a_queue(
        tier="preferred", priority=5, max_task_failures=2, constraints={"rack": "!r7"}, kill_grace_seconds=7
    )
    document = serial(queue=queue)
    task = document.pop("task")
    metadata = document.pop("metadata")
    assert document == {
        "cluster": "embedded",
        "role": "airavata",
        "environment": "prod",
        "name": "mesos-7-2",
        "instances": 1,
        "service": False,
        "tier": "preferred",
        "priority": 5,
        "max_task_failures": 2,
        "constraints": {"rack": "!r7"},
    }
    assert {entry["key"]: entry["value"] for entry in metadata} == {
        "airavata-mesos.id": "7",
        "airavata-mesos.provider": "mesos",
        "airavata-mesos.attempt": "2",
        "airavata-mesos.user": "alice",
        "airavata-mesos.name": "A1620574137",
        "airavata-mesos.accepted": "0",
        "airavata-mesos.directory": "/scratch/P1",
        "airavata-mesos.queue": "default",
        "airavata-mesos.stdout": "slurm-%25j.out",
        "airavata-mesos.uid": "5001",
        "airavata-mesos.wall-time": "1800",
    }
    stage_in, run = task.pop("processes")
    assert task == {
        "name": "mesos-7-2",
        "constraints": [{"order": ["stage_in", "run"]}],
        "resources": {"cpu": 2, "ram": 1000 * 1048576, "disk": 64 * 1048576},
        "max_failures": 1,
        "finalization_wait": 17,
    }
    assert (stage_in["name"], stage_in["max_failures"]) == ("stage_in", 3)
    assert f"url={URL}\n" in stage_in["cmdline"]
    assert (run["name"], run["max_failures"]) == ("run", 1)
    assert run["cmdline"] == "exec /bin/bash .airavata-mesos/run.sh"


def test_gpus_only_when_asked() -> None:
    resources = Resources(cpus=1, memory_mb=1, disk_mb=1, gpus=2)
    assert serial(a_record(resources=resources))["task"]["resources"]["gpu"] == 2
    assert "gpu" not in serial()["task"]["resources"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_a_user_wrote_reaches_a_command_line(name: str, text: str) -> None:
    hostile = serial(a_record(name=name, user=text, account=text, comment=text, script_arguments=(text,)))
    plain = serial()
    hostile.pop("metadata")
    plain.pop("metadata")
    assert hostile == plain


@given(st.text(alphabet="{}aé\"'\n$ ", max_size=10))
def test_no_braces_for_thermos(text: str) -> None:
    assert "{{" not in json.dumps(serial(a_record(name=text, user=text)))


def test_an_unsafe_name_stays_out_of_the_metadata() -> None:
    keys = [entry["key"] for entry in serial(a_record(name="{{x}}", user="a\nb"))["metadata"]]
    assert keys[:3] == ["airavata-mesos.id", "airavata-mesos.provider", "airavata-mesos.attempt"]
    assert not {"airavata-mesos.name", "airavata-mesos.user"} & set(keys)


@pytest.mark.parametrize("url", ["http://h/{{x}}", "http://h/a b", "file:///etc", "http://h/'\n", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"staging\.advertise"):
        job_context(a_record(), a_queue(), CLUSTER, StageIn("http", url))


def test_the_command_is_valid_shell() -> None:
    cmdline = serial()["task"]["processes"][0]["cmdline"]
    subprocess.run(["/bin/bash", "-n", "-c", cmdline], check=True)


# Administrators' templates


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_own_templates_win_in_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    write(first, "aurora/big.json.j2", '{"from": 1}')
    write(second, "aurora/big.json.j2", '{"from": 2}')
    write(second, "aurora/serial.json.j2", '{"from": {{ name | tojson }}}')
    library = TemplateLibrary([tmp_path / "missing", first, second])
    assert library.render_job("aurora", "big", a_context()) == {"from": 1}
    assert library.render_job("aurora", "serial", a_context()) == {"from": "mesos-7-2"}


def test_a_part_of_ours_can_be_replaced(tmp_path: Path) -> None:
    write(tmp_path, "aurora/stage_in.sh.j2", "echo {{ inputs_url | shell_quote }}\n")
    document: Any = TemplateLibrary([tmp_path]).render_job("aurora", "serial", a_context())
    assert document["task"]["processes"][0]["cmdline"] == f"echo {URL}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"a": {{ nosuch }}\n}', r"aurora/t\.json\.j2, line 2: 'nosuch' is undefined"),
        ("{\n{% if %}\n}", r"aurora/t\.json\.j2, line 2: Expected an expression"),
        ("{\n\n{{ 1 // 0 }}}", r"aurora/t\.json\.j2, line 3: "),
        ('{\n"a": 1\n"b": 2}', r"template aurora/t\.json\.j2: the result is not JSON: line 3 of the result"),
        ("", r"the result is not JSON: line 1"),
        ("[1]", r"a JSON list, not an object"),
        ('{"a": NaN}', r"NaN is not a JSON number"),
        ("{% include 'aurora/none.j2' %}", r"there is no template aurora/none\.j2 in "),
        ("{{ name.__class__.__mro__ }}", r"line 1: access to attribute '__class__' .* is unsafe"),
        ("{% include '../../etc/passwd' %}", r"there is no template"),
        ("{{ '\0' | shell_quote }}", r"NUL"),
    ],
)
def test_errors_name_template_line_and_fault(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "aurora/t.json.j2", text)
    with pytest.raises(ConfigurationError, match=said):
        TemplateLibrary([tmp_path]).render_job("aurora", "t", a_context())


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a.b", "x\n"])
def test_a_template_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not the name of a template"):
        LIBRARY.render_job("aurora", name, a_context())


def test_a_template_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="change the queue's setting template"):
        LIBRARY.render_job("aurora", "nosuch", a_context())


def test_json_is_plain(tmp_path: Path) -> None:
    write(tmp_path, "aurora/t.json.j2", "{\"a\": {{ '<&>\\'\"é\\n' | tojson }}}")
    library = TemplateLibrary([tmp_path])
    assert library.render_job("aurora", "t", a_context()) == {"a": "<&>'\"é\n"}


# The wrapper


def test_the_wrapper_is_valid_shell_and_renders_the_same_twice() -> None:
    context = wrapper_context(a_record(stderr="%x-%N.err"), a_queue(), SETTINGS, TOKEN)
    text = LIBRARY.render_wrapper(context)
    subprocess.run(["/bin/bash", "-n"], input=text.encode(), check=True)
    assert text == LIBRARY.render_wrapper(context)
    assert "{%" not in text
    assert context.limit_centiseconds == 180_000
    assert context.grace_centiseconds == 3000
    assert context.stderr_parts == ("A1620574137-", ".err")


def test_requests_that_no_wrapper_can_run() -> None:
    with pytest.raises(InvalidRequest, match="ask for fewer nodes"):
        wrapper_context(a_record(nodes=2), a_queue(), SETTINGS, TOKEN)
    with pytest.raises(InvalidRequest, match="SLURM_JOB_NAME holds a NUL"):
        wrapper_context(a_record(name="a\0b"), a_queue(), SETTINGS, TOKEN)
    with pytest.raises(InvalidRequest, match="argument holds a NUL"):
        wrapper_context(a_record(script_arguments=("a\0b",)), a_queue(), SETTINGS, TOKEN)
    with pytest.raises(InvalidRequest, match="--error climbs out"):
        wrapper_context(a_record(stderr="../x"), a_queue(), SETTINGS, TOKEN)
    for token in ("", "short", "with blank 123", "$(id)-----", "a" * 20 + "\n"):
        with pytest.raises(ValueError, match="not a token"):
            wrapper_context(a_record(), a_queue(), SETTINGS, token)


def test_variables_that_were_not_asked_for_are_absent() -> None:
    variables = slurm_environment(a_record(), "mesos")
    assert variables["SLURM_MEM_PER_CPU"] == "500"
    assert variables["SLURM_JOB_CPUS_PER_NODE"] == variables["SLURM_CPUS_ON_NODE"] == "2"
    assert variables["SLURM_CLUSTER_NAME"] == "mesos"
    for name in (
        "NTASKS",
        "NPROCS",
        "NTASKS_PER_NODE",
        "CPUS_PER_TASK",
        "MEM_PER_NODE",
        "JOB_ACCOUNT",
        "JOB_QOS",
    ):
        assert f"SLURM_{name}" not in variables


def test_variables_that_were_asked_for() -> None:
    record = a_record(
        tasks=4,
        tasks_given=True,
        tasks_per_node=4,
        cpus_per_task=2,
        memory_given=True,
        account="chem",
        qos="high",
        reservation="r1",
    )
    variables = slurm_environment(record, "mesos")
    expected = {
        "SLURM_NTASKS": "4",
        "SLURM_NPROCS": "4",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_TASKS_PER_NODE": "4",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_MEM_PER_NODE": "1000",
        "SLURM_JOB_ACCOUNT": "chem",
        "SLURM_JOB_QOS": "high",
        "SLURM_JOB_RESERVATION": "r1",
    }
    assert {name: variables[name] for name in expected} == expected
    assert "SLURM_MEM_PER_CPU" not in variables

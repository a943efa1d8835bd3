"""The file about the compute resource: the example is right, wrong entries are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airavata_mesos_plugin import config
from airavata_mesos_plugin.airavata.registration.compare import compare
from airavata_mesos_plugin.airavata.registration.resource import Resource, load
from airavata_mesos_plugin.errors import ConfigurationError

CONF = Path(__file__).parents[3] / "conf"

GOOD: dict[str, Any] = {
    "ssh": {"host": "submit.example.org"},
    "login_user": "airavata",
    "scratch": "/scratch",
    "bin_path": "/opt/bin",
    "credential": {"description": "key"},
    "queues": [
        {"name": "normal", "max_run_time_minutes": 60, "max_processors": 4, "max_memory_mb": 1024},
    ],
    "profile": {"name": "Mesos"},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def queue(**changes: Any) -> dict[str, Any]:
    return changed(queues=[{**GOOD["queues"][0], **changes}])


def settings(**limits: Any) -> config.ProviderSettings:
    return config.ProviderSettings.model_validate(
        {
            "clusters": [{"name": "c", "schedulers": ["http://a:1"], "mesos_masters": ["http://m:1"]}],
            "queues": [
                {"name": "normal", "cluster": "c", "role": "airavata", **limits},
                {"name": "spare", "cluster": "c", "role": "airavata"},
            ],
        }
    )


def test_the_example_fits_the_example_settings() -> None:
    resource = load(CONF / "compute-resource.yaml")
    provider, _ = config.load(str(CONF / "provider.yaml"), {})
    assert [check for check in compare(resource, provider) if not check.ok] == []


def test_all_that_the_example_leaves_out_is_valid_too() -> None:
    text = (CONF / "compute-resource.yaml").read_text().replace("#  token:", "# # token:")
    uncommented = re.sub(r"^( *)# ( *(?:- |[A-Za-z_]+:).*)$", r"\1\2", text, flags=re.MULTILINE)
    resource = Resource.model_validate(yaml.safe_load(uncommented))
    assert resource.storage is not None
    assert resource.storage.root == "/srv/gateway-data"
    assert [one.name for one in resource.applications] == ["Echo"]
    assert resource.profile.allocation_project == "proj42"
    assert resource.queues[0].macros == ("#SBATCH --requeue",)
    assert resource.parallelism_prefixes == {"MPI": "srun"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed(bin_path="bin"), "bin_path"),
        (changed(bin_path="/opt/my bin"), "bin_path"),
        (changed(scratch="/scratch/$USER"), "scratch"),
        (changed(login_user="a b"), "login_user"),
        (changed(name="Me sos"), "name"),
        (changed(ssh={"host": "h", "port": 0}), "ssh.port"),
        (changed(colour="red"), "colour"),
        (changed(credential={}), "either token"),
        (changed(credential={"token": "t", "description": "d"}), "either token"),
        (changed(queues=[]), "queues"),
        (changed(queues=GOOD["queues"] * 2), "queue 'normal' is defined twice"),
        (queue(name="my-queue"), "queues.0.name"),
        (queue(default_cpus=5), r"default_cpus is above the maximum of the queue \(5 > 4\)"),
        (queue(max_run_time_minutes=10), "default_run_time_minutes is above"),
        (queue(macros=["a,b"]), "queues.0.macros.0"),
        (queue(macros=["a\nb"]), "queues.0.macros.0"),
        (changed(commands={"SUBMISSION": "sbatch; rm"}), "commands.SUBMISSION"),
        (
            changed(applications=[{"name": "A", "executable": "/a", "parallelism": "MPI"}]),
            "application 'A' is MPI, for which parallelism_prefixes has no entry",
        ),
        (
            changed(applications=[{"name": "A", "executable": "/a", "default_queue": "x"}]),
            "application 'A' names the unknown queue 'x'",
        ),
        (
            changed(applications=[{"name": "A", "executable": "/a", "inputs": [{"name": "i"}] * 2}]),
            "two inputs have the same name",
        ),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    path = tmp_path / "compute-resource.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["queues: [", "text", "", "\x00"])
def test_files_that_are_no_resource(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"r\.yaml"):
        load(path)
    with pytest.raises(ConfigurationError, match="cannot read the compute resource"):
        load(tmp_path / "none.yaml")


def test_the_default_queue() -> None:
    assert Resource.model_validate(GOOD).default_queue.name == "normal"
    second = {**GOOD["queues"][0], "name": "second", "default": True}
    resource = Resource.model_validate(changed(queues=[*GOOD["queues"], second]))
    assert resource.default_queue.name == "second"


def test_queues_that_agree() -> None:
    checks = compare(Resource.model_validate(GOOD), settings(max_cpus=4, max_memory_mb=1024))
    assert [(check.subject, check.ok) for check in checks] == [
        ("registered queue normal", True),
        ("queue spare", True),
    ]
    assert "not offered" in checks[1].detail


@pytest.mark.parametrize(
    ("document", "limits", "message"),
    [
        (
            GOOD,
            {"max_wall_time_minutes": 59, "default_wall_time_minutes": 1},
            "above the provider's 59",
        ),
        (GOOD, {"max_cpus": 3}, "max_processors 4 is above the provider's 3"),
        (GOOD, {"max_memory_mb": 1000}, "max_memory_mb 1024 is above the provider's 1000"),
        (queue(max_nodes=2), {}, "max_nodes 2 is above the provider's 1"),
        (queue(name="other"), {}, "the provider has no such queue, only normal, spare"),
    ],
)
def test_queues_that_disagree(document: dict[str, Any], limits: dict[str, Any], message: str) -> None:
    wrong = [c for c in compare(Resource.model_validate(document), settings(**limits)) if not c.ok]
    assert [message in check.detail for check in wrong] == [True]

"""Ways of files in the settings: what belongs together, and the examples of the guide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airavata_mesos_plugin.config import ProviderSettings

GUIDE = Path(__file__).parents[2] / "docs" / "transports.md"
SFTP = {"key": "/etc/key", "known_hosts": "/etc/hosts"}


def settings(queue: dict[str, Any], **cluster: Any) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "clusters": [
                {
                    "name": "c",
                    "schedulers": ["http://scheduler:8081"],
                    "mesos_masters": ["http://master:5050"],
                    **cluster,
                }
            ],
            "queues": [{"name": "q", "cluster": "c", "role": "airavata", **queue}],
        }
    )


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        ({"inputs": {"method": "shared"}}, "shared is for inputs and outputs together"),
        ({"outputs": {"method": "shared"}}, "shared is for inputs and outputs together"),
        ({"inputs": {"method": "sftp"}}, "needs sftp in the cluster"),
        ({"outputs": {"method": "sftp"}}, "needs sftp in the cluster"),
        ({"outputs": {"method": "ftp"}}, "outputs.method"),
        ({"outputs": {"nodes": "both"}}, "outputs.nodes"),
        ({"inputs": {"method": "sftp"}, "max_nodes": 2}, "sftp serves one node, max_nodes is 2"),
        ({"outputs": {"method": "push", "nodes": "all"}}, "only the first node sends"),
    ],
)
def test_ways_that_do_not_fit(queue: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(queue)


def test_the_examples_of_the_guide() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(examples) == 4
    queues, shared, sftp, push = (yaml.safe_load(re.sub(r"(?m)^( *)##? ", r"\1", text)) for text in examples)
    assert settings(queues["queues"][0] | {"cluster": "c"}).queues[0].outputs.method == "files_api"
    assert settings(shared).queues[0].inputs.on_agents("/scratch/x") == "/mnt/gateway/scratch/x"
    both = {"inputs": {"method": "sftp"}, "outputs": {"method": "sftp"}}
    assert settings(both, sftp=sftp["clusters"][0]["sftp"]).clusters[0].sftp is not None
    assert settings(push).queues[0].outputs.push_seconds == 600
    assert settings(both, sftp=SFTP).clusters[0].sftp is not None

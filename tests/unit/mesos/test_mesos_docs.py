"""docs/mesos.md and conf/provider.yaml say what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from airavata_mesos_plugin.config import MesosSettings, ProviderSettings
from airavata_mesos_plugin.schedulers.mesos.pymesos_loader import VERSION

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/mesos.md").read_text()


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
    assert {name for name in rows if name in MesosSettings.model_fields} == set(MesosSettings.model_fields)
    days = {"28 days": 28 * 86400.0, "1 day": 86400.0}
    for name, field in MesosSettings.model_fields.items():
        told = rows[name].strip()
        if isinstance(field.default, float):
            assert days.get(told) or float(told) == field.default, name
        elif isinstance(field.default, str):
            assert told == field.default, name


def test_the_examples_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    document: dict[str, Any] = yaml.safe_load(blocks[0])
    for block in blocks[1:]:
        document["queues"] += yaml.safe_load(block)
    settings = ProviderSettings.model_validate(document)
    assert {queue.name for queue in settings.queues} == {
        "normal",
        "licensed",
        "tools",
        "gpu",
        "with_software",
    }
    assert settings.clusters[0].kind == "mesos"


def test_the_commented_example_of_the_configuration_is_valid() -> None:
    text = (ROOT / "conf/provider.yaml").read_text()
    begin = text.index("  ## - name: bare")
    block = text[begin : text.index("\n\n", begin)]
    (cluster,) = yaml.safe_load(block.replace("  ## ", ""))
    queue = {"name": "q", "cluster": "bare", "role": "www"}
    settings = ProviderSettings.model_validate({"clusters": [cluster], "queues": [queue]})
    shown = settings.clusters[0].mesos.model_dump()
    assert shown == MesosSettings().model_dump()
    assert set(cluster["mesos"]) == set(MesosSettings.model_fields) - {"user"}


def test_the_way_to_install_is_the_same_everywhere() -> None:
    pinned = f"--no-deps --use-pep517 pymesos=={VERSION}"
    assert pinned in TEXT
    assert pinned in (ROOT / "Makefile").read_text()

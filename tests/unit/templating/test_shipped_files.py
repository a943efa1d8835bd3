"""The files that come with the package: where they are found, and that the examples are right."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from airavata_mesos_plugin import data_files
from airavata_mesos_plugin.config import load
from airavata_mesos_plugin.errors import ConfigurationError


def test_a_checkout_has_them_at_its_top() -> None:
    root = Path(__file__).parents[3]
    assert data_files.directory("templates") == root / "templates"
    assert (data_files.directory("thrift") / "aurora" / "api.thrift").is_file()


def test_an_installed_package_has_them_inside(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "airavata_mesos_plugin"
    (package / "data" / "templates").mkdir(parents=True)
    (package.parent / "templates").mkdir()
    assert data_files.directory("templates", package) == package / "data" / "templates"


def test_a_folder_that_happens_to_lie_beside_the_package_is_not_ours(tmp_path: Path) -> None:
    package = tmp_path / "airavata_mesos_plugin"
    (tmp_path / "conf").mkdir()
    with pytest.raises(ConfigurationError, match="install the package again"):
        data_files.directory("conf", package)


def test_the_example_settings_are_valid() -> None:
    settings, path = load(str(data_files.directory("conf") / "provider.yaml"), {})
    assert path is not None
    assert not any(cluster.embedded for cluster in settings.clusters)
    assert settings.queue(None).name == "normal"
    assert settings.queue("large_memory").constraints == {"class": "highmem", "rack": "!r7"}


def test_the_defaults_that_the_example_mentions_are_the_defaults(tmp_path: Path) -> None:
    text = (data_files.directory("conf") / "provider.yaml").read_text(encoding="utf-8")
    told = [line.replace("# ", "", 1) for line in text.splitlines() if "# " in line and _setting(line)]
    assert len(told) > 10
    whole = []
    for line in text.splitlines():
        whole.append(line.replace("# ", "", 1) if _setting(line) else line)
    changed = tmp_path / "provider.yaml"
    changed.write_text("\n".join(whole), encoding="utf-8")
    assert load(str(changed), {})[0] == load(str(data_files.directory("conf") / "provider.yaml"), {})[0]


def _setting(line: str) -> bool:
    """A commented line that shows the default of one setting."""
    words = line.strip().split()
    return (
        len(words) > 2
        and words[0] == "#"
        and words[1].replace("_", "").rstrip(":").isalpha()
        and (words[1].endswith(":") and words[1].islower() and words[1] != "template_directories:")
    )


@pytest.mark.parametrize("name", ["airavata-mesos", "airavata-mesos-host"])
def test_the_service_units_are_whole(name: str) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(data_files.directory("conf") / f"{name}.service", encoding="utf-8")
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    assert unit["Service"]["ExecStart"].endswith("airavata-mesos serve")
    assert unit["Service"]["Type"] == "simple"

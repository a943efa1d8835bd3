"""Settings are read from where they should be, and wrong ones are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin import config
from airavata_mesos_plugin.errors import ConfigurationError, NotFound

GOOD = """
clusters:
  - name: prod
    schedulers: [http://aurora1:8081/, "http://aurora2:8081"]
    mesos_masters: [http://master:5050]
queues:
  - {name: default, cluster: prod, role: airavata}
  - {name: long, cluster: prod, role: airavata, max_wall_time_minutes: 20000, tier: preferred}
default_queue: long
"""


def write(directory: Path, text: str) -> str:
    path = directory / "provider.yaml"
    path.write_text(text)
    return str(path)


def test_a_good_file(tmp_path: Path) -> None:
    settings, path = config.load(write(tmp_path, GOOD), {})
    assert path == tmp_path / "provider.yaml"
    assert settings.clusters[0].schedulers == ("http://aurora1:8081", "http://aurora2:8081")
    assert settings.queue(None).name == "long"
    assert settings.queue("default").tier == "preemptible"
    assert settings.cluster("prod").kind == "aurora"
    with pytest.raises(NotFound, match="invalid partition specified: nosuch"):
        settings.queue("nosuch")
    with pytest.raises(NotFound, match="no cluster"):
        settings.cluster("nosuch")


def test_precedence(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    nowhere = tmp_path / "system.yaml"
    assert config.load(None, {}, nowhere)[1] is None
    assert config.load(None, {}, nowhere)[0].clusters[0].embedded
    assert config.load(None, {"AIRAVATA_MESOS_CONFIG": file}, nowhere)[1] == Path(file)
    assert config.load(None, {}, Path(file))[1] == Path(file)
    other = tmp_path / "other.yaml"
    other.write_text(GOOD)
    assert config.load(str(other), {"AIRAVATA_MESOS_CONFIG": file}, nowhere)[1] == other


def test_home_directory(tmp_path: Path) -> None:
    assert config.home_directory(None, {"AIRAVATA_MESOS_HOME": str(tmp_path)}) == tmp_path
    assert config.home_directory("/x", {"AIRAVATA_MESOS_HOME": str(tmp_path)}) == Path("/x")
    assert config.home_directory(None, {}).name == "airavata-mesos"


@pytest.mark.parametrize(("uid", "is_systems"), [(0, True), (5001, False)])
def test_root_has_a_home_of_its_own(mocker: MockerFixture, uid: int, is_systems: bool) -> None:
    mocker.patch("os.geteuid", return_value=uid)
    assert (config.home_directory(None, {}) == config.SYSTEM_HOME) is is_systems


def test_an_account_without_a_daemon_turns_to_roots(
    tmp_path: Path, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mocker.patch("os.geteuid", return_value=5001)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own, system = tmp_path / "state" / "airavata-mesos", tmp_path / "system"
    assert config.serving_home(None, {}, system) == own
    system.mkdir()
    assert config.serving_home(None, {}, system) == system
    assert config.serving_home(None, {"AIRAVATA_MESOS_HOME": "/x"}, system) == Path("/x")
    assert config.serving_home("/y", {}, system) == Path("/y")
    own.mkdir(parents=True)
    assert config.serving_home(None, {}, system) == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("role: airavata}\n  - {name: long", "role: a b}\n  - {name: long"), r"queues\.0\.role"),
        (("name: default", "name: my-queue"), r"queues\.0\.name"),
        (
            ("cluster: prod, role: airavata}\n", "cluster: other, role: airavata}\n"),
            "unknown cluster 'other'",
        ),
        (("name: long", "name: default"), "queue 'default' is defined twice"),
        (("default_queue: long", "default_queue: x"), "default_queue 'x' is not a queue"),
        (("[http://master:5050]", "[]"), r"clusters\.0: give mesos_masters"),
        (("http://master:5050", "master:5050"), "is not an http:// or https:// address"),
        (("http://master:5050", "http://me:secret@master:5050"), "must not hold a user name or password"),
        (("default_queue: long", "colour: red"), "colour: Extra inputs are not permitted"),
        (("max_wall_time_minutes: 20000", "max_wall_time_minutes: 5"), "above max_wall_time_minutes"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigurationError, match=message) as caught:
        config.load(write(tmp_path, GOOD.replace(*change, 1)), {})
    assert "provider.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["clusters: [", "just text", "\x00", ""])
def test_files_that_are_no_settings(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"provider\.yaml"):
        config.load(write(tmp_path, text), {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the configuration"):
        config.load(str(tmp_path / "none.yaml"), {})

"""The word of a job that ran in a shared working directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.config import InputSettings
from airavata_mesos_plugin.errors import NotFound, TransferError
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.agent.source import AgentSource
from airavata_mesos_plugin.sandbox.origins import SHARED, shared_details
from airavata_mesos_plugin.sandbox.shared_source import SharedSource
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress

WORD = b"exit_code=0\ntimed_out=0\nstarted_at=1\nended_at=2\n"


def source(mocker: MockerFixture, directory: Path, at_agent: bytes | Exception) -> SharedSource:
    agent = mocker.create_autospec(AgentSource, instance=True)
    agent.read.side_effect = [at_agent] if isinstance(at_agent, bytes) else at_agent
    address = SandboxAddress("http://127.0.0.1:1", "/frameworks/F")
    return SharedSource(Origin(SHARED, address, shared_details(str(directory), 12, 1)), agent)


def write(directory: Path, content: bytes) -> None:
    path = directory / layout.shared_result(12, 1)
    path.parent.mkdir()
    path.write_bytes(content)


def test_the_word_in_the_directory_needs_no_agent(mocker: MockerFixture, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path, WORD)
    assert source(mocker, tmp_path, AssertionError()).read(layout.RESULT_FILE, 4096) == WORD


def test_a_word_that_is_not_visible_yet_is_waited_for(mocker: MockerFixture, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="not visible") as caught:
        source(mocker, tmp_path, WORD).read(layout.RESULT_FILE, 4096)
    assert caught.value.transient


def test_half_a_word_is_none(mocker: MockerFixture, tmp_path: Path) -> None:
    write(tmp_path, WORD[:-1])
    with pytest.raises(TransferError, match="not visible"):
        source(mocker, tmp_path, WORD).read(layout.RESULT_FILE, 4096)


def test_a_job_that_did_not_run_is_not_waited_for(mocker: MockerFixture, tmp_path: Path) -> None:
    word = WORD + b"reason=no directory\n"
    assert source(mocker, tmp_path, word).read(layout.RESULT_FILE, 4096) == word
    with pytest.raises(NotFound):
        source(mocker, tmp_path, NotFound("no result")).read(layout.RESULT_FILE, 4096)


def test_a_link_in_the_place_of_the_word_is_not_followed(mocker: MockerFixture, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(WORD)
    path = tmp_path / layout.shared_result(12, 1)
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferError, match="not visible"):
        source(mocker, tmp_path, WORD).read(layout.RESULT_FILE, 4096)


@pytest.mark.parametrize(
    ("mapping", "there"),
    [
        ({}, "/scratch/gw/P1"),
        ({"/scratch": "/mnt/scratch"}, "/mnt/scratch/gw/P1"),
        ({"/scratch/": "/mnt/"}, "/mnt/gw/P1"),
        ({"/scratch": "/a", "/scratch/gw": "/b"}, "/b/P1"),
        ({"/scratch/g": "/a"}, "/scratch/gw/P1"),
        ({"/": "/export"}, "/export/scratch/gw/P1"),
        ({"/scratch/gw/P1": "/"}, "/"),
    ],
)
def test_names_on_the_agents(mapping: dict[str, str], there: str) -> None:
    assert InputSettings(method="shared", shared_path_map=mapping).on_agents("/scratch/gw/P1") == there


@pytest.mark.parametrize("wrong", [{"scratch": "/a"}, {"/a": "b"}, {"/a": ""}])
def test_names_that_are_no_paths(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not an absolute path"):
        InputSettings(method="shared", shared_path_map=wrong)

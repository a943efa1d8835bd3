"""Every command of the guide that needs no server runs as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "registration.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.+?)\n```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide(command: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "conf" / "compute-resource.yaml", tmp_path)
    words = command.split()
    assert words[0] == "airavata-mesos"
    program = [sys.executable, "-m", "airavata_mesos_plugin.cli", *words[1:]]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Mesos" in done.stdout


def test_there_are_such_commands() -> None:
    assert len(COMMANDS) == 2


def test_options_of_the_guide_exist() -> None:
    for name in ("register", "unregister", "doctor"):
        program = [sys.executable, "-m", "airavata_mesos_plugin.cli", name, "--help"]
        known = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True).stdout
        blocks = re.findall(rf"^airavata-mesos {name}\b(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
        assert blocks
        for option in re.findall(r"--[a-z-]+", " ".join(blocks)):
            assert option in known, f"{name} {option}"

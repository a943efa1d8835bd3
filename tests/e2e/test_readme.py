"""The commands of the README work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.site import Site, environment

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^[ ]*```sh\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("make demo", "make test")
"""Run by the continuous integration as a whole."""


def shell_lines(text: str) -> list[str]:
    """The lines of all blocks that are marked as shell."""
    lines = [line.strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    commands = [line for line in shell_lines((ROOT / "README.md").read_text()) if line not in ELSEWHERE]
    assert commands
    site = Site(tmp_path, None, {})
    site.start()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "airavata-mesos").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m airavata_mesos_plugin.cli "$@"\n'
    )
    (programs / "airavata-mesos").chmod(0o755)
    variables = environment(
        HOME=str(tmp_path),
        AIRAVATA_MESOS_HOME=str(site.home),
        PATH=f"{programs}:{os.environ['PATH']}",
    )
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=site.work(),
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert (tmp_path / "airavata-mesos/bin/sbatch").exists()
    site.stop()


def test_blocks_are_found() -> None:
    assert shell_lines("a\n```sh\none\n# no\n\n  two\n```\n```\nnot\n```\n   ```sh\n   three\n   ```\n") == [
        *("one", "two", "three")
    ]

"""What make installs on a machine that has nothing yet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_all_lists_of_packages_are_installed() -> None:
    """A list that is named before it is written would be empty."""
    lists = re.findall(r"^APT_\w+ := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {word for line in lists for word in line.split() if not word.startswith("$")}
    planned = subprocess.run(
        ["make", "-n", "system-packages", "bench-packages"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = {word for line in re.findall(r"for p in ([^;]*);", planned) for word in line.split()}
    assert named <= installed
    assert len(named) > 20

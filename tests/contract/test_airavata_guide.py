"""The commands of docs/airavata.md work as they stand there, with the example's names replaced."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.contract.door import Door
from tests.support.site import environment

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "airavata.md"
COMMAND = re.compile(r"^airavata-mesos .*$", re.MULTILINE)


def test_every_command_of_the_guide_works(door: Door, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(door.host.known_hosts)
    (tmp_path / "local").mkdir()
    program = f"{sys.executable} -m airavata_mesos_plugin.cli --home {door.site.home} "
    replaced = {
        "airavata-mesos ": program,
        "airavata@mesos.example.org": door.host.target,
        "id_airavata": str(door.host.identity),
        "/opt/airavata-mesos/bin": str(door.site.commands),
        "/usr/local/bin": str(tmp_path / "local"),
    }
    commands = COMMAND.findall(GUIDE.read_text())
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", re.sub("|".join(map(re.escape, replaced)), lambda x: replaced[x[0]], command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=environment(HOME=str(home)),
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert (home / "airavata-mesos" / "bin" / "sbatch").exists()
    assert (tmp_path / "local" / "sacct").is_symlink()

"""The daemon does with the rights that its service unit leaves it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from airavata_mesos_plugin import data_files
from airavata_mesos_plugin.config import AccountSettings
from tests.integration.accounts.conftest import HostFactory, Person, status

DOCUMENT = Path(__file__).parents[3] / "docs" / "accounts.md"


def test_the_capabilities_of_the_unit_are_enough(own_host: HostFactory, alice: Person, commons: Path) -> None:
    unit = (data_files.directory("conf") / "airavata-mesos-host.service").read_text(encoding="utf-8")
    match = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    assert match is not None
    names = [name.removeprefix("CAP_").lower() for name in match[1].split()]
    assert "NoNewPrivileges=yes" in unit
    bounds = ",".join(["-all", *(f"+{name}" for name in names)])
    host = own_host(prefix=("setpriv", "--no-new-privs", f"--bounding-set={bounds}"))
    assert int(status(host.site.daemon.pid)["CapEff"], 16).bit_count() == len(names)
    work = alice.makes(commons / "work", mode=0o700)
    host.completed(host.accepted(alice, work, "echo x > out\n"))
    assert (work / "out").stat().st_uid == alice.uid
    (pid,) = host.helpers(alice)
    assert status(pid)["CapBnd"] == "0" * 16
    # Root has no power over files of others there.
    code = host.site.cli("submit", f"--chdir={work}", str(work / "job.sh"), code=None).returncode
    assert code != 0


def test_the_settings_of_the_page_are_settings() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    settings = AccountSettings.model_validate(yaml.safe_load(block)["accounts"])
    assert settings.allow == ("gateway1", "@portal-users")
    assert not settings.see_all_jobs

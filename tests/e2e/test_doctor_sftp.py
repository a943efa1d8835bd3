"""doctor tries to log in to the agents."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.site import Site, SiteFactory
from tests.support.ssh_agents import agents_sshd


def sftp_checks(site: Site) -> dict[str, tuple[bool, str]]:
    checks = json.loads(site.cli("doctor", "--json", code=None).stdout)
    return {
        check["subject"]: (check["ok"], check["detail"]) for check in checks if "sftp" in check["subject"]
    }


def test_doctor_logs_in_to_the_agents(own_site: SiteFactory, tmp_path: Path) -> None:
    with agents_sshd(tmp_path / "ssh") as sftp:
        site = own_site(clusters={"sftp": sftp}, queues={"outputs": {"method": "sftp"}})
        ((subject, found),) = sftp_checks(site).items()
        assert subject.startswith(f"cluster testing: sftp {sftp['user']}@")
        assert found == (True, "logs in")
        Path(str(sftp["known_hosts"])).write_text("")
        ((_, (ok, detail)),) = sftp_checks(site).items()
        assert not ok
        assert "ssh-keyscan" in detail
        Path(str(sftp["known_hosts"])).unlink()
        ((_, (ok, detail)),) = sftp_checks(site).items()
        assert not ok
        assert "cannot read the host keys" in detail


def test_nothing_is_tried_where_nothing_uses_it(own_site: SiteFactory, tmp_path: Path) -> None:
    unused = {"key": str(tmp_path / "none"), "known_hosts": str(tmp_path / "none")}
    assert sftp_checks(own_site(clusters={"sftp": unused})) == {}

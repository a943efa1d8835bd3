"""The whole road on a cluster that wants certificates and credentials everywhere, to a node of choice."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.realmesos.access import make_tls
from tests.support.mesos_site import running_mesos_site
from tests.support.real_mesos import RealMesosFactory
from tests.support.site import lines

SECRET = "a word that nobody may see"  # noqa: S105 - of this test


def test_a_job_on_a_guarded_cluster(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    tls = make_tls(tmp_path / "tls", "127.0.1.1", "127.0.1.2", "127.0.2.1")
    cluster = own_real_mesos(agents=2, tls=tls, credentials={"gateway": SECRET})
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    login = {"mechanism": "basic", "user": "gateway", "password": {"file": str(secret)}}
    settings = {
        "clusters": {"authentication": login, "mesos_authentication": login, "tls": {"ca": str(tls.ca_file)}}
    }
    (tmp_path / "site").mkdir()
    with running_mesos_site(tmp_path / "site", cluster, settings) as site:
        work = site.work()
        (work / "input.txt").write_text("words\n")
        script = JobScript(work, "cat input.txt; echo more > result", directives=("#SBATCH -w 127.0.1.2",))
        job = site.accepted(script)
        document = site.finished(job, "COMPLETE")
        assert document["host"] == "127.0.1.2"
        assert lines(work / "App.stdout") == ["words"]
        assert lines(work / "result") == ["more"]
        assert SECRET not in site.daemon.log
        assert SECRET not in site.cli("doctor", code=None).stdout

"""A real Mesos whose agents have images and Docker, one of them GPUs and licenses; queues for all of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.compute_resource import ClusterAddresses
from tests.contract.airavata_caller import Submission
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.containers import ContainerHost, lacking
from tests.support.hasty_wrapper import hasty_templates
from tests.support.mesos_site import MesosSite
from tests.support.waiting import wait_for

IMAGE = "tools"
GPUS = LICENSES = 2
RESOURCES = (
    f"cpus:4;mem:4096;disk:8192;ports:[31000-31999];licenses:{LICENSES}",
    "cpus:1;mem:1024;disk:1024;ports:[31000-31999];gpus:0",
)
QUEUES: Sequence[Mapping[str, Any]] = (
    {
        "name": "image",
        "template": "docker",
        "values": {"image": IMAGE, "containerizer": "mesos"},
        "max_nodes": 2,
    },
    {
        "name": "docker",
        "template": "docker",
        "values": {"image": IMAGE, "parameters": "user=0:4321"},
        "max_nodes": 2,
    },
    {
        "name": "docker_push",
        "template": "docker",
        "values": {"image": IMAGE},
        "outputs": {"method": "push"},
    },
    {
        "name": "absent",
        "template": "docker",
        "values": {"image": "nothing", "containerizer": "mesos"},
        "constraints": {"host": "127.0.1.1"},
    },
    {"name": "absent_docker", "template": "docker", "values": {"image": "nowhere"}},
    {"name": "gpu", "template": "gpu"},
    {"name": "gpu_image", "template": "gpu", "values": {"image": IMAGE}},
    {"name": "licensed", "mesos": {"task": {"resources": {"named": {"licenses": 1}}}}},
)


class ContainerSite(MesosSite):
    """A resource with all these queues."""

    def __init__(self, directory: Path, mesos: RealMesosCluster, host: ContainerHost) -> None:
        settings = {
            "template_directories": [hasty_templates(directory)],
            "queues": {"kill_grace_seconds": 60},  # nobody needs it all, unless the machine stands still
            "fetch": {"retry_seconds": 0.1, "attempts": 2},  # where nothing started there is nothing to fetch
        }
        super().__init__(directory, mesos, settings)
        self.host = host
        self.software = directory / "software"
        """A directory of the agents; jobs in the queues image and docker have it as /software."""

    def _configure(self, addresses: ClusterAddresses) -> None:
        super()._configure(addresses)
        assert self.config is not None
        document = json.loads(self.config.read_text())
        (first,) = document["queues"]
        document["queues"] += [{**first, **queue} for queue in QUEUES]
        self.software.mkdir(exist_ok=True)
        volume = {"mode": "RO", "container_path": "/software", "host_path": str(self.software)}
        for queue in document["queues"]:
            if queue["name"] in ("image", "docker"):
                queue["mesos"] = {"task": {"container": {"volumes": [volume]}}}
        self.config.write_text(json.dumps(document))

    def waits(self, job: Submission, why: str) -> None:
        """Wait until the job waits for this reason; what is known of the agents may be older than the job."""
        wait_for(lambda: str(self.show(job)["reason"]), why.__eq__, why, context=lambda: self.daemon.log)

    def job(
        self, queue: str, command: str, *directives: str, work: Path | None = None, wall_time: str = "10:0:00"
    ) -> Submission:
        """A job that was accepted, in one of the queues."""
        script = JobScript(
            work or self.work(),
            command,
            queue=queue,
            wall_time=wall_time,
            directives=tuple(f"#SBATCH {directive}" for directive in directives),
            realtime=False,
        )
        return self.accepted(script)


@pytest.fixture(scope="session")
def site(real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerSite]:
    why = lacking()
    if why:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with ExitStack() as stack:
        host = ContainerHost(tmp_path_factory.mktemp("host"), real_mesos_build, image=IMAGE, gpus=GPUS)
        stack.callback(host.close)
        cluster = stack.enter_context(
            RealMesosCluster(
                tmp_path_factory.mktemp("mesos"),
                real_mesos_build,
                agents=0,
                agent_prefix=host.prefix(),
            )
        )
        for number, resources in enumerate(RESOURCES, 1):
            cluster.add_agent(*host.flags(number), f"--resources={resources}")
        cluster.registered(len(RESOURCES))
        made = ContainerSite(tmp_path_factory.mktemp("site"), cluster, host)
        made.start()
        stack.callback(made.stop)
        made.install()
        yield made

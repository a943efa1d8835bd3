"""A compute resource with its cluster, as the tests here use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.compute_resource import CLI, ComputeResource, Document
from airavata_mesos_plugin.testing.minicluster_process import MiniclusterProcess as Minicluster
from airavata_mesos_plugin.testing.programs import own_environment as environment
from tests.support.waiting import wait_for

__all__ = ["CLI", "Document", "Minicluster", "Site", "SiteFactory", "environment", "lines", "running_site"]


class Site(ComputeResource):
    """One home directory with everything that works on it."""

    def __init__(
        self,
        directory: Path,
        minicluster: Minicluster | None,
        settings: Mapping[str, object],
        prefix: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, minicluster, settings, prefix)
        self.minicluster = minicluster

    def in_phase(self, job: Submission, *phases: str, seconds: float = 60.0) -> Document:
        """Wait until the job is in one of the phases; its document."""
        return self.wait_for_phase(job, *phases, seconds=seconds)

    def wrote(self, job_id: str, text: str, name: str = "App.stdout") -> None:
        """Wait until an output of a job, which may still run, has just this text."""

        def look() -> str:
            try:
                return self.client.read(int(job_id), name, 0)[0].decode()
            except AiravataMesosError as error:
                return str(error)

        wait_for(look, text.__eq__, f"{text!r} in {name}", context=lambda: self.daemon.log)


@contextmanager
def running_site(
    directory: Path, *, cpus: int = 8, settings: Mapping[str, object] | None = None
) -> Iterator[Site]:
    """A site on a minicluster of its own process, with everything running."""
    minicluster = Minicluster(directory, cpus=cpus)
    site = Site(directory, minicluster, settings or {})
    minicluster.start()
    try:
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()
    finally:
        minicluster.stop()


def lines(path: Path) -> Sequence[str]:
    """The lines of a file that may not be there."""
    return path.read_text().splitlines() if path.exists() else []


SiteFactory = Callable[..., Site]

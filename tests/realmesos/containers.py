"""What agents need that run containers: images, the stand-in of docker, stand-ins of GPUs. For root only."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from tests.realmesos.images import CONFIG, make_rootfs, save
from tests.support.waiting import wait_for

CGROUPS = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "devices", "freezer", "memory")
ISOLATION = ("filesystem/linux", "docker/runtime", "cgroups/devices", "gpu/nvidia")


def lacking() -> str:
    """Why there can be no containers here; empty when there can."""
    if os.geteuid() != 0:
        return "containers of Mesos need root"
    absent = [name for name in NEEDED if not (CGROUPS / name / "cgroup.procs").exists()]
    return f"Mesos 1.11 needs cgroups of version 1: {', '.join(absent)}" if absent else ""


class ContainerHost:
    """Flags and a prefix for agents whose containers may have images and GPUs.

    ``image`` is the name of the image that is there. Mounts of an agent stay in a namespace of its own. Each
    agent believes that it has all the GPUs, unless its resources say how many.
    """

    def __init__(self, directory: Path, build: Path, *, image: str, gpus: int) -> None:
        self._directory = directory
        self._build = build
        self._gpus = gpus
        self._group = f"airavata-mesos-test-{uuid.uuid4()}"
        images, self._archives = directory / "docker/images", directory / "archives"
        for made in (images, self._archives, directory / "host"):
            made.mkdir(parents=True)
        make_rootfs(images / image)
        (images / f"{image}.json").write_text(json.dumps(CONFIG))
        save(images / image, self._archives / f"{image}.tar", image)

    def flags(self, number: int) -> list[str]:
        """For the agent with this number; they replace those that an agent has otherwise."""
        return [
            "--launcher=linux",
            f"--cgroups_root={self._group}-{number}",
            f"--isolation={','.join(ISOLATION)}",
            "--image_providers=docker",
            f"--docker_registry={self._archives}",
            f"--docker_store_dir={self._directory}/store{number}",
            "--containerizers=docker,mesos",
            f"--docker={self._build}/docker",
            f"--docker_socket={self._directory}/docker/docker.sock",
        ]

    def prefix(self) -> list[str]:
        """What agents are started with."""
        script = Path(__file__).with_name("gpu_host.sh")
        host = [str(self._gpus), str(self._build / "gpus"), str(self._directory / "host")]
        return ["unshare", "--mount", "--propagation", "slave", "bash", str(script), *host]

    def docker_calls(self) -> list[list[str]]:
        """Every command line of docker so far, without the socket."""
        calls = self._directory / "docker/calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def close(self) -> None:
        """Remove the control groups of the agents, which have been stopped. Repeatable."""
        wait_for(self._remove, lambda left: not left, "without control groups of the agents")

    def _remove(self) -> list[Path]:
        left = []
        for top in CGROUPS.glob(f"*/{self._group}-*"):
            for path in [Path(directory) for directory, _, _ in os.walk(top, topdown=False)]:
                try:
                    path.rmdir()
                except OSError:  # something in it still ends
                    left.append(path)
        return left

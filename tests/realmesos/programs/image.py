"""The image of a command task, as the agent tells the command executor of it (Mesos 1.9 to 1.11).

The agent has put the image's file system together and mounted the sandbox into it, but the executor itself
runs on the agent's own: it starts the task through the launch helper, which changes the root and the account.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """``environment`` is what the image itself sets; ``directory`` is where the task starts."""

    helper: str
    rootfs: str
    directory: str
    user: str | None
    environment: dict[str, str]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Image | None:
        """From the executor's command line; None for a task without an image."""
        flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)
        if "rootfs" not in flags:
            return None
        variables = json.loads(flags.get("task_environment", "{}")).get("variables", [])
        return cls(
            helper=str(Path(flags["launcher_dir"], "mesos-containerizer")),
            rootfs=flags["rootfs"],
            directory=flags.get("working_directory") or flags["sandbox_directory"],
            user=flags.get("user"),
            environment={one["name"]: one.get("value", "") for one in variables},
        )

    def enter(self, command: Json, environment: dict[str, str]) -> tuple[str, list[str], dict[str, str]]:
        """Program, arguments and environment that run a CommandInfo with ``environment`` in the image."""
        info: Json = {
            "rootfs": self.rootfs,
            "working_directory": self.directory,
            "command": command,
            "environment": {
                "variables": [{"name": name, "value": value} for name, value in environment.items()]
            },
        }
        if self.user:
            info["user"] = self.user
        # The image becomes the root of a mount namespace, which must not be the executor's.
        arguments = [self.helper, "launch", "--unshare_namespace_mnt"]
        return self.helper, arguments, {**os.environ, "MESOS_CONTAINERIZER_LAUNCH_INFO": json.dumps(info)}

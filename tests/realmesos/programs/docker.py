"""Stands in for the docker command and its daemon: what Mesos 1.9 to 1.11 calls, without layers and networks.

The directory of the socket that it is told (``-H``) has all its state: ``images/NAME`` is the file system of
an image, ``images/NAME.json`` its configuration, ``calls`` gets a line for each command line. A container
ends with its ``docker run``, as no daemon keeps it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .docker_container import Inside, say

Json = dict[str, Any]

_VALUES = ("cpu-shares", "cpu-quota", "memory", "net", "entrypoint", "name", "user", "workdir")


class State:
    """The directory with images and containers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._containers = directory / "containers"
        self._containers.mkdir(exist_ok=True)

    def record(self, arguments: list[str]) -> None:
        with (self.directory / "calls").open("a") as calls:
            calls.write(json.dumps(arguments) + "\n")

    def image(self, name: str) -> Json | None:
        path = self.rootfs(name).with_suffix(".json")
        return dict(json.loads(path.read_text())) if path.exists() else None

    def rootfs(self, name: str) -> Path:
        return self.directory / "images" / name.removesuffix(":latest")

    def container(self, name: str) -> Json | None:
        path = self._containers / name
        return dict(json.loads(path.read_text())) if path.exists() else None

    def keep(self, name: str, found: Json) -> None:
        beside = self._containers / f".{name}"
        beside.write_text(json.dumps(found))
        beside.rename(self._containers / name)

    def forget(self, name: str) -> None:
        (self._containers / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return [path.name for path in self._containers.iterdir() if not path.name.startswith(".")]


def version(_state: State, _arguments: list[str]) -> int:
    say("Docker version 24.0.7, build stand-in")
    return 0


def pull(state: State, arguments: list[str]) -> int:
    if state.image(arguments[-1]) is None:
        say(f"manifest for {arguments[-1]} not found", error=True)
        return 1
    return 0


def inspect(state: State, arguments: list[str]) -> int:
    name = arguments[-1]
    container, image = state.container(name), state.image(name)
    if container is not None:
        network = container["network"]
        found: Json = {
            "Id": name,
            "Name": f"/{name}",
            "State": {"Pid": container["pid"], "StartedAt": container["started"]},
            "HostConfig": {"NetworkMode": network},
            "NetworkSettings": {"IPAddress": "", "Networks": {network: {"IPAddress": ""}}},
        }
    elif image is not None:
        config = {"Entrypoint": image.get("Entrypoint"), "Env": image.get("Env")}
        found = {"Id": name, "Config": config, "ContainerConfig": config}
    else:
        say(f"Error: No such object: {name}", error=True)
        return 1
    say(json.dumps([found]))
    return 0


def ps(state: State, _arguments: list[str]) -> int:
    say("CONTAINER ID  IMAGE  COMMAND  CREATED  STATUS  PORTS  NAMES")
    for name in state.names():
        say(f"{name}  image  command  now  Up  {name}")
    return 0


def stop(state: State, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", type=float, default=10.0)
    parser.add_argument("name")
    chosen = parser.parse_args(arguments)
    pid = (state.container(chosen.name) or {}).get("pid")
    if pid:
        with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid), "rb", 0) as process:
            signal.pidfd_send_signal(process.fileno(), signal.SIGTERM)
            if not select.select([process], [], [], chosen.t)[0]:
                signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
    return 0


def kill(state: State, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--signal", default="KILL")
    parser.add_argument("name")
    chosen = parser.parse_args(arguments)
    word = chosen.signal
    number = int(word) if word.isdecimal() else signal.Signals[f"SIG{word.removeprefix('SIG')}"]
    _signal(state, chosen.name, number)
    return 0


def rm(state: State, arguments: list[str]) -> int:
    _signal(state, arguments[-1], signal.SIGKILL)
    state.forget(arguments[-1])
    return 0


def run(state: State, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    for name in _VALUES:
        parser.add_argument(f"--{name}")
    parser.add_argument("-e", action="append", default=[])
    parser.add_argument("-v", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    image = state.image(chosen.image)
    if image is None:
        say(f"Unable to find image '{chosen.image}' locally", error=True)
        return 125
    entry = [chosen.entrypoint] if chosen.entrypoint else image.get("Entrypoint") or []
    command = [*entry, *(chosen.arguments or image.get("Cmd") or [])]
    environment = dict(pair.split("=", 1) for pair in [*(image.get("Env") or []), *chosen.e])
    inside = Inside(
        image=state.rootfs(chosen.image),
        volumes=chosen.v,
        directory=chosen.workdir or image.get("WorkingDir") or "/",
        user=chosen.user,
        command=command,
        environment=environment,
    )
    pid = inside.start(state.directory / "mounted")
    known = {"network": chosen.net or "bridge", "started": "2026-01-01T00:00:00Z"}
    state.keep(chosen.name, {"pid": pid, **known})
    _, status = os.waitpid(pid, 0)
    state.keep(chosen.name, {"pid": 0, **known})
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _signal(state: State, name: str, number: int) -> None:
    pid = (state.container(name) or {}).get("pid")
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


_COMMANDS: dict[str, Callable[[State, list[str]], int]] = {
    "--version": version,
    "inspect": inspect,
    "kill": kill,
    "ps": ps,
    "pull": pull,
    "rm": rm,
    "run": run,
    "stop": stop,
}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] != ["-H"]:
        sys.exit("this docker wants to be told a socket, with -H")
    state = State(Path(arguments[1].removeprefix("unix://")).parent)
    state.record(arguments[2:])
    command = _COMMANDS.get(arguments[2])
    if command is None:
        sys.exit(f"this docker has no command {arguments[2]}")
    sys.exit(command(state, arguments[3:]))

"""What a node knows of its job: the control file that came with the inputs, and who the nodes are."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, List, NamedTuple

CONTROL_DIRECTORY = ".airavata-mesos"
DESCRIPTION = "gang"
"""Control file with the secret; only its owner may read it."""

NODES = "nodes"
"""Written on every node once all are there."""

PLACE = "place"
"""Written on every node: a path that leads to the sandbox, the same on all nodes."""

NODE_NAME = "node_name"
"""Written on every node once all are there: what it is called in this job."""


class Gang(NamedTuple):
    """The control file. Times are in seconds."""

    job_id: int
    attempt: int
    nodes: int
    secret: bytes
    meeting: str  # URL of the daemon's rendezvous for this attempt
    tasks: List[int]  # on each node
    cpus: int  # of each node
    silence_seconds: float  # until a node that gives no sign of life counts as lost

    @property
    def marker(self) -> str:
        """What all processes of the job carry."""
        digest = hashlib.sha256(b"marker" + self.secret).hexdigest()
        return "{}-{}-{}".format(self.job_id, self.attempt, digest[:32])


class Node(NamedTuple):
    """One node as the others see it."""

    number: int
    name: str
    address: str
    port: int


def read_gang(control: Path) -> Gang:
    """Raises OSError or ValueError when the control file is not as the daemon writes it."""
    content = json.loads((control / DESCRIPTION).read_text(encoding="utf-8"))
    return Gang(
        job_id=int(content["job_id"]),
        attempt=int(content["attempt"]),
        nodes=int(content["nodes"]),
        secret=bytes.fromhex(content["secret"]),
        meeting=str(content["meeting"]),
        tasks=[int(number) for number in content["tasks"]],
        cpus=int(content["cpus"]),
        silence_seconds=float(content["silence_seconds"]),
    )


def nodes_of(content: Any) -> List[Node]:
    """The nodes as the rendezvous lists them, in their order. Raises ValueError, KeyError or TypeError."""
    found = [
        Node(int(item["number"]), str(item["name"]), str(item["address"]), int(item["port"]))
        for item in content
    ]
    return sorted(found)


def write_nodes(control: Path, nodes: List[Node]) -> None:
    """Whoever starts commands on other nodes reads this file. A repeat replaces it."""
    listed = [dict(node._asdict()) for node in nodes]
    replace(control / NODES, json.dumps(listed))


def read_nodes(control: Path) -> List[Node]:
    """Raises OSError or ValueError."""
    return nodes_of(json.loads((control / NODES).read_text(encoding="utf-8")))


def replace(path: Path, text: str) -> None:
    """Write a small file whole or not at all, readable by its owner only."""
    beside = path.with_name(path.name + ".part")
    descriptor = os.open(str(beside), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(str(beside), str(path))

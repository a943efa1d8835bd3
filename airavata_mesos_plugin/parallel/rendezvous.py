"""How a node finds the others: it registers with the daemon and asks until all are there."""

import json
import random
import socket
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, List, NamedTuple, Optional
from urllib.parse import urlsplit

from .gang import Node, nodes_of

ANSWER_SECONDS = 60.0
"""Longer than the daemon keeps a question open."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0


class GivenBack(Exception):
    """The daemon does not want this node: the job is over, or its nodes were given back."""


class Meeting(NamedTuple):
    """What the daemon says when all nodes are there."""

    nodes: List[Node]
    variables: Dict[str, str]  # what the script finds in its environment about them


class Registration(NamedTuple):
    """What a node says of itself; ``run`` tells two starts of the same node apart."""

    number: int
    name: str
    address: str
    port: int
    run: str


def meet(
    url: str,
    registration: Registration,
    stopped: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> Meeting:
    """All nodes of the job, once they are there. Repeatable: a second registration replaces the first.

    A daemon that does not answer is asked again, without end: it may be started anew at any time, and it is
    its side that gives up a job whose nodes do not come together. Raises GivenBack, also when ``stopped``.
    """
    pause = FIRST_PAUSE_SECONDS
    while not stopped():
        answer = _ask(url, registration)
        if answer is None:
            sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            continue
        pause = FIRST_PAUSE_SECONDS
        if "nodes" in answer:
            variables = {str(name): str(value) for name, value in answer.get("variables", {}).items()}
            return Meeting(nodes_of(answer["nodes"]), variables)
    raise GivenBack("the node was told to stop while it waited for the others")


def _ask(url: str, registration: Registration) -> Optional[Dict[str, Any]]:
    """One question; None when the daemon cannot be asked now."""
    body = json.dumps(registration._asdict()).encode("utf-8")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    # Proxies are for the world outside; the daemon is near.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            content = json.loads(answer.read().decode("utf-8"))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise GivenBack("this node is not wanted: the job is over or was given back") from None
        return None
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def own_address(url: str) -> str:
    """The address of this host that faces the daemon. Raises OSError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)  # sends nothing
        return str(probe.getsockname()[0])

"""Settings of a provider for tests: one cluster, ``testing``, and one queue, ``default``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLUSTER = "testing"
QUEUE = "default"
ROLE = "airavata"
POLL_SECONDS = 0.2
NOWHERE = "http://127.0.0.1:1"
"""Where nobody listens, for settings that want an address."""


def provider_document(
    scheduler_url: str, master_url: str, changes: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The settings as they would stand in ``provider.yaml``.

    ``changes`` goes over them; its members ``clusters`` and ``queues`` hold what is changed in the one
    cluster and the one queue.
    """
    cluster = {
        "name": CLUSTER,
        "schedulers": [scheduler_url],
        "mesos_masters": [master_url],
        "poll_interval_seconds": POLL_SECONDS,
    }
    document: dict[str, Any] = {
        "clusters": [cluster],
        "queues": [{"name": QUEUE, "cluster": CLUSTER, "role": ROLE, "kill_grace_seconds": 2}],
        "fetch": {"retry_seconds": 0.2},
    }
    for name, value in (changes or {}).items():
        if name in ("clusters", "queues"):
            document[name][0].update(value)
        else:
            document[name] = value
    return document

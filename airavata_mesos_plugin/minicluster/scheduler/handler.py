"""Answers the calls of the Aurora API (0.22) in its envelope."""

from __future__ import annotations

import logging
from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.access import METHODS, Access
from airavata_mesos_plugin.minicluster.scheduler.calls.admin import AdminCalls
from airavata_mesos_plugin.minicluster.scheduler.calls.base import Method
from airavata_mesos_plugin.minicluster.scheduler.calls.cron import CronCalls
from airavata_mesos_plugin.minicluster.scheduler.calls.hosts import HostCalls
from airavata_mesos_plugin.minicluster.scheduler.calls.jobs import JobCalls
from airavata_mesos_plugin.minicluster.scheduler.calls.reading import ReadCalls
from airavata_mesos_plugin.minicluster.scheduler.calls.updates import Unfinished, UpdateCalls
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.envelope import Code, Refusal, response
from airavata_mesos_plugin.minicluster.scheduler.normal import EmptyUnion

_LOG = logging.getLogger(__name__)
NOBODY = "UNSECURE"
"""Who acts when authentication is off."""
_GROUPS = (ReadCalls, JobCalls, CronCalls, UpdateCalls, AdminCalls, HostCalls)


class Handler:
    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._methods: dict[str, Method] = {}
        for group in _GROUPS:
            self._methods |= group(scheduler).methods()

    def call(self, method: str, arguments: Any, user: str = NOBODY) -> Any:
        """The `Response` struct. Never raises for anything a client sends; what goes wrong becomes its
        code. What a change has to be remembered by is kept before this returns."""
        cluster = self.scheduler.settings.cluster_name
        try:
            result, messages = self._methods[method](arguments, user)
            if METHODS[method].access is not Access.READ:
                self.scheduler.journal.flush()
        except Unfinished as refusal:
            return response(cluster, refusal.code, refusal.result, (refusal.message,))
        except Refusal as refusal:
            return response(cluster, refusal.code, None, (refusal.message,))
        except EmptyUnion:
            return response(cluster, Code.ERROR, None, (None,))
        except Exception as error:
            # Aurora turns every failure inside a call into an answer; ours is logged because it is a bug.
            _LOG.exception("%s failed", method)
            return response(cluster, Code.ERROR, None, (str(error) or None,))
        return response(cluster, Code.OK, result, messages)

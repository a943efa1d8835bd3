"""HTTP of a Mesos agent."""

from __future__ import annotations

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.agent_calls import AgentCallsHttp
from airavata_mesos_plugin.minicluster.http.files import FilesHttp
from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    Routes,
    json_bytes,
    json_response,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import objects
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.master import Master


class AgentHttp:
    def __init__(self, agent: Agent, master: Master) -> None:
        self._agent = agent
        self._master = master
        self._start_time = master.start_time

    def routes(self) -> Routes:
        files = FilesHttp(self._agent.attached)
        return {
            "/health": (READ, self._health),
            "/slave(1)/health": (READ, self._health),
            "/version": (READ, self._version),
            "/state": (READ, self._state),
            "/slave(1)/state": (READ, self._state),
            **files.routes(),
            **AgentCallsHttp(files, self._start_time).routes(),
        }

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("")

    async def _version(self, request: web.BaseRequest) -> web.StreamResponse:
        return json_response(request, json_bytes(objects.version_object(self._start_time)))

    async def _state(self, request: web.BaseRequest) -> web.StreamResponse:
        return json_response(request, json_bytes(objects.agent_state(self._agent, self._master)))

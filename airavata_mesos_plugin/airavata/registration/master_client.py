"""The REST side of Airavata master (June 2026): one port for gRPC and HTTP, by default 9090.

Bodies are proto3 JSON. The bearer token goes with every request and never to another address: redirections
are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import AuthBase

from airavata_mesos_plugin.airavata.registration.server import Server
from airavata_mesos_plugin.airavata.registration.token import Access
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
)

_MAY_NOT = "the token may have expired, or its owner may lack the role or the permission"


class _Bearer(AuthBase):
    """As an authentication object, so that a netrc file cannot replace the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class RestClient:
    """Requests to one server. Not for several threads."""

    def __init__(self, server: Server, access: Access) -> None:
        self.base_url = f"{'https' if server.tls else 'http'}://{server}"
        self._timeout = server.timeout_seconds
        self._session = requests.Session()
        self._session.auth = _Bearer(access.token)
        if server.ca_file is not None:
            server.tls_context()  # a file that cannot be used is refused here, with its name
            self._session.verify = str(server.ca_file)

    def call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
    ) -> dict[str, Any]:
        """One request; the answer's object, empty when there is none. Raises what `Door` says."""
        what = f"{method} {path}"
        try:
            answer = self._session.request(
                method,
                self.base_url + path,
                params=query,
                json=body,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except (requests.exceptions.SSLError, requests.exceptions.ConnectTimeout) as error:
            raise Unreachable(
                f"cannot connect to Airavata at {self.base_url}: {error}",
                advice="check --server and --ca-file",
            ) from error
        except requests.ConnectionError as error:
            if "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error):
                raise Unreachable(
                    f"cannot connect to Airavata at {self.base_url}: {error}",
                    advice="check --server and that Airavata runs",
                ) from error
            raise OutcomeUnknown(
                f"the connection to {self.base_url} broke during {what}: {error}",
                advice="run the command again: it looks what is there and goes on",
            ) from error
        except requests.RequestException as error:
            raise OutcomeUnknown(
                f"{what} at {self.base_url} got no complete answer: {error}",
                advice="run the command again: it looks what is there and goes on",
            ) from error
        if answer.status_code // 100 != 2:
            raise self._refusal(what, answer)
        return self._object(what, answer)

    def close(self) -> None:
        """Close the connections. A repeat does nothing."""
        self._session.close()

    def _object(self, what: str, answer: requests.Response) -> dict[str, Any]:
        if not answer.content.strip():
            return {}
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ProtocolError(
                f"{self.base_url} answered {what} with something else than Airavata master would",
                advice="check the address and --airavata",
            )
        return body

    def _refusal(self, what: str, answer: requests.Response) -> AiravataMesosError:
        status = answer.status_code
        try:
            reason = str(answer.json()["message"])
        except (ValueError, KeyError, TypeError):
            reason = answer.reason
        where = f"Airavata at {self.base_url}"
        if status == 401:
            return AuthenticationFailed(
                f"{where} did not accept the token for {what}: {reason}", advice=_MAY_NOT
            )
        if status == 403:
            return Refused(f"{where} does not allow {what}: {reason}", advice=_MAY_NOT)
        if status == 404:
            return NotFound(f"{where} does not know {what}: {reason}")
        if status == 409:
            return AlreadyExists(f"{where} holds it already ({what}): {reason}")
        if status in (429, 503):
            return NotReady(f"{where} is busy ({what}): {reason}", advice="run the command again later")
        if status >= 500:
            return ServerFault(f"{where} failed in {what}: {reason}")
        if status // 100 == 3:
            return ProtocolError(f"{where} sends elsewhere for {what}; give the final address")
        return InvalidRequest(f"{where} did not accept {what}: {reason}")

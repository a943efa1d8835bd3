"""The Aurora client against a scheduler that misbehaves on purpose, over real sockets."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TApplicationException, TFrozenDict, TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    NotFound,
    NotLeader,
    NotReady,
    OutcomeUnknown,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora import AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Submission
from airavata_mesos_plugin.schedulers.http import build_session
from airavata_mesos_plugin.schedulers.retry import RetryPolicy
from tests.support.waiting import wait_for

BINARY = "application/vnd.apache.thrift.binary"
KEY = JobKey("www", "prod", "job-1")
DOCUMENT = {
    "role": "www",
    "cluster": "c",
    "environment": "prod",
    "name": "job-1",
    "task": {
        "processes": [{"name": "p", "cmdline": "true"}],
        "resources": {"cpu": 1, "ram": 2**27, "disk": 2**27},
    },
}
TIERS = t.Response(
    responseCode=t.ResponseCode.OK,
    serverInfo=t.ServerInfo(clusterName="scripted"),
    result=t.Result(
        getTierConfigResult=t.GetTierConfigResult(
            defaultTierName="preemptible",
            tiers=frozenset({t.TierConfig(name="preemptible", settings=TFrozenDict())}),
        )
    ),
)
OK = t.Response(responseCode=t.ResponseCode.OK, details=[])


def envelope(code: int, message: str) -> Any:
    return t.Response(responseCode=code, details=[t.ResponseDetail(message=message)])


def tasks(count: int = 1, *, partial: bool = False) -> Any:
    config = t.TaskConfig(
        job=t.JobKey(role="www", environment="prod", name="job-1"),
        executorConfig=None if partial else t.ExecutorConfig(name="AuroraExecutor"),
    )
    found = [
        t.ScheduledTask(
            assignedTask=t.AssignedTask(taskId=f"task-{n}", task=config, instanceId=n),
            status=t.ScheduleStatus.RUNNING,
            taskEvents=[t.TaskEvent(timestamp=1_700_000_000_000, status=t.ScheduleStatus.RUNNING)],
        )
        for n in range(count)
    ]
    result = t.Result(scheduleStatusResult=t.ScheduleStatusResult(tasks=found))
    return t.Response(responseCode=t.ResponseCode.OK, result=result, details=[])


def message(protocol: type, name: str, response: Any, kind: int = TMessageType.REPLY) -> bytes:
    service = (
        AuroraSchedulerManager if hasattr(AuroraSchedulerManager, f"{name}_result") else ReadOnlyScheduler
    )
    buffer = TMemoryBuffer()
    writer = protocol(buffer)
    writer.writeMessageBegin(name, kind, 0)
    if kind == TMessageType.EXCEPTION:
        response.write(writer)
    else:
        getattr(service, f"{name}_result")(success=response).write(writer)
    writer.writeMessageEnd()
    return bytes(buffer.getvalue())


class Request:
    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ")
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
        self.body = body
        self.binary = body[:1] == b"\x80"
        self.call = body[8 : 8 + struct.unpack(">I", body[4:8])[0]].decode() if self.binary else ""
        if not self.binary and body[:1] == b"[":
            self.call = body.split(b'"', 2)[1].decode()


Action = Callable[[socket.socket, Request], bool]
"""Answers a request; False closes the connection."""


def http(status: int, body: bytes = b"", *headers: str) -> Action:
    def act(connection: socket.socket, _request: Request) -> bool:
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return True

    return act


def reply(response: Any) -> Action:
    """A Thrift reply in the protocol that the request's Accept asks for."""

    def act(connection: socket.socket, request: Request) -> bool:
        binary = request.headers.get("accept") == BINARY
        body = message(TBinaryProtocol if binary else TJSONProtocol, request.call, response)
        return http(200, body, f"Content-Type: {BINARY if binary else 'application/x'}")(connection, request)

    return act


def drop(_connection: socket.socket, _request: Request) -> bool:
    return False


def reset(connection: socket.socket, _request: Request) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def torn(connection: socket.socket, request: Request) -> bool:
    body = message(TBinaryProtocol, request.call, OK)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body)
    return False


class ScriptedScheduler:
    """Follows a list of actions, one per request; when it is used up, ``otherwise`` answers."""

    def __init__(self) -> None:
        self.script: list[Action] = []
        self.otherwise: Action = http(500)
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.hung_up = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def silent(self, _connection: socket.socket, _request: Request) -> bool:
        self.stopping.wait(30)
        return False

    def drip(self, connection: socket.socket, _request: Request) -> bool:
        """A head that never ends, a byte at a time: each read succeeds soon."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.stopping.wait(0.05):
            connection.sendall(b"x")
        return False

    def drip_body(self, connection: socket.socket, _request: Request) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.stopping.wait(0.05):
            connection.sendall(b"x")
        return False

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (request := self._read(connection)) is not None:
                    self.requests.append(request)
                    action = self.script.pop(0) if self.script else self.otherwise
                    if not action(connection, request):
                        return
            except OSError:
                return
            finally:
                connection.close()
                self.hung_up.set()

    @staticmethod
    def _read(connection: socket.socket) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            data += part
        head, body = data.split(b"\r\n\r\n", 1)
        length = Request(head, b"").headers.get("content-length", "0")
        while len(body) < int(length):
            body += connection.recv(65536)
        return Request(head, body)

    def close(self) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[ScriptedScheduler]:
    scripted = ScriptedScheduler()
    yield scripted
    scripted.close()


@pytest.fixture
def other() -> Iterator[ScriptedScheduler]:
    scripted = ScriptedScheduler()
    yield scripted
    scripted.close()


def free_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


Adapters = Callable[..., AuroraScheduler]


@pytest.fixture
def adapters() -> Iterator[Adapters]:
    made: list[AuroraScheduler] = []

    def make(*urls: str, **settings: Any) -> AuroraScheduler:
        values = {"call_timeout_seconds": 60.0, "connect_timeout_seconds": 30.0, **settings}
        cluster = ClusterSettings(name="c", schedulers=urls, mesos_masters=[free_url()], **values)
        policy = RetryPolicy(attempts=3, first_pause_seconds=0.01)
        made.append(AuroraScheduler(cluster, SystemClock(), retry=policy))
        return made[-1]

    yield make
    for adapter in made:
        adapter.close()


def submit(adapter: AuroraScheduler) -> AiravataMesosError | None:
    (result,) = adapter.submit([Submission(KEY, DOCUMENT)])
    assert result.key == KEY
    return result.error


def refusing(kind: int) -> Action:
    body = message(TBinaryProtocol, "createJob", TApplicationException(kind, "words"), TMessageType.EXCEPTION)
    return http(200, body)


CREATE_FAILURES: list[tuple[str, Action, type[AiravataMesosError], bool, bool]] = [
    ("dropped after reading", drop, OutcomeUnknown, True, True),
    ("reset after reading", reset, OutcomeUnknown, True, True),
    ("torn body", torn, OutcomeUnknown, True, True),
    ("not thrift", http(200, b"<html>"), ProtocolError, False, True),
    ("half a message", http(200, message(TBinaryProtocol, "createJob", OK)[:-6]), ProtocolError, False, True),
    ("hostile length", http(200, b"\x80\x01\x00\x02\x7f\xff\xff\xff"), ProtocolError, False, True),
    ("empty body", http(200), ProtocolError, False, True),
    (
        "another call's reply",
        http(200, message(TBinaryProtocol, "killTasks", OK)),
        ProtocolError,
        False,
        True,
    ),
    ("broken gzip", http(200, b"\x1f\x8bxxxx", "Content-Encoding: gzip"), OutcomeUnknown, True, True),
    ("unknown call", refusing(1), NotFound, False, False),
    ("internal error", refusing(6), ServerFault, False, True),
    ("unreadable arguments", refusing(7), ProtocolError, False, True),
    ("401", http(401), AuthenticationFailed, False, False),
    ("403", http(403), Refused, False, False),
    ("404", http(404), Unreachable, True, False),
    ("413", http(413), InvalidRequest, False, False),
    ("429", http(429), NotReady, True, False),
    ("502", http(502), OutcomeUnknown, True, True),
    ("503", http(503), NotLeader, True, False),
    ("504", http(504), OutcomeUnknown, True, True),
    ("invalid", reply(envelope(0, "Tier contains illegal characters: ?")), InvalidRequest, False, False),
    ("exists", reply(envelope(0, "Job www/prod/job-1 already exists")), AlreadyExists, False, False),
    ("error", reply(envelope(2, "")), ServerFault, False, True),
    ("not permitted", reply(envelope(4, "Subject x is not permitted")), Refused, False, False),
    ("updating", reply(envelope(5, "Job is currently updating")), NotReady, True, False),
    ("not ready", reply(envelope(6, "Storage is not READY")), NotReady, True, False),
]


@pytest.mark.parametrize(
    ("action", "family", "transient", "unknown"),
    [case[1:] for case in CREATE_FAILURES],
    ids=[case[0] for case in CREATE_FAILURES],
)
def test_each_failure_of_a_create_has_its_class(
    server: ScriptedScheduler,
    adapters: Adapters,
    action: Action,
    family: type[AiravataMesosError],
    transient: bool,
    unknown: bool,
) -> None:
    server.otherwise = action
    error = submit(adapters(server.url))
    assert error is not None
    assert isinstance(error, family), error
    assert (error.transient, error.outcome_unknown) == (transient, unknown)
    creates = [request for request in server.requests if request.call == "createJob"]
    # Only what was certainly not carried out is sent again.
    assert len(creates) == (3 if transient and not unknown else 1)


def test_refused_connection_sends_nothing_and_is_transient(adapters: Adapters) -> None:
    url = free_url()
    error = submit(adapters(url))
    assert type(error) is Unreachable
    assert not error.outcome_unknown
    assert "connection refused" in str(error)
    assert url in str(error)


def test_unknown_host_is_unreachable(adapters: Adapters) -> None:
    error = submit(adapters("http://no-such-host.invalid:8081"))
    assert type(error) is Unreachable


def test_plain_http_behind_https_is_unreachable(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.otherwise = drop
    error = submit(adapters(server.url.replace("http://", "https://"), connect_timeout_seconds=0.5))
    assert type(error) is Unreachable


@pytest.mark.parametrize("behaviour", ["silent", "drip", "drip_body"])
def test_total_deadline_holds_against_slow_answers(
    server: ScriptedScheduler, adapters: Adapters, behaviour: str
) -> None:
    server.otherwise = getattr(server, behaviour)
    clock = SystemClock()

    def call() -> tuple[type[AiravataMesosError | None], float]:
        before = clock.monotonic()
        error = submit(adapters(server.url, call_timeout_seconds=0.4))
        return type(error), clock.monotonic() - before

    # Where the machine stands still, the time may be over before anything was sent.
    wait_for(call, lambda found: found[0] is OutcomeUnknown and 0.35 < found[1] < 3, "ended in time")


def test_connection_is_usable_at_full_timeout_after_a_slow_call(
    server: ScriptedScheduler, adapters: Adapters
) -> None:
    adapter = adapters(server.url)
    server.otherwise = reply(OK)
    for _ in range(5):
        assert submit(adapter) is None
    assert server.connections == 1


def test_connection_that_the_server_closed_meanwhile_is_not_used(
    server: ScriptedScheduler, adapters: Adapters
) -> None:
    def last_words(connection: socket.socket, request: Request) -> bool:
        reply(OK)(connection, request)
        return False

    server.script = [last_words]
    server.otherwise = reply(OK)
    adapter = adapters(server.url)
    assert submit(adapter) is None
    assert server.hung_up.wait(60)
    assert submit(adapter) is None
    assert server.connections == 2


@pytest.mark.parametrize("address", ["http://h:99999", "http://[::1", "http://a b", f"http://{'a' * 70}.x"])
def test_address_that_is_none_is_a_matter_of_configuration(adapters: Adapters, address: str) -> None:
    assert type(submit(adapters(address))) is ConfigurationError


def test_repeatable_call_survives_a_blip(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.script = [drop, torn]
    server.otherwise = reply(tasks())
    adapter = adapters(server.url)
    assert adapter.poll([KEY])[KEY].task_id == "task-0"
    assert adapter.client.calls["getTasksWithoutConfigs"] == 3


def test_poll_raises_when_the_scheduler_is_away(adapters: Adapters) -> None:
    with pytest.raises(Unreachable):
        adapters(free_url()).poll([KEY])


def test_next_address_is_tried_when_nothing_was_sent(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.otherwise = reply(OK)
    assert submit(adapters(free_url(), server.url)) is None


def test_next_address_is_tried_after_503(
    server: ScriptedScheduler, other: ScriptedScheduler, adapters: Adapters
) -> None:
    server.otherwise = http(503)
    other.otherwise = reply(OK)
    adapter = adapters(server.url, other.url)
    assert submit(adapter) is None
    assert submit(adapter) is None
    assert len(server.requests) == 1  # the leader is remembered


def test_next_address_is_not_tried_when_the_outcome_is_unknown(
    server: ScriptedScheduler, other: ScriptedScheduler, adapters: Adapters
) -> None:
    server.otherwise = drop
    other.otherwise = reply(OK)
    assert isinstance(submit(adapters(server.url, other.url)), OutcomeUnknown)
    assert not other.requests


@pytest.mark.parametrize("with_scheme", [True, False])
def test_redirect_repeats_the_post(
    server: ScriptedScheduler, other: ScriptedScheduler, adapters: Adapters, with_scheme: bool
) -> None:
    target = f"{other.url}/api" if with_scheme else f"{other.url.removeprefix('http:')}/api"
    server.otherwise = http(307, b"", f"Location: {target}")
    other.otherwise = reply(OK)
    assert submit(adapters(server.url)) is None
    assert other.requests[0].method == "POST"
    assert other.requests[0].body == server.requests[0].body


@pytest.mark.parametrize("location", ["", "Location: ftp://elsewhere/api"])
def test_redirect_to_nowhere_is_not_leader(
    server: ScriptedScheduler, adapters: Adapters, location: str
) -> None:
    server.otherwise = http(307, b"", *([location] if location else []))
    assert type(submit(adapters(server.url))) is NotLeader


def test_redirects_in_a_circle_end(
    server: ScriptedScheduler, other: ScriptedScheduler, adapters: Adapters
) -> None:
    server.otherwise = http(307, b"", f"Location: {other.url}/api")
    other.otherwise = http(307, b"", f"Location: {server.url}/api")
    assert type(submit(adapters(server.url))) is NotLeader
    assert len(server.requests) + len(other.requests) == 3 * 4


def json_only(refusal: Action) -> Action:
    def act(connection: socket.socket, request: Request) -> bool:
        if request.binary:
            return refusal(connection, request)
        assert request.headers["content-type"] == "application/x-thrift"
        response = {"createJob": OK, "getTierConfigs": TIERS}[request.call]
        return http(200, message(TJSONProtocol, request.call, response))(connection, request)

    return act


@pytest.mark.parametrize("status", [415, 500])
def test_json_is_spoken_where_binary_is_refused(
    server: ScriptedScheduler, adapters: Adapters, status: int
) -> None:
    server.otherwise = json_only(http(status))
    adapter = adapters(server.url)
    assert submit(adapter) is None
    seen = len(server.requests)
    assert submit(adapter) is None
    assert len(server.requests) == seen + 1  # the choice is remembered
    done = [request for request in server.requests if request.call == "createJob" and not request.binary]
    assert len(done) == 2


def test_a_failing_create_is_not_repeated_in_json(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.script = [http(500, b"Server Error")]
    server.otherwise = reply(TIERS)  # the probe: binary is understood, so the 500 was meant
    assert isinstance(submit(adapters(server.url)), ServerFault)
    assert [request.call for request in server.requests] == ["createJob", "getTierConfigs"]


def test_json_answer_to_a_binary_call_is_read(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.otherwise = http(200, message(TJSONProtocol, "createJob", OK))
    adapter = adapters(server.url)
    assert submit(adapter) is None
    assert submit(adapter) is None
    assert not server.requests[1].binary


def test_fixed_protocol_is_kept(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.otherwise = http(415)
    assert isinstance(submit(adapters(server.url, protocol="binary")), ConfigurationError)
    assert len(server.requests) == 1
    server.otherwise = reply(OK)
    assert submit(adapters(server.url, protocol="json")) is None
    assert not server.requests[1].binary


def test_compressed_answers_are_read(server: ScriptedScheduler, adapters: Adapters) -> None:
    body = gzip.compress(message(TBinaryProtocol, "createJob", OK))
    server.otherwise = http(200, body, "Content-Encoding: gzip")
    assert submit(adapters(server.url)) is None
    assert "gzip" in server.requests[0].headers["accept-encoding"]


def test_environment_does_not_reach_the_session(
    server: ScriptedScheduler, adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", free_url())
    server.otherwise = reply(OK)
    assert submit(adapters(server.url)) is None
    assert "authorization" not in server.requests[0].headers


def test_kill_is_repeated_after_a_lost_answer(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.script = [drop]
    server.otherwise = reply(envelope(1, "No tasks to kill."))
    assert adapters(server.url).cancel([KEY], "why")[0].error is None
    assert [request.call for request in server.requests] == ["killTasks", "killTasks"]


def test_cookies_are_not_kept(server: ScriptedScheduler, adapters: Adapters) -> None:
    body = message(TBinaryProtocol, "createJob", OK)
    server.otherwise = http(200, body, "Set-Cookie: rememberMe=x; Path=/")
    adapter = adapters(server.url)
    submit(adapter)
    submit(adapter)
    assert len(server.requests) == 2
    assert "cookie" not in server.requests[1].headers


def test_credentials_of_the_session_are_sent_to_every_leader(
    server: ScriptedScheduler, other: ScriptedScheduler
) -> None:
    server.otherwise = http(307, b"", f"Location: {other.url}/api")
    other.otherwise = reply(OK)
    cluster = ClusterSettings(name="c", schedulers=(server.url,), mesos_masters=(free_url(),))
    adapter = AuroraScheduler(cluster, SystemClock(), session=build_session(auth=("alice", "secret")))
    assert submit(adapter) is None
    adapter.close()
    for request in (server.requests[0], other.requests[0]):
        assert request.headers["authorization"] == "Basic YWxpY2U6c2VjcmV0"


def test_poll_falls_back_when_a_task_has_no_executor(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.script = [reply(envelope(2, ""))]
    server.otherwise = reply(tasks(partial=True))
    assert KEY in adapters(server.url).poll([KEY])
    assert [request.call for request in server.requests] == ["getTasksWithoutConfigs", "getTasksStatus"]


def test_rest_of_a_list_is_not_tried_when_the_scheduler_went_silent(
    server: ScriptedScheduler, adapters: Adapters
) -> None:
    server.otherwise = server.silent

    def cancel() -> tuple[list[type[AiravataMesosError | None]], int]:
        server.requests.clear()
        adapter = adapters(server.url, call_timeout_seconds=0.3)
        results = adapter.cancel([JobKey("www", "prod", f"job-{n}") for n in range(50)], "stop")
        return [type(result.error) for result in results], len(server.requests)

    # Where the machine stands still, the time may be over before anything was sent.
    wait_for(cancel, ([OutcomeUnknown, *[NotReady] * 49], 1).__eq__, "ended after the first")


def test_calls_from_several_threads_get_their_own_answers(
    server: ScriptedScheduler, adapters: Adapters
) -> None:
    def echo(connection: socket.socket, request: Request) -> bool:
        # The role comes back as the name of the job's task.
        role = request.body.split(b"role-", 1)[1][:2].decode()
        key = t.JobKey(role=f"role-{role}", environment="prod", name="job")
        assigned = t.AssignedTask(taskId=f"id-{role}", task=t.TaskConfig(job=key), instanceId=0)
        task = t.ScheduledTask(assignedTask=assigned, status=t.ScheduleStatus.RUNNING)
        result = t.Result(scheduleStatusResult=t.ScheduleStatusResult(tasks=[task]))
        return reply(t.Response(responseCode=t.ResponseCode.OK, result=result))(connection, request)

    server.otherwise = echo
    adapter = adapters(server.url)
    wrong: list[str] = []

    def work(number: int) -> None:
        key = JobKey(f"role-{number:02}", "prod", "job")
        wrong.extend(f"{key}" for _ in range(20) if adapter.poll([key])[key].task_id != f"id-{number:02}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(server.requests) == 8 * 20
    assert server.connections <= 8


def test_check_reports_each_address_and_raises_nothing(
    server: ScriptedScheduler, other: ScriptedScheduler, adapters: Adapters
) -> None:
    server.otherwise = reply(TIERS)
    other.otherwise = http(307, b"", f"Location: {server.url}/api")
    dead = free_url()
    checks = {check.subject: check for check in adapters(server.url, other.url, dead).check()}
    assert checks[f"Aurora scheduler {server.url}"].ok
    assert "leads cluster scripted, tiers preemptible" in checks[f"Aurora scheduler {server.url}"].detail
    assert checks[f"Aurora scheduler {other.url}"].ok
    assert f"{server.url}/api leads" in checks[f"Aurora scheduler {other.url}"].detail
    assert not checks[f"Aurora scheduler {dead}"].ok
    assert "check the address" in checks[f"Aurora scheduler {dead}"].detail
    assert not checks["Mesos agents"].ok


def test_check_says_when_nobody_leads(server: ScriptedScheduler, adapters: Adapters) -> None:
    server.otherwise = http(503)
    checks = {check.subject: check for check in adapters(server.url).check()}
    assert not checks[f"Aurora scheduler {server.url}"].ok
    assert not checks["leading scheduler"].ok

"""Both protocols: fixed samples, round trips, hostile bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import AuroraAdmin
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.wire import content
from airavata_mesos_plugin.minicluster.wire.errors import BadArguments, NotAMessage
from airavata_mesos_plugin.minicluster.wire.message import (
    UNKNOWN_METHOD,
    Call,
    Protocol,
    write_exception,
    write_reply,
)
from airavata_mesos_plugin.minicluster.wire.text import thrift_text

KEY = api.JobKey(role="www", environment="devel", name="hello")
_QUERY_JSON = (
    '[1,"getTasksStatus",1,1,{"1":{"rec":{"5":{"set":["i32",4,0,9,1,2]},"11":{"set":["rec",1,'
    '{"1":{"str":"www"},"2":{"str":"devel"},"3":{"str":"hello"}}]}}}}]'
)
_QUERY_HEX = (
    "800100010000000e6765745461736b73537461747573000000010c00010e00050800000004000000000000000900000001000000020e"
    "000b0c000000010b0001000000037777770b000200000005646576656c0b00030000000568656c6c6f000000"
)
_KILL_JSON = (
    '[1,"killTasks",1,1,{"4":{"rec":{"1":{"str":"www"},"2":{"str":"devel"},"3":{"str":"hello"}}},'
    '"5":{"set":["i32",2,0,2]}}]'
)
_KILL_HEX = (
    "80010001000000096b696c6c5461736b73000000010c00040b0001000000037777770b000200000005646576656c0b0003000000"
    "0568656c6c6f000e00050800000002000000000000000200"
)
_EXISTS_JSON = (
    '[1,"createJob",2,1,{"0":{"rec":{"1":{"i32":0},"5":{"rec":{"1":{"str":"local"},"3":{"str":""}}},'
    '"6":{"lst":["rec",1,{"1":{"str":"Job www/devel/hello already exists"}}]}}}}]'
)


@pytest.mark.parametrize(
    ("protocol", "body"),
    [(Protocol.JSON, _QUERY_JSON.encode()), (Protocol.BINARY, bytes.fromhex(_QUERY_HEX))],
)
def test_a_query_sample(protocol: Protocol, body: bytes) -> None:
    call = Call(protocol, body)
    assert (call.method, call.seqid) == ("getTasksStatus", 1)
    query = call.arguments().query
    assert query == api.TaskQuery(statuses=frozenset({0, 9, 1, 2}), jobKeys=frozenset({KEY}))


@pytest.mark.parametrize(
    ("protocol", "body"), [(Protocol.JSON, _KILL_JSON.encode()), (Protocol.BINARY, bytes.fromhex(_KILL_HEX))]
)
def test_a_kill_sample(protocol: Protocol, body: bytes) -> None:
    arguments = Call(protocol, body).arguments()
    assert (arguments.job, arguments.instances, arguments.message) == (KEY, frozenset({0, 2}), None)


def _sent(protocol: Any, method: str, *arguments: object) -> bytes:
    transport = TMemoryBuffer()
    getattr(AuroraAdmin.Client(protocol(transport)), f"send_{method}")(*arguments)
    return bytes(transport.getvalue())


def test_the_old_unversioned_header_is_read() -> None:
    transport = TMemoryBuffer()
    protocol = TBinaryProtocol(transport, strictWrite=False)
    AuroraAdmin.Client(protocol).send_getQuota("www")
    call = Call(Protocol.BINARY, bytes(transport.getvalue()))
    assert (call.method, call.arguments().ownerRole) == ("getQuota", "www")


def test_a_refusal_sample_in_both_protocols() -> None:
    details = (api.ResponseDetail(message="Job www/devel/hello already exists"),)
    server = api.ServerInfo(clusterName="local", statsUrlPrefix="")
    response = api.Response(responseCode=0, serverInfo=server, details=details)
    call = Call(Protocol.JSON, b'[1,"createJob",1,1,{}]')
    assert write_reply(Protocol.JSON, call, response) == _EXISTS_JSON.encode()
    received = TBinaryProtocolAccelerated(TMemoryBuffer(write_reply(Protocol.BINARY, call, response)))
    assert AuroraAdmin.Client(received).recv_createJob() == api.Response(
        responseCode=0, serverInfo=server, details=details
    )


def test_the_unknown_method_sample() -> None:
    call = Call(Protocol.JSON, b'[1,"noSuchCall",1,1,{}]')
    sample = b'[1,"noSuchCall",3,1,{"1":{"str":"Invalid method name: \'noSuchCall\'"},"2":{"i32":1}}]'
    assert write_exception(Protocol.JSON, call, UNKNOWN_METHOD, "Invalid method name: 'noSuchCall'") == sample
    binary = write_exception(Protocol.BINARY, call, UNKNOWN_METHOD, "Invalid method name: 'noSuchCall'")
    with pytest.raises(TApplicationException) as caught:
        AuroraAdmin.Client(TBinaryProtocolAccelerated(TMemoryBuffer(binary))).recv_createJob()
    assert caught.value.type == TApplicationException.UNKNOWN_METHOD


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_configs = st.builds(
    api.JobConfiguration,
    key=st.builds(api.JobKey, _texts, _texts, _texts),
    instanceCount=st.integers(-(2**31), 2**31 - 1),
    taskConfig=st.builds(
        api.TaskConfig,
        isService=st.booleans(),
        resources=st.frozensets(
            st.one_of(
                # Thrift's Python runtime writes infinity as a word that is no JSON.
                st.builds(api.Resource, numCpus=st.floats(allow_nan=False, allow_infinity=False)),
                st.builds(api.Resource, ramMb=st.integers(-(2**63), 2**63 - 1)),
                st.builds(api.Resource, namedPort=_texts),
            ),
            max_size=4,
        ),
        constraints=st.frozensets(
            st.builds(
                api.Constraint,
                name=_texts,
                constraint=st.builds(
                    api.TaskConstraint,
                    value=st.builds(api.ValueConstraint, st.booleans(), st.frozensets(_texts, max_size=3)),
                ),
            ),
            max_size=3,
        ),
        taskLinks=st.dictionaries(_texts, _texts, max_size=3),
        executorConfig=st.builds(api.ExecutorConfig, _texts, _texts),
    ),
)


@settings(deadline=None)  # other work on the machine is no failure
@given(_configs)
def test_what_a_stock_client_sends_is_read_alike_in_both_protocols(configuration: Any) -> None:
    read = [
        Call(ours, _sent(theirs, "createJob", configuration)).arguments().description
        for ours, theirs in (
            (Protocol.JSON, TJSONProtocol),
            (Protocol.BINARY, TBinaryProtocol),
            (Protocol.BINARY, TBinaryProtocolAccelerated),
        )
    ]
    assert read[0] == read[1] == read[2]
    assert read[0].taskConfig.resources == configuration.taskConfig.resources
    assert read[0].taskConfig.constraints == configuration.taskConfig.constraints
    hash(read[0].taskConfig)


@settings(deadline=None)  # other work on the machine is no failure
@given(_texts, st.integers(-(2**31), 2**31 - 1))
def test_what_is_written_as_json_is_read_by_a_stock_client(text: str, number: int) -> None:
    event = api.TaskEvent(timestamp=number, status=2, message=text)
    task = api.ScheduledTask(
        assignedTask=api.AssignedTask(taskId=text, assignedPorts={text: number}), taskEvents=(event,)
    )
    result = api.Result(scheduleStatusResult=api.ScheduleStatusResult(tasks=(task,)))
    body = write_reply(
        Protocol.JSON, Call(Protocol.JSON, b'[1,"getTasksStatus",1,7,{}]'), api.Response(result=result)
    )
    (read,) = (
        AuroraAdmin.Client(TJSONProtocol(TMemoryBuffer(body)))
        .recv_getTasksStatus()
        .result.scheduleStatusResult.tasks
    )
    assert (read.assignedTask.taskId, dict(read.assignedTask.assignedPorts)) == (text, {text: number})
    assert read.taskEvents[0].message == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello world, this is no message",
        b"\x80\x01\x00",
        b"\xff" * 40,
        b"\x80\x02\x00\x01\x00\x00\x00\x01x",
    ],
)
def test_bytes_that_are_no_binary_message(body: bytes) -> None:
    with pytest.raises(NotAMessage):
        Call(Protocol.BINARY, body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"[1,2]", b"[2,\"x\",1,1,{}]", b"[1,7,1,1,{}]", b"\xff\xfe", b"[" * 100_000],
)  # fmt: skip
def test_bytes_that_are_no_json_message(body: bytes) -> None:
    with pytest.raises(NotAMessage):
        Call(Protocol.JSON, body)


@pytest.mark.parametrize(
    "arguments",
    [
        "7", "[]", '{"1":7}', '{"1":{"rec":[]}}', '{"1":{"rec":{"9":{"rec":{"1":{"str":5}}}}}}',
        '{"1":{"rec":{"8":{"i32":99999999999}}}}', '{"1":{"rec":{"8":{"i32":"x"}}}}',
        '{"1":{"rec":{"6":{"rec":{"32":{"set":["rec",3,{}]}}}}}}',
        '{"1":{"rec":{"4":{"str":"\\ud800"}}}}',
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_in_json(arguments: str) -> None:
    with pytest.raises(BadArguments):
        Call(Protocol.JSON, f'[1,"createJob",1,1,{arguments}]'.encode()).arguments()


_HEADER = bytes.fromhex("80010001000000096372656174654a6f6200000001")


@pytest.mark.parametrize(
    "body",
    [
        "",  # no stop
        "0c0001" + "0b0002" + "7fffffff",  # a text longer than the body
        "0c0001" + "0c0006" + "0e0020" + "0c" + "7fffffff",  # a set larger than the body
        "0c0063" * 100_000,  # nested without end
    ],
)
def test_arguments_that_do_not_fit_in_binary(body: str) -> None:
    with pytest.raises(BadArguments):
        Call(Protocol.BINARY, _HEADER + bytes.fromhex(body)).arguments()


@settings(deadline=None)  # other work on the machine is no failure
@given(st.binary(max_size=200), st.sampled_from(list(Protocol)))
def test_no_bytes_bring_the_reader_down(noise: bytes, protocol: Protocol) -> None:
    header = _HEADER if protocol is Protocol.BINARY else b'[1,"createJob",1,1,'
    try:
        Call(protocol, header + noise).arguments()
    except (BadArguments, NotAMessage):
        return


def test_numbers_that_are_words_and_quoted_numbers_are_read() -> None:
    fields = '"32":{"set":["rec",2,{"1":{"dbl":"Infinity"}},{"2":{"i64":"7"}}]}'
    body = f'[1,"createJob",1,1,{{"1":{{"rec":{{"6":{{"rec":{{{fields}}}}}}}}}}}]'.encode()
    task = Call(Protocol.JSON, body).arguments().description.taskConfig
    assert task.resources == {api.Resource(numCpus=float("inf")), api.Resource(ramMb=7)}


def test_unknown_fields_are_skipped() -> None:
    call = Call(Protocol.JSON, b'[1,"getQuota",1,1,{"1":{"str":"www"},"77":{"rec":{}},"x":{"str":"y"}}]')
    assert call.arguments().ownerRole == "www"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, Protocol.JSON),
        ("application/x-thrift", Protocol.JSON),
        ("application/json", Protocol.JSON),
        ("application/vnd.apache.thrift.json", Protocol.JSON),
        ("application/vnd.apache.thrift.json; charset=UTF-8", Protocol.JSON),
        ("application/vnd.apache.thrift.json;charset=utf-8", Protocol.JSON),
        ("application/vnd.apache.thrift.binary", Protocol.BINARY),
    ],
)
def test_content_types(content_type: str | None, expected: Protocol) -> None:
    assert content.request_protocol(content_type) is expected


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=utf-8", "*/*"])
def test_content_types_that_nobody_reads(content_type: str) -> None:
    with pytest.raises(content.UnsupportedContentType):
        content.request_protocol(content_type)


@pytest.mark.parametrize("content_type", ["", "nonsense", "a/b/c", "application/json; charset", "a b/c"])
def test_content_types_that_are_none(content_type: str) -> None:
    with pytest.raises(content.MalformedContentType):
        content.request_protocol(content_type)


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", f"{Protocol.BINARY.value}, */*"])
def test_only_the_exact_type_gets_binary(accept: str | None) -> None:
    assert content.response_protocol(accept) is Protocol.JSON
    assert content.response_protocol(Protocol.BINARY.value) is Protocol.BINARY


def test_texts_of_structs() -> None:
    query = api.TaskQuery(role="www", jobKeys=frozenset({KEY}))
    assert (
        thrift_text(query) == "TaskQuery(jobKeys:[JobKey(role:www, environment:devel, name:hello)], role:www)"
    )

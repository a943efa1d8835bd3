"""What Aurora's messages look like on the wire, and that values survive it in every protocol.

The fixed samples are made-up messages in the encodings of Aurora 0.22: Thrift's binary protocol with the
strict header, and its JSON protocol. An encoder may order fields differently, so messages are compared by
meaning.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TApplicationException, TFrozenDict, TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.gen.aurora.ttypes import (
    AssignedTask,
    Constraint,
    Container,
    CronCollisionPolicy,
    DockerContainer,
    DockerParameter,
    ExecutorConfig,
    GetJobsResult,
    GetPendingReasonResult,
    GetQuotaResult,
    GetTierConfigResult,
    Identity,
    JobConfiguration,
    JobKey,
    JobStats,
    JobSummary,
    JobSummaryResult,
    LimitConstraint,
    MesosContainer,
    MesosFetcherURI,
    Metadata,
    PartitionPolicy,
    PendingReason,
    Resource,
    ResourceAggregate,
    Response,
    ResponseCode,
    ResponseDetail,
    Result,
    ScheduledTask,
    ScheduleStatus,
    ScheduleStatusResult,
    ServerInfo,
    TaskConfig,
    TaskConstraint,
    TaskEvent,
    TaskQuery,
    TierConfig,
    ValueConstraint,
)


@dataclass(frozen=True)
class Sample:
    """One message in both encodings."""

    binary: bytes
    text: str


CREATE_JOB = Sample(
    binary=bytes.fromhex(
        "80010001000000096372656174654a6f62000000010c0001080005000000000c00060200070008000b00000000"
        "08000d000000010c00110b000200000005616c69636500020012000e00140c000000000d00160b0b000000000c"
        "00190b00010000000e4175726f72614578656375746f720b00020000000e7b22726f6c65223a22777777227d00"
        "0e001b0c000000000c001c0b0001000000037777770b000200000005646576656c0b00030000000568656c6c6f"
        "000c001d0c000100000b001e0000000b707265656d707469626c650e00200c000000040400013fe00000000000"
        "00000a00020000000000000080000a00030000000000000040000b0004000000046874747000000c00070b0002"
        "00000005616c69636500080008000000010c00090b0001000000037777770b000200000005646576656c0b0003"
        "0000000568656c6c6f000000"
    ),
    text=(
        '[1,"createJob",1,1,{"1":{"rec":{"5":{"i32":0},"6":{"rec":{"7":{"tf":0},"11":{"i32":0},"1'
        '3":{"i32":1},"17":{"rec":{"2":{"str":"alice"}}},"18":{"tf":0},"20":{"set":["rec",0]},"22'
        '":{"map":["str","str",0,{}]},"25":{"rec":{"1":{"str":"AuroraExecutor"},"2":{"str":"{\\"ro'
        'le\\":\\"www\\"}"}}},"27":{"set":["rec",0]},"28":{"rec":{"1":{"str":"www"},"2":{"str":"deve'
        'l"},"3":{"str":"hello"}}},"29":{"rec":{"1":{"rec":{}}}},"30":{"str":"preemptible"},"32":'
        '{"set":["rec",4,{"1":{"dbl":0.5}},{"2":{"i64":128}},{"3":{"i64":64}},{"4":{"str":"http"}'
        '}]}}},"7":{"rec":{"2":{"str":"alice"}}},"8":{"i32":1},"9":{"rec":{"1":{"str":"www"},"2":'
        '{"str":"devel"},"3":{"str":"hello"}}}}}}]'
    ),
)

GET_TASKS = Sample(
    binary=bytes.fromhex(
        "800100010000000e6765745461736b73537461747573000000010c00010e000508000000040000000000000009"
        "00000001000000020e000b0c000000010b0001000000037777770b000200000005646576656c0b000300000005"
        "68656c6c6f000000"
    ),
    text=(
        '[1,"getTasksStatus",1,1,{"1":{"rec":{"5":{"set":["i32",4,0,9,1,2]},"11":{"set":["rec",1,'
        '{"1":{"str":"www"},"2":{"str":"devel"},"3":{"str":"hello"}}]}}}}]'
    ),
)

KILL_SOME = Sample(
    binary=bytes.fromhex(
        "80010001000000096b696c6c5461736b73000000010c00040b0001000000037777770b00020000000564657665"
        "6c0b00030000000568656c6c6f000e00050800000002000000000000000200"
    ),
    text=(
        '[1,"killTasks",1,1,{"4":{"rec":{"1":{"str":"www"},"2":{"str":"devel"},"3":{"str":"hello"'
        '}}},"5":{"set":["i32",2,0,2]}}]'
    ),
)

JOB_EXISTS = Sample(
    binary=bytes.fromhex(
        "80010002000000096372656174654a6f62000000010c0000080001000000000c00050b0001000000056c6f6361"
        "6c0b000300000000000f00060c000000010b0001000000224a6f62207777772f646576656c2f68656c6c6f2061"
        "6c726561647920657869737473000000"
    ),
    text=(
        '[1,"createJob",2,1,{"0":{"rec":{"1":{"i32":0},"5":{"rec":{"1":{"str":"local"},"3":{"str"'
        ':""}}},"6":{"lst":["rec",1,{"1":{"str":"Job www/devel/hello already exists"}}]}}}}]'
    ),
)

TASKS = Sample(
    binary=bytes.fromhex(
        "800100020000000e6765745461736b73537461747573000000010c0000080001000000010c00030c00030f0001"
        "0c000000010c00010b0001000000367777772d646576656c2d68656c6c6f2d302d38663064366130652d356135"
        "632d346331312d396432372d3561316239653666376431300b0002000000076167656e742d310b000300000011"
        "6e6f6465312e6578616d706c652e6f72670c00040200070008000b0000000008000d000000010c00110b000200"
        "000005616c69636500020012000e00140c000000000d00160b0b00000001000000046874747000000019687474"
        "703a2f2f25686f7374253a25706f72743a68747470250c00190b00010000000e4175726f72614578656375746f"
        "720b00020000000e7b22726f6c65223a22777777227d000e001b0c000000000c001c0b0001000000037777770b"
        "000200000005646576656c0b00030000000568656c6c6f000c001d0c00010f00020c0000000000000b001e0000"
        "000b707265656d707469626c650e00200c000000040400013fe0000000000000000a0002000000000000008000"
        "0a00030000000000000040000b00040000000468747470000e00210c00000000000d00050b0800000001000000"
        "04687474700000791d080006000000000008000200000002080003000000000f00040c000000040a0001000001"
        "8bcfe56800080002000000000b00040000001173636865642e6578616d706c652e6f7267000a00010000018bcf"
        "e56be8080002000000090b00040000001173636865642e6578616d706c652e6f7267000a00010000018bcfe56f"
        "d0080002000000010b00040000001173636865642e6578616d706c652e6f7267000a00010000018bcfe573b808"
        "0002000000020b0003000000314e6f206865616c74682d636865636b20646566696e65642c207461736b206973"
        "20617373756d6564206865616c7468792e0b00040000001173636865642e6578616d706c652e6f726700080006"
        "000000000000000c00050b0001000000056c6f63616c0b000300000000000f00060c000000000000"
    ),
    text=(
        '[1,"getTasksStatus",2,1,{"0":{"rec":{"1":{"i32":1},"3":{"rec":{"3":{"rec":{"1":{"lst":["'
        'rec",1,{"1":{"rec":{"1":{"str":"www-devel-hello-0-8f0d6a0e-5a5c-4c11-9d27-5a1b9e6f7d10"}'
        ',"2":{"str":"agent-1"},"3":{"str":"node1.example.org"},"4":{"rec":{"7":{"tf":0},"11":{"i'
        '32":0},"13":{"i32":1},"17":{"rec":{"2":{"str":"alice"}}},"18":{"tf":0},"20":{"set":["rec'
        '",0]},"22":{"map":["str","str",1,{"http":"http://%host%:%port:http%"}]},"25":{"rec":{"1"'
        ':{"str":"AuroraExecutor"},"2":{"str":"{\\"role\\":\\"www\\"}"}}},"27":{"set":["rec",0]},"28"'
        ':{"rec":{"1":{"str":"www"},"2":{"str":"devel"},"3":{"str":"hello"}}},"29":{"rec":{"1":{"'
        'rec":{"2":{"lst":["rec",0]}}}}},"30":{"str":"preemptible"},"32":{"set":["rec",4,{"1":{"d'
        'bl":0.5}},{"2":{"i64":128}},{"3":{"i64":64}},{"4":{"str":"http"}}]},"33":{"set":["rec",0'
        ']}}},"5":{"map":["str","i32",1,{"http":31005}]},"6":{"i32":0}}},"2":{"i32":2},"3":{"i32"'
        ':0},"4":{"lst":["rec",4,{"1":{"i64":1700000000000},"2":{"i32":0},"4":{"str":"sched.examp'
        'le.org"}},{"1":{"i64":1700000001000},"2":{"i32":9},"4":{"str":"sched.example.org"}},{"1"'
        ':{"i64":1700000002000},"2":{"i32":1},"4":{"str":"sched.example.org"}},{"1":{"i64":170000'
        '0003000},"2":{"i32":2},"3":{"str":"No health-check defined, task is assumed healthy."},"'
        '4":{"str":"sched.example.org"}}]},"6":{"i32":0}}]}}}}},"5":{"rec":{"1":{"str":"local"},"'
        '3":{"str":""}}},"6":{"lst":["rec",0]}}}}]'
    ),
)

UNKNOWN_METHOD = Sample(
    binary=bytes.fromhex(
        "800100030000000a6e6f5375636843616c6c000000010b000100000021496e76616c6964206d6574686f64206e"
        "616d653a20276e6f5375636843616c6c270800020000000100"
    ),
    text=('[1,"noSuchCall",3,1,{"1":{"str":"Invalid method name: \'noSuchCall\'"},"2":{"i32":1}}]'),
)


def accelerated(transport: TMemoryBuffer) -> Any:
    # Without the fallback a missing C extension is an error here instead of a test of the wrong code.
    return TBinaryProtocolAccelerated(transport, fallback=False)


PROTOCOLS = {"binary": TBinaryProtocol, "accelerated": accelerated, "json": TJSONProtocol}
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())

JOB = JobKey(role="www", environment="devel", name="hello")
RESOURCES = frozenset(
    {Resource(numCpus=0.5), Resource(ramMb=128), Resource(diskMb=64), Resource(namedPort="http")}
)
EXECUTOR = ExecutorConfig(name="AuroraExecutor", data='{"role":"www"}')
SERVER = ServerInfo(clusterName="local", statsUrlPrefix="")


def write(value: Any, protocol: Any) -> bytes:
    transport = TMemoryBuffer()
    value.write(protocol(transport))
    encoded: bytes = transport.getvalue()
    return encoded


def read(struct: Any, encoded: bytes, protocol: Any) -> Any:
    return struct.read(protocol(TMemoryBuffer(encoded)))


def again(value: Any, protocol: Any) -> Any:
    return read(type(value), write(value, protocol), protocol)


def read_message(encoded: bytes, body: Any, protocol: Any) -> tuple[tuple[str, int, int], Any]:
    transport = TMemoryBuffer(encoded)
    source = protocol(transport)
    header = source.readMessageBegin()
    value = body()
    value.read(source)
    source.readMessageEnd()
    assert transport.read(1) == b"", "bytes are left over"
    return header, value


def write_message(header: tuple[str, int, int], value: Any, protocol: Any) -> bytes:
    transport = TMemoryBuffer()
    target = protocol(transport)
    target.writeMessageBegin(*header)
    value.write(target)
    target.writeMessageEnd()
    encoded: bytes = transport.getvalue()
    return encoded


def plain_task(**extra: Any) -> TaskConfig:
    """The configuration in the samples, before the scheduler fills anything in."""
    fields = {
        "job": JOB,
        "owner": Identity(user="alice"),
        "isService": False,
        "priority": 0,
        "maxTaskFailures": 1,
        "production": False,
        "tier": "preemptible",
        "resources": RESOURCES,
        "constraints": frozenset(),
        "taskLinks": TFrozenDict(),
        "executorConfig": EXECUTOR,
        "metadata": frozenset(),
    }
    return TaskConfig(**{**fields, **extra})


def envelope(code: int, *messages: str, result: Result | None = None) -> Response:
    details = tuple(ResponseDetail(message=message) for message in messages)
    return Response(responseCode=code, serverInfo=SERVER, result=result, details=details)


STORED_TASK = ScheduledTask(
    assignedTask=AssignedTask(
        taskId="www-devel-hello-0-8f0d6a0e-5a5c-4c11-9d27-5a1b9e6f7d10",
        slaveId="agent-1",
        slaveHost="node1.example.org",
        task=plain_task(
            taskLinks=TFrozenDict({"http": "http://%host%:%port:http%"}),
            mesosFetcherUris=frozenset(),
            container=Container(mesos=MesosContainer(volumes=())),
        ),
        assignedPorts=TFrozenDict({"http": 31005}),
        instanceId=0,
    ),
    status=ScheduleStatus.RUNNING,
    failureCount=0,
    timesPartitioned=0,
    taskEvents=(
        TaskEvent(1700000000000, ScheduleStatus.PENDING, scheduler="sched.example.org"),
        TaskEvent(1700000001000, ScheduleStatus.ASSIGNED, scheduler="sched.example.org"),
        TaskEvent(1700000002000, ScheduleStatus.STARTING, scheduler="sched.example.org"),
        TaskEvent(
            1700000003000,
            ScheduleStatus.RUNNING,
            message="No health-check defined, task is assumed healthy.",
            scheduler="sched.example.org",
        ),
    ),
)

WIRE_SAMPLES = [
    pytest.param(
        CREATE_JOB,
        ("createJob", TMessageType.CALL, 1),
        AuroraSchedulerManager.createJob_args(
            JobConfiguration(
                key=JOB,
                owner=Identity(user="alice"),
                cronCollisionPolicy=CronCollisionPolicy.KILL_EXISTING,
                taskConfig=plain_task(),
                instanceCount=1,
            )
        ),
        id="createJob",
    ),
    pytest.param(
        GET_TASKS,
        ("getTasksStatus", TMessageType.CALL, 1),
        ReadOnlyScheduler.getTasksStatus_args(
            TaskQuery(
                jobKeys=frozenset({JOB}),
                statuses=frozenset(
                    {
                        ScheduleStatus.PENDING,
                        ScheduleStatus.ASSIGNED,
                        ScheduleStatus.STARTING,
                        ScheduleStatus.RUNNING,
                    }
                ),
            )
        ),
        id="getTasksStatus",
    ),
    pytest.param(
        KILL_SOME,
        ("killTasks", TMessageType.CALL, 1),
        AuroraSchedulerManager.killTasks_args(job=JOB, instances={0, 2}),
        id="killTasks",
    ),
    pytest.param(
        JOB_EXISTS,
        ("createJob", TMessageType.REPLY, 1),
        AuroraSchedulerManager.createJob_result(
            success=envelope(ResponseCode.INVALID_REQUEST, "Job www/devel/hello already exists")
        ),
        id="createJob-refused",
    ),
    pytest.param(
        TASKS,
        ("getTasksStatus", TMessageType.REPLY, 1),
        ReadOnlyScheduler.getTasksStatus_result(
            success=envelope(
                ResponseCode.OK,
                result=Result(scheduleStatusResult=ScheduleStatusResult(tasks=(STORED_TASK,))),
            )
        ),
        id="getTasksStatus-reply",
    ),
]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(("sample", "header", "expected"), WIRE_SAMPLES)
def test_wire_sample_means_the_same_read_and_written_again(
    name: str, sample: Sample, header: tuple[str, int, int], expected: Any
) -> None:
    encoded = sample.text.encode() if name == "json" else sample.binary
    assert read_message(encoded, type(expected), PROTOCOLS[name]) == (header, expected)
    rewritten = write_message(header, expected, PROTOCOLS[name])
    assert read_message(rewritten, type(expected), PROTOCOLS[name]) == (header, expected)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_refusal_of_an_unknown_method(name: str) -> None:
    encoded = UNKNOWN_METHOD.text.encode() if name == "json" else UNKNOWN_METHOD.binary
    header, error = read_message(encoded, TApplicationException, PROTOCOLS[name])
    assert header == ("noSuchCall", TMessageType.EXCEPTION, 1)
    assert (error.type, error.message) == (
        TApplicationException.UNKNOWN_METHOD,
        "Invalid method name: 'noSuchCall'",
    )


RICH_TASK = plain_task(
    maxTaskFailures=-1,
    constraints=frozenset(
        {
            Constraint("rack", TaskConstraint(value=ValueConstraint(True, frozenset({"a", "b"})))),
            Constraint("host", TaskConstraint(limit=LimitConstraint(1))),
        }
    ),
    metadata=frozenset({Metadata("campaign", "müon \u2603 \U0001f680"), Metadata("campaign", 'a "b"\n\\c')}),
    mesosFetcherUris=frozenset({MesosFetcherURI("https://example.org/in.tar", extract=True, cache=False)}),
    taskLinks=TFrozenDict({"http": "http://%host%:%port:http%", "docs": "http://example.org"}),
    partitionPolicy=PartitionPolicy(reschedule=True, delaySecs=2**40),
)
RICH_JOB = JobConfiguration(
    key=JOB,
    owner=Identity(user="alice"),
    cronCollisionPolicy=CronCollisionPolicy.CANCEL_NEW,
    taskConfig=RICH_TASK,
    instanceCount=3,
)
DOCKER_JOB = JobConfiguration(
    key=JobKey("www", "prod", "other"),
    taskConfig=plain_task(
        container=Container(docker=DockerContainer("image:1", (DockerParameter("label", "x=y"),)))
    ),
    instanceCount=1,
)

CORES = ResourceAggregate(resources=frozenset({Resource(numCpus=0.1), Resource(ramMb=2**33)}))
RESULTS = [
    Result(scheduleStatusResult=ScheduleStatusResult(tasks=(STORED_TASK, STORED_TASK))),
    Result(getJobsResult=GetJobsResult(configs=frozenset({RICH_JOB, DOCKER_JOB}))),
    Result(getQuotaResult=GetQuotaResult(quota=CORES, prodSharedConsumption=CORES)),
    Result(
        jobSummaryResult=JobSummaryResult(
            summaries=frozenset({JobSummary(RICH_JOB, JobStats(1, 2, 3, 4)), JobSummary(DOCKER_JOB)})
        )
    ),
    Result(
        getPendingReasonResult=GetPendingReasonResult(
            reasons=frozenset({PendingReason("a", "Insufficient: CPU"), PendingReason("b", "")})
        )
    ),
    Result(
        getTierConfigResult=GetTierConfigResult(
            defaultTierName="preemptible",
            tiers=frozenset(
                {
                    TierConfig("preferred", TFrozenDict(preemptible="false", revocable="false")),
                    TierConfig("revocable", TFrozenDict(revocable="true", preemptible="true")),
                }
            ),
        )
    ),
]


@each_protocol
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(RICH_JOB, id="job"),
        pytest.param(DOCKER_JOB, id="docker-job"),
        pytest.param(
            ScheduleStatusResult(tasks=(STORED_TASK, ScheduledTask(status=ScheduleStatus.PARTITIONED))),
            id="tasks",
        ),
        pytest.param(
            TaskQuery(
                role="www",
                environment="devel",
                jobName="hello",
                taskIds=frozenset({"a", "b"}),
                statuses=frozenset({ScheduleStatus.PENDING, ScheduleStatus.PARTITIONED}),
                instanceIds=frozenset({0, 1}),
                slaveHosts=frozenset({"node1"}),
                jobKeys=frozenset({JOB, JobKey("www", "prod", "other")}),
                offset=0,
                limit=1000,
            ),
            id="query",
        ),
        pytest.param(TaskQuery(), id="query-of-everything"),
    ],
)
def test_value_comes_back_as_it_was(value: Any, protocol: Any) -> None:
    assert again(value, protocol) == value


@each_protocol
@pytest.mark.parametrize("result", RESULTS, ids=lambda result: next(k for k, v in vars(result).items() if v))
def test_response_keeps_its_one_member(result: Result, protocol: Any) -> None:
    response = envelope(ResponseCode.OK, "first", "zweite Zeile ü", result=result)
    decoded = again(response, protocol)
    assert decoded == response
    assert [k for k, v in vars(decoded.result).items() if v is not None] == [
        k for k, v in vars(result).items() if v is not None
    ]


@each_protocol
def test_set_of_structs_is_a_set(protocol: Any) -> None:
    # Written from a list that names one job twice, as a scheduler in another language might.
    written = write(GetJobsResult(configs=[RICH_JOB, DOCKER_JOB, RICH_JOB]), protocol)
    configs = read(GetJobsResult, written, protocol).configs
    assert type(configs) is frozenset
    assert configs == {RICH_JOB, DOCKER_JOB}
    assert RICH_JOB in configs
    assert Resource(numCpus=0.5) in next(c for c in configs if c.key == JOB).taskConfig.resources


@each_protocol
def test_unset_and_empty_stay_apart(protocol: Any) -> None:
    decoded = again(TaskConfig(resources=frozenset(), taskLinks=TFrozenDict()), protocol)
    assert decoded.resources == frozenset()
    assert decoded.taskLinks == {}
    assert decoded.constraints is None
    assert decoded.tier is None


@each_protocol
def test_container_defaults_to_mesos(protocol: Any) -> None:
    written = write(TaskConfig(container=None, priority=1), protocol)
    assert read(TaskConfig, written, protocol).container == Container(mesos=MesosContainer())


def written_by_hand(protocol: Any, fields: list[tuple[int, int, Any]]) -> bytes:
    """A struct of fields (id, wire type, call that writes the value)."""
    transport = TMemoryBuffer()
    target = protocol(transport)
    target.writeStructBegin("any")
    for number, kind, value in fields:
        target.writeFieldBegin("any", kind, number)
        value(target)
        target.writeFieldEnd()
    target.writeFieldStop()
    target.writeStructEnd()
    encoded: bytes = transport.getvalue()
    return encoded


def write_ports(target: Any) -> None:
    target.writeSetBegin(TType.STRING, 2)
    target.writeString("http")
    target.writeString("admin")
    target.writeSetEnd()


def write_nested(target: Any) -> None:
    target.writeMapBegin(TType.STRING, TType.LIST, 1)
    target.writeString("jobs")
    target.writeListBegin(TType.STRUCT, 2)
    JOB.write(target)
    JOB.write(target)
    target.writeListEnd()
    target.writeMapEnd()


@each_protocol
def test_fields_of_other_releases_are_skipped(protocol: Any) -> None:
    # 8, 9, 10 and 21 held the resources before Aurora 0.20; 99 stands for what a later release may add.
    encoded = written_by_hand(
        protocol,
        [
            (7, TType.BOOL, lambda target: target.writeBool(True)),
            (8, TType.DOUBLE, lambda target: target.writeDouble(0.5)),
            (9, TType.I64, lambda target: target.writeI64(128)),
            (10, TType.I64, lambda target: target.writeI64(64)),
            (21, TType.SET, write_ports),
            (99, TType.MAP, write_nested),
            (30, TType.STRING, lambda target: target.writeString("preferred")),
        ],
    )
    assert read(TaskConfig, encoded, protocol) == TaskConfig(isService=True, tier="preferred")


@each_protocol
def test_field_of_another_type_is_skipped(protocol: Any) -> None:
    encoded = written_by_hand(
        protocol,
        [
            (1, TType.I32, lambda target: target.writeI32(5)),
            (3, TType.STRING, lambda target: target.writeString("hello")),
        ],
    )
    assert read(JobKey, encoded, protocol) == JobKey(name="hello")


@each_protocol
def test_unknown_enum_number_is_kept(protocol: Any) -> None:
    task = ScheduledTask(status=99, taskEvents=(TaskEvent(timestamp=1, status=99),))
    decoded = again(task, protocol)
    assert (decoded.status, decoded.taskEvents[0].status) == (99, 99)
    assert again(TaskQuery(statuses=frozenset({2, 99})), protocol).statuses == {2, 99}


@pytest.mark.parametrize("job", [RICH_JOB, DOCKER_JOB])
def test_accelerated_and_pure_binary_write_the_same_bytes(job: JobConfiguration) -> None:
    assert write(job, accelerated) == write(job, TBinaryProtocol)

"""The small parts of registration: documents, differences, forms on the wire, token, address, record."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.airavata.registration import documents, portal, server
from airavata_mesos_plugin.airavata.registration.differences import differences, joined, without
from airavata_mesos_plugin.airavata.registration.proto_json import from_proto, to_proto
from airavata_mesos_plugin.airavata.registration.record import Record, record_name
from airavata_mesos_plugin.airavata.registration.resource import Resource
from airavata_mesos_plugin.airavata.registration.stubs import document, struct, stub
from airavata_mesos_plugin.airavata.registration.token import Access, access, read_token
from airavata_mesos_plugin.errors import ConfigurationError

RESOURCE = Resource.model_validate(
    {
        "ssh": {"host": "submit.example.org", "port": 2222},
        "login_user": "airavata",
        "scratch": "/scratch",
        "bin_path": "/opt/bin",
        "credential": {"description": "key"},
        "parallelism_prefixes": {"MPI": "srun"},
        "queues": [
            {"name": "normal", "max_run_time_minutes": 60, "max_processors": 4, "max_memory_mb": 1024}
        ],
        "profile": {"name": "Mesos"},
        "storage": {"host": "files.example.org", "login_user": "gw", "root": "/srv"},
        "applications": [
            {
                "name": "Echo",
                "executable": "/bin/echo",
                "inputs": [{"name": "b"}, {"name": "a", "type": "URI", "required": False}],
                "before": ["first", "second"],
            }
        ],
    }
)


# -- documents and differences ----------------------------------------------------------------------------


def test_nothing_differs_from_itself() -> None:
    wanted = documents.compute_resource(RESOURCE)
    assert differences(wanted, wanted) == []
    assert differences(wanted, {**wanted, "computeResourceId": "x", "ipAddresses": ["1"]}) == []


@pytest.mark.parametrize("nothing", [None, "", 0, False, [], {}])
def test_defaults_are_absence(nothing: Any) -> None:
    assert differences({"a": nothing}, {}) == []
    assert differences({"a": ""}, {"a": nothing}) == []


def test_each_difference_is_named() -> None:
    wanted = {
        "name": "a",
        "batchQueues": [{"queueName": "x", "maxNodes": 1}, {"queueName": "new"}],
        "allowedBatchQueues": ["b", "a"],
        "jobManagerCommands": {"SUBMISSION": "sbatch"},
        "plain": [1, 2],
    }
    found = {
        "name": "b",
        "batchQueues": [{"queueName": "old"}, {"queueName": "x", "maxNodes": 2}],
        "allowedBatchQueues": ["a", "b"],
        "jobManagerCommands": {"SUBMISSION": "qsub", "DELETION": "qdel"},
        "plain": [2, 1],
    }
    assert differences(wanted, found) == [
        "name: 'b' -> 'a'",
        "batchQueues[x].maxNodes: 2 -> 1",
        "batchQueues[new]: added",
        "batchQueues[old]: removed",
        "jobManagerCommands.SUBMISSION: 'qsub' -> 'sbatch'",
        "jobManagerCommands.DELETION: 'qdel' -> removed",
        "plain: [2, 1] -> [1, 2]",
    ]


def test_all_entries_gone_is_a_difference() -> None:
    assert differences({"preJobCommands": []}, {"preJobCommands": [{"command": "x", "commandOrder": 1}]}) == [
        "preJobCommands[1]: removed"
    ]


def test_joining_keeps_what_is_not_ours() -> None:
    found = {
        "id": 7,
        "batchQueues": [{"queueName": "x", "maxNodes": 2, "comment": "theirs"}],
        "specificPreferences": {"slurm": {"qualityOfService": "q"}},
    }
    wanted = {
        "batchQueues": [{"queueName": "x", "maxNodes": 1}],
        "specificPreferences": {"slurm": {"preferredBatchQueue": "x"}},
    }
    assert joined(wanted, found) == {
        "id": 7,
        "batchQueues": [{"queueName": "x", "maxNodes": 1, "comment": "theirs"}],
        "specificPreferences": {"slurm": {"qualityOfService": "q", "preferredBatchQueue": "x"}},
    }


_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.text("ab", max_size=2))
_DOCUMENTS = st.dictionaries(
    st.sampled_from(["a", "b", "jobManagerCommands", "allowedBatchQueues", "batchQueues"]),
    st.none(),
).flatmap(
    lambda keys: st.fixed_dictionaries(
        {
            key: {
                "jobManagerCommands": st.dictionaries(st.text("xy", min_size=1), st.text("ab", min_size=1)),
                "allowedBatchQueues": st.lists(st.text("ab"), unique=True),
                "batchQueues": st.lists(
                    st.fixed_dictionaries({"queueName": st.text("ab"), "n": _LEAVES}),
                    unique_by=lambda entry: entry["queueName"],
                ),
            }.get(key, _LEAVES)
            for key in keys
        }
    )
)


@given(_DOCUMENTS, _DOCUMENTS)
def test_after_joining_nothing_differs(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    assert differences(wanted, joined(wanted, found)) == []


def test_without_fields_at_any_depth() -> None:
    assert without(frozenset({"x"}), {"x": 1, "a": [{"x": 2, "b": {"x": 3}}]}) == {"a": [{"b": {}}]}


def test_inputs_have_different_orders_and_streams_are_declared() -> None:
    interface = documents.interface(RESOURCE.applications[0], "module")
    assert [entry["inputOrder"] for entry in interface["applicationInputs"]] == [1, 2]
    assert [entry["type"] for entry in interface["applicationOutputs"]] == ["STDOUT", "STDERR"]
    assert interface["hasOptionalFileInputs"] is True


def test_command_lists_are_never_absent() -> None:
    deployment = documents.deployment(RESOURCE.applications[0], "m", "r", RESOURCE)
    assert deployment["postJobCommands"] == []
    assert deployment["preJobCommands"] == [
        {"command": "first", "commandOrder": 1},
        {"command": "second", "commandOrder": 2},
    ]


# -- forms on the wire ------------------------------------------------------------------------------------


def test_structs_of_the_sdk_and_back() -> None:
    wanted = documents.ssh_submission(RESOURCE)
    kind = stub("compute").SSHJobSubmission
    value = struct(kind, wanted)
    assert value.monitorMode is stub("compute").MonitorMode.POLL_JOB_MANAGER
    commands = value.resourceJobManager.jobManagerCommands
    assert commands[stub("compute").JobManagerCommand.SHOW_NO_OF_RUNNING_JOBS] == "squeue "
    parallel = stub("parallelism").ApplicationParallelismType.MPI
    assert value.resourceJobManager.parallelismPrefix == {parallel: "srun"}
    assert differences(wanted, document(value)) == []


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "airavata.api.Airavata", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'airavata-mesos-plugin\[airavata\]'"):
        stub("Airavata")


def test_proto_json() -> None:
    wanted = {
        "defaultCPUCount": 1,
        "batchQueues": [{"defaultCPUCount": 2}],
        "resourceJobManager": {"jobManagerCommands": {"SUBMISSION": "sbatch", "SHOW_CLUSTER_INFO": "sinfo"}},
        "computePreferences": [{"overridebyAiravata": True}],
    }
    assert to_proto(wanted) == {
        "defaultCpuCount": 1,
        "batchQueues": [{"defaultCpuCount": 2}],
        "resourceJobManager": {"jobManagerCommands": {"1": "sbatch", "8": "sinfo"}},
        "computePreferences": [{"overrideByAiravata": True}],
    }
    assert from_proto(to_proto(wanted)) == wanted


# -- token, address, record -------------------------------------------------------------------------------


def keycloak_token(**claims: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.signature"


def test_the_token_tells_user_and_gateway() -> None:
    token = keycloak_token(preferred_username="admin", iss="https://auth.example.org/realms/seagrid")
    assert access(token, None, None) == Access("admin", "seagrid", token)
    assert access(token, "other", "gw") == Access("other", "gw", token)
    assert token not in repr(access(token, None, None))


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.W10.c", keycloak_token(sub="1")])
def test_a_token_without_a_user(token: str) -> None:
    assert access(token, "me", None) == Access("me", "default", token)
    with pytest.raises(ConfigurationError, match="--user") as caught:
        access(token, None, None)
    assert token not in str(caught.value)


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert read_token("from-environment", None) == "from-environment"
    assert read_token("from-environment", file) == "from-file"
    for bad in (None, "", "  ", "two words", "new\nline", "ümlaut"):
        with pytest.raises(ConfigurationError, match="--token-file"):
            read_token(bad, None)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_token(None, tmp_path / "none")
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="it is not text"):
        read_token(None, file)


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("api.example.org", "develop", ("api.example.org", 8930, False)),
        ("api.example.org:99", "develop", ("api.example.org", 99, False)),
        ("api.example.org", "master", ("api.example.org", 9090, False)),
        ("https://api.example.org", "master", ("api.example.org", 443, True)),
        ("http://api.example.org:9090/", "master", ("api.example.org", 9090, False)),
        ("[::1]:99", "develop", ("::1", 99, False)),
    ],
)
def test_addresses(text: str, version: server.Version, expected: tuple[str, int, bool]) -> None:
    parsed = server.parse(text, version)
    assert (parsed.host, parsed.port, parsed.tls) == expected
    assert server.parse(text, version, tls=True).tls


@pytest.mark.parametrize("text", ["", ":99", "h:x", "h:99999", "http://h", "h/path", "u@h", "h?q"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="8930"):
        server.parse(text, "develop")


def test_a_token_in_the_clear_is_known() -> None:
    assert server.parse("api.example.org", "develop").exposes_token
    assert not server.parse("api.example.org", "develop", tls=True).exposes_token
    assert not server.parse("127.0.0.1:1", "master").exposes_token


def test_certificates_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        server.parse("h", "develop", ca_file=file).tls_context()
    file.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        server.parse("h", "develop", ca_file=file).tls_context()


def test_the_record_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "registrations" / record_name("develop", "h:1", "../gw", "Mesos")
    assert path.parent == tmp_path / "registrations"
    record = Record(path)
    record.add("storage", "s1")
    record.add("storage", "s1")
    record.add("credential", "k1")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = Record(path)
    assert again.made("storage", "s1")
    assert again.ids("storage") == ["s1"]
    assert not again.made("credential", "s1")
    again.forget("storage", "s1")
    again.forget("credential", "k1")
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"made": 1}', "{"])
def test_a_broken_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"record\.json"):
        Record(path)


def test_steps_for_the_portal() -> None:
    text = "\n".join(portal.steps(RESOURCE))
    for value in (
        "Job manager bin path:                /opt/bin",
        "Monitor mode:                        JOB_EMAIL_NOTIFICATION_MONITOR",
        "Command SUBMISSION:                  sbatch",
        "Parallelism prefix MPI:              srun",
        "Maximum run time (minutes):          60",
        "Alternative SSH host name:           submit.example.org",
        "File system root location:           /srv",
        "6. Application Echo",
        "Pre-job command:                     first",
        "set email_senders",
    ):
        assert value in text, value
    assert "SHOW_NO" not in text

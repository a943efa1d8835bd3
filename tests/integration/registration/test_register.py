"""Registration with stand-ins for both versions: in order, complete, repeatable, and taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.registration.rules import GATEWAY, GROUPS, USER

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Airavata


def things(airavata: Airavata) -> dict[str, Any]:
    """Everything that Airavata holds, to compare before and after."""
    state: dict[str, Any] = json.loads(json.dumps(airavata.catalogue.things, default=sorted))
    return {kind: entries for kind, entries in state.items() if entries}


def test_everything_is_there_after_one_run(airavata: Airavata) -> None:
    done = airavata.run("register")
    assert done.returncode == 0, done.stderr
    resource = airavata.only("compute")
    assert resource["hostName"] == "Mesos"
    assert resource["enabled"] is True
    queues = {queue["queueName"]: queue for queue in resource["batchQueues"]}
    assert queues["long"]["queueSpecificMacros"] == "#SBATCH --requeue,#SBATCH --comment=long"
    assert (queues["normal"]["maxRunTime"], queues["normal"]["maxMemory"]) == (600, 4096)
    assert [name for name, queue in queues.items() if queue.get("isDefaultQueue")] == ["long"]
    (preference,) = airavata.only("profile")["computePreferences"]
    assert preference["loginUserName"] == "airavata"
    assert preference["scratchLocation"] == "/home/airavata/scratch"
    assert preference["specificPreferences"]["slurm"] == {
        "preferredBatchQueue": "long",
        "allocationProjectNumber": "proj1",
    }
    key = airavata.only("credential")
    assert preference["resourceSpecificCredentialStoreToken"] == key["token"]
    assert key["publicKey"] in done.stdout
    assert airavata.only("deployment")["parallelism"] == "SERIAL"
    assert airavata.only("preference")["fileSystemRootLocation"] == "/srv/data"
    shared = {*airavata.catalogue.of("profile"), *airavata.catalogue.of("deployment"), key["token"]}
    assert airavata.catalogue.readers == {id_: {GROUPS["users"]} for id_ in shared}


def test_ways_in_fit_the_version(airavata: Airavata) -> None:
    airavata.good("register")
    resource = airavata.only("compute")
    if airavata.version == "develop":
        way = airavata.only("ssh")
        assert way["alternativeSSHHostName"] == "submit.example.org"
        assert (way["sshPort"], way["monitorMode"]) == (2222, "POLL_JOB_MANAGER")
        manager = way["resourceJobManager"]
        assert manager["jobManagerCommands"]["SHOW_NO_OF_RUNNING_JOBS"] == "squeue "
        ports = {one["sshPort"] for one in airavata.catalogue.of("scp").values()}
        assert ports == {2222, 22}
    else:
        assert resource["sshPort"] == 2222
        manager = resource["resourceJobManager"]
        assert manager["jobManagerCommands"] == {
            "1": "sbatch",
            "2": "squeue",
            "3": "scancel",
            "8": "sinfo",
            "9": "squeue ",
            "10": "squeue ",
        }
    assert manager["jobManagerBinPath"] == "/home/airavata/bin"


def test_a_second_run_changes_nothing_and_says_so(airavata: Airavata) -> None:
    airavata.good("register")
    before, calls = things(airavata), list(airavata.catalogue.log)
    done = airavata.run("register")
    assert done.returncode == 0, done.stderr
    assert "Nothing to change" in done.stdout
    assert airavata.catalogue.log == calls
    assert things(airavata) == before


def test_a_changed_file_updates_in_place(airavata: Airavata) -> None:
    airavata.good("register")
    ids = {kind: sorted(entries) for kind, entries in airavata.catalogue.things.items()}
    airavata.resource["queues"][0]["max_processors"] = 6
    airavata.resource["queues"][1] = {
        "name": "short",
        "default": True,
        "max_run_time_minutes": 45,
        "max_processors": 2,
        "max_memory_mb": 512,
    }
    airavata.resource["bin_path"] = "/opt/mesos/bin"
    airavata.resource["ssh"]["port"] = 2200
    airavata.resource["scratch"] = "/scratch"
    airavata.resource["applications"][0]["executable"] = "/usr/bin/echo"
    airavata.resource["applications"][0]["before"] = []
    airavata.resource["applications"][0]["inputs"].append({"name": "More", "type": "INTEGER"})
    airavata.resource["storage"]["root"] = "/srv/other"
    actions = airavata.actions("register")
    assert actions[("compute resource", "Mesos")] == "updated"
    assert actions[("group resource profile", "Mesos users")] == "updated"
    assert actions[("application module", "Echo")] == "unchanged"
    assert actions[("application deployment", "Echo")] == "updated"
    assert actions[("storage", "storage.example.org")] == "unchanged"
    assert {kind: sorted(entries) for kind, entries in airavata.catalogue.things.items()} == ids
    resource = airavata.only("compute")
    assert {q["queueName"]: q["maxProcessors"] for q in resource["batchQueues"]} == {"normal": 6, "short": 2}
    profile = airavata.only("profile")
    assert profile["computePreferences"][0]["scratchLocation"] == "/scratch"
    (policy,) = profile["computeResourcePolicies"]
    assert sorted(policy["allowedBatchQueues"]) == ["normal", "short"]
    way = airavata.only("ssh") if airavata.version == "develop" else resource
    assert way["sshPort"] == 2200
    assert way["resourceJobManager"]["jobManagerBinPath"] == "/opt/mesos/bin"
    assert airavata.only("deployment").get("preJobCommands", []) == []
    assert len(airavata.only("interface")["applicationInputs"]) == 3
    assert airavata.only("preference")["fileSystemRootLocation"] == "/srv/other"
    assert set(airavata.actions("register").values()) == {"unchanged"}


def test_what_others_have_in_the_profile_stays(airavata: Airavata) -> None:
    airavata.good("register")
    airavata.resource.update(name="Other", applications=[])
    airavata.resource["scratch"] = "/elsewhere"
    airavata.good("register")
    profile = airavata.only("profile")
    scratch = {
        p["computeResourceId"].split("_")[0]: p["scratchLocation"] for p in profile["computePreferences"]
    }
    assert scratch == {"Mesos": "/home/airavata/scratch", "Other": "/elsewhere"}
    assert len(profile["computeResourcePolicies"]) == 2
    assert airavata.actions("unregister")[("group resource profile", "Mesos users")] == "updated"
    profile = airavata.only("profile")
    assert [p["scratchLocation"] for p in profile["computePreferences"]] == ["/home/airavata/scratch"]
    assert len(profile["computeResourcePolicies"]) == 1


def test_what_others_use_stays(airavata: Airavata) -> None:
    airavata.resource["storage"] = None
    airavata.good("register")
    airavata.resource.update(name="Other")
    airavata.good("register")
    airavata.resource.update(name="Mesos")
    planned = airavata.actions("unregister", "--dry-run")
    done = airavata.good("unregister")
    outcomes = {one["kind"]: (one["action"], *one["details"]) for one in done["outcomes"]}
    assert outcomes["application module"] == ("kept", "deployed on other resources too")
    assert outcomes["credential"] == ("kept", "used by the storage or for another resource")
    assert outcomes["group resource profile"][0] == "updated"
    assert {(one["kind"], one["name"]): one["action"] for one in done["outcomes"]} == planned
    airavata.resource.update(name="Other")
    assert set(airavata.actions("register").values()) == {"unchanged"}


def test_prefixes_do_not_keep_a_run_busy(airavata: Airavata) -> None:
    airavata.resource["parallelism_prefixes"] = {"MPI": "srun"}
    airavata.good("register")
    assert set(airavata.actions("register").values()) == {"unchanged"}


def test_dry_run_without_a_server_prints_all_calls(airavata: Airavata) -> None:
    done = airavata.run("register", "--dry-run", server="")
    assert done.returncode == 0, done.stderr
    names = [line.split(". ", 1)[1] for line in done.stdout.splitlines() if line[:1].isdigit()]
    sent = airavata.run("register")
    assert sent.returncode == 0, sent.stderr
    real = airavata.catalogue.log
    assert len(names) == len(real)
    if airavata.version == "develop":
        assert names == real
    assert '"SUBMISSION": "sbatch"' in done.stdout or '"1": "sbatch"' in done.stdout
    assert "Nothing was sent." in done.stdout


def test_dry_run_with_a_server_compares_and_sends_nothing(airavata: Airavata) -> None:
    airavata.good("register")
    assert airavata.good("register", "--dry-run")["calls"] == []
    before, calls = things(airavata), list(airavata.catalogue.log)
    airavata.resource["description"] = "Other words"
    airavata.resource["queues"].pop(0)
    document = airavata.good("register", "--dry-run")
    update = ["deleteBatchQueue", "updateComputeResource", "updateGroupResourceProfile"]
    if airavata.version == "master":
        update = ["DELETE", "PUT", "PUT"]
    assert [call["name"].split()[0] for call in document["calls"]] == update
    airavata.good("unregister", "--dry-run")
    assert things(airavata) == before
    assert airavata.catalogue.log == calls
    assert airavata.home.joinpath("registrations").exists()
    assert airavata.actions("unregister")[("compute resource", "Mesos")] == "removed"


def test_unregister_removes_what_was_made(airavata: Airavata) -> None:
    airavata.resource["storage"] = None
    airavata.good("register")
    actions = airavata.actions("unregister")
    assert set(actions.values()) == {"removed"}
    assert things(airavata) == {}
    assert not list(airavata.home.glob("registrations/*"))
    done = airavata.run("unregister")
    assert (done.returncode, "Nothing to remove" in done.stdout) == (0, True)


def test_storage_stays_unless_asked_for(airavata: Airavata) -> None:
    airavata.good("register")
    actions = airavata.actions("unregister")
    assert actions[("storage", "storage.example.org")] == "kept"
    assert actions[("credential", "Mesos key")] == "kept"
    assert set(things(airavata)) - {"scp"} == {"storage", "preference", "credential"}
    assert airavata.actions("unregister", "--with-storage")[("storage", "storage.example.org")] == "removed"
    assert things(airavata) == {}


def test_without_its_record_unregister_keeps_what_may_be_older(airavata: Airavata) -> None:
    airavata.good("register")
    for file in airavata.home.glob("registrations/*"):
        file.unlink()
    actions = airavata.actions("unregister", "--with-storage")
    assert actions[("compute resource", "Mesos")] == "removed"
    assert actions[("application deployment", "Echo")] == "removed"
    assert actions[("application module", "Echo")] == "kept"
    assert actions[("storage", "storage.example.org")] == "kept"
    assert airavata.only("profile").get("computePreferences", []) == []


def test_unregister_refuses_while_others_use_the_resource(airavata: Airavata) -> None:
    airavata.good("register")
    airavata.resource["profile"]["name"] = "Somebody else's"
    done = airavata.run("unregister")
    assert done.returncode == 1
    assert "others use the compute resource Mesos: the profile Mesos users" in done.stderr
    assert len(airavata.catalogue.of("compute")) == 1


@pytest.mark.parametrize("change", range(1, 12))
@pytest.mark.parametrize("fault", ["fail_at", "lose_answer_at"])
def test_a_broken_run_is_completed_by_the_next(airavata: Airavata, change: int, fault: str) -> None:
    setattr(airavata.switches, fault, change)
    done = airavata.run("register")
    assert done.returncode == 1, "the fault did not come"
    reason = "database is down" if fault == "fail_at" else "broke during"
    assert reason in done.stderr, done.stderr
    if change > 1:
        assert "Not complete" in done.stdout
    airavata.good("register")
    for kind in ("compute", "profile", "storage", "preference", "module", "interface", "deployment"):
        assert len(airavata.catalogue.of(kind)) == 1, kind
    assert len(airavata.catalogue.of("credential")) == 1
    assert set(airavata.actions("register").values()) == {"unchanged"}


@pytest.mark.parametrize("change", range(1, 6))
def test_a_broken_removal_is_completed_by_the_next(airavata: Airavata, change: int) -> None:
    airavata.good("register")
    airavata.switches.fail_at = airavata.switches.changes + change
    assert airavata.run("unregister", "--with-storage").returncode == 1
    airavata.good("unregister", "--with-storage")
    assert things(airavata) == {}


def test_a_wrong_token_is_refused_in_words(airavata: Airavata) -> None:
    done = airavata.run("register", token="stolen")  # noqa: S106 - it is wrong
    assert done.returncode == 1
    assert "the token may have expired" in done.stderr
    assert airavata.catalogue.things in ({}, {"credential": {}})


def test_nobody_listens(airavata: Airavata) -> None:
    done = airavata.run("register", server="127.0.0.1:1")
    assert done.returncode == 1
    assert "cannot connect to Airavata at" in done.stderr
    assert "--server" in done.stderr


def test_a_key_that_is_there_is_used(airavata: Airavata) -> None:
    token = airavata.catalogue.new_key("made in the portal", USER)
    airavata.resource["credential"] = {"token": token}
    airavata.good("register")
    assert list(airavata.catalogue.of("credential")) == [token]
    airavata.good("unregister", "--with-storage")
    assert set(things(airavata)) == {"credential"}


def test_a_key_that_is_not_there_is_named(airavata: Airavata) -> None:
    airavata.resource["credential"] = {"token": "nosuch"}
    done = airavata.run("register")
    assert done.returncode == 1
    assert "the credential store has no key with the token nosuch" in done.stderr


def test_two_resources_of_one_name_are_not_guessed_between(airavata: Airavata) -> None:
    airavata.good("register")
    (old,) = airavata.catalogue.of("compute")
    airavata.catalogue.of("compute")["Mesos_2"] = {**airavata.only("compute")}
    if airavata.version == "develop":
        structs = airavata.server.handler.structs["compute"]  # type: ignore[union-attr]
        structs["Mesos_2"] = structs[old]
    done = airavata.run("register")
    assert done.returncode == 1
    assert "holds 2 entries of the kind compute resource with the name 'Mesos'" in done.stderr


def test_parallel_applications(airavata: Airavata) -> None:
    airavata.resource["parallelism_prefixes"] = {"MPI": "srun"}
    airavata.resource["applications"][0]["parallelism"] = "MPI"
    done = airavata.run("register")
    if airavata.version == "master":
        assert done.returncode == 1
        assert "runs serial applications only, not Echo" in done.stderr
        assert airavata.catalogue.log == []
    else:
        assert done.returncode == 0, done.stderr
        assert airavata.only("ssh")["resourceJobManager"]["parallelismPrefix"] == {"MPI": "srun"}
        airavata.resource["parallelism_prefixes"]["OPENMP"] = "env"
        airavata.good("register")
        del airavata.resource["parallelism_prefixes"]["OPENMP"]
        airavata.good("register")
        assert airavata.only("ssh")["resourceJobManager"]["parallelismPrefix"] == {"MPI": "srun"}


def test_another_gateway_is_refused(airavata: Airavata) -> None:
    done = airavata.run("register", "--gateway", "elsewhere")
    assert done.returncode == 1
    assert GATEWAY not in done.stdout
    assert airavata.catalogue.of("compute") == {}


def test_as_a_process(airavata: Airavata) -> None:
    line, environment = airavata.command("register")
    program = [sys.executable, "-W", "error", "-m", "airavata_mesos_plugin.cli", *line]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "created\tcompute resource\tMesos\tMesos_" in done.stdout
    again = subprocess.run(program, env={**environment, "AIRAVATA_TOKEN": ""}, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr == (
        "airavata-mesos: there is no usable access token "
        "(put it into a file and name it with --token-file, or set AIRAVATA_TOKEN)\n"
    )

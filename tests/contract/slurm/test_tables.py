"""The recorded tables of option values, and the blocks about directives, typed again."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from airavata_mesos_plugin.jobs import JobPhase
from tests.contract.slurm.masks import masked
from tests.contract.slurm.playground import Playground
from tests.contract.slurm.test_transcripts import HERE
from tests.contract.slurm.worlds import JOB

TABLES = json.loads((HERE / "cases" / "matrix.json").read_text(encoding="utf-8"))
BLOCKS = json.loads((HERE / "cases" / "directives.json").read_text(encoding="utf-8"))
OURS: dict[str, dict[str, Any]] = {
    row: group
    for group in yaml.safe_load((HERE / "ours_tables.yaml").read_text(encoding="utf-8"))
    for row in group["rows"]
}

IGNORED = "sbatch: Warning: "


def rows() -> list[Any]:
    return [
        pytest.param(name, table["command"], *([*row, ""])[:3], id=f"{name}/{number}:{row[0]}")
        for name, table in TABLES.items()
        if name != "exit-codes"
        for number, row in enumerate(table["rows"], start=1)
    ]


def facts(text: str, number: int) -> set[str]:
    """What a query says, in any order; what nobody asked for is left out."""
    text = masked(text.replace(f"{number}", "<ID>")).replace("TT:TT:TT", "")
    words = re.split(r" ?[/;] ?|\s+|(?<=[a-z0-9]),(?=[a-z]+=)", text)
    return {word for word in words if word and not word.startswith(LEFT_OUT)}


LEFT_OUT = ("Account=", "QOS=", "Priority=", "SubmitTime=", "StartTime=", "billing=", "node=", "Dead")


@pytest.mark.parametrize(("table", "command", "given", "code", "answer"), rows())
def test_an_option(
    playground: Playground, table: str, command: str, given: str, code: str, answer: str
) -> None:
    difference = OURS.get(f"{table} {given}", {})
    run = Path(playground.here("/home/alice/run"))
    (run / "job.sh").write_text(JOB)
    (run / "relative").mkdir()
    playground.add(7, "A", hold=True)
    playground.add(8, "B", hold=True)
    playground.next_id(100)
    line, _, query = command.partition("   (then: ")
    options = re.sub(r"\bA(?=\b|_)", "7", re.sub(r"\bB\b", "8", given)) if table == "dependency" else given
    # A name of a node is no part of what the other tables are about.
    line = line if table == "placement" else line.replace(" --nodelist=node1", "")
    line = line.replace("{o}", options)
    done = playground.type(line)
    wanted, _, complaint = answer.partition("stderr: ")
    wanted = wanted.removesuffix(" // ")
    if "refused" in difference:
        assert done.returncode in (1, 255)
        assert difference["refused"] in done.stderr
        assert done.stdout == ""
        return
    expected_code = difference.get("exit", int(code))
    assert done.returncode == expected_code, done
    said = [text for text in done.stderr.splitlines() if not text.startswith(IGNORED)]
    if expected_code:
        lines = [text.strip() for text in complaint.split(" / ")]
        if table == "misc" and len(lines) > 1:
            lines = lines[:1]  # the second names a command that does not exist here
        assert said[: len(lines)] == [line.replace("/home", "/home") for line in lines]
        return
    if difference.get("warns"):
        assert difference["warns"] in done.stderr
    if not done.stdout or difference.get("only_accepted"):
        return
    number = 100
    asked = query.removesuffix(")").replace("{j}", str(number))
    shown = playground.type(asked).stdout
    missing = facts(wanted, number) - facts(shown, number)
    if table == "dependency":
        missing = {re.sub(r"\bA\b", "7", re.sub(r"\bB\b", "8", word)) for word in missing}
        missing -= facts(shown, number)
    assert missing <= set(difference.get("missing", ())), (shown, wanted)


def test_exit_codes(playground: Playground) -> None:
    """Each way in which a script ends, as sacct and scontrol tell it."""
    for number, row in enumerate(TABLES["exit-codes"]["rows"], start=300):
        given, state, accounting, control = row
        playground.add(number)
        playground.start(number)
        if given.isdigit():
            code = int(given)
            playground.end(number, JobPhase.FAILED if code else JobPhase.COMPLETED, code=code)
        else:
            ended_by = int(getattr(signal, f"SIG{given}"))
            playground.end(number, JobPhase.FAILED, code=128 + ended_by, signal=ended_by)
        shown = playground.type(f"sacct -X -n -P -o State,ExitCode -j {number}").stdout
        assert shown == f"{state}|{accounting}\n", given
        record = playground.type(f"scontrol -o show job {number}").stdout
        assert f" ExitCode={control} " in record, given


def blocks() -> list[Any]:
    return [
        pytest.param(block, id=f"{name}: {block['title']}")
        for name, found in BLOCKS.items()
        for block in found
    ]


@pytest.mark.parametrize("block", blocks())
def test_directives(playground: Playground, block: dict[str, Any]) -> None:
    difference = OURS.get(f"directives {block['title']}", {})
    script = Path(playground.here("/home/alice/run/d.sh"))
    text = block["script"]
    if block["title"].startswith("directive on the last line"):
        text = text.removesuffix("\n")
    script.write_bytes(playground.here(text).encode())
    playground.next_id(100)
    done = playground.type(block["command"], environ=block.get("env"))
    if "refused" in difference:
        assert (done.returncode, done.stdout) == (1, "")
        assert difference["refused"] in done.stderr
        return
    assert done.returncode == difference.get("exit", block.get("exit", 0)), done.stderr
    said = "".join(f"{line}\n" for line in done.stderr.splitlines() if not line.startswith(IGNORED))
    if "stderr" in block and "exit" not in difference:
        assert said.startswith(block["stderr"])
    if done.returncode or difference.get("only_accepted"):
        return
    summary = playground.type(
        "squeue -h -j 100 -o 'name=%j|part=%P|time=%l|nodes=%D|acct=%a|comment=%k'"
    ).stdout
    record = playground.type("scontrol -o show job 100").stdout
    values = playground.type("squeue -h -j 100 -o '%i %j %P %D %C %a %q %f %m %r %E'").stdout
    wanted = block.get("result", "")
    if wanted.startswith("name="):
        # Without an account there is none here, where the recorded cluster gave a default one.
        assert summary.replace("acct=(null)", "acct=physics") == f"{wanted}\n"
        return
    for word in masked(wanted.split("\n\n")[0].replace("<ID>", "100")).split():
        if word.startswith(("Account=", "QOS=", "physics", "normal", "JOBID", "SubmitTime=")):
            continue
        assert word in masked(record) or word in values.split() or word in difference.get("missing", ()), word


def test_each_difference_means_a_row() -> None:
    known = {f"{name} {row[0]}" for name, table in TABLES.items() for row in table["rows"]}
    known |= {f"directives {block['title']}" for found in BLOCKS.values() for block in found}
    assert set(OURS) <= known

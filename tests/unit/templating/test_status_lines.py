"""Airavata's announcements become comments; every other line stays."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.airavata.status_lines import StatusPosting, silence


def call(
    status: str = "RUNNING", name: str = "A1620574137", url: str = '"http://airavata.host:8082/t/q"'
) -> str:
    return (
        'curl -X POST -H "Content-Type: application/vnd.kafka.json.v2+json" '
        '-H "Accept: application/vnd.kafka.v2+json" --data \'{"records":[{"value":'
        f'{{"jobName":"{name}", "status":"{status}", "task":"TASK_1"}}}}]}}\' {url} > /dev/null || true'
    )


SCRIPT = f"""#!/bin/bash

#SBATCH -n 1

cd /scratch/P1
{call()}
/opt/apps/echo/echo.sh -m Hello, Airavata!\x20
{call("COMPLETED")}

"""


def test_both_lines_are_silenced_and_told() -> None:
    script, postings = silence(SCRIPT)
    assert "curl" not in script
    before, after = SCRIPT.split("\n"), script.split("\n")
    assert len(before) == len(after)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2
    assert all(line.startswith("# ") for line in changed)
    url = "http://airavata.host:8082/t/q"
    assert postings == (
        StatusPosting(url, "A1620574137", "TASK_1", "RUNNING"),
        StatusPosting(url, "A1620574137", "TASK_1", "COMPLETED"),
    )


def test_a_repeat_finds_nothing() -> None:
    once = silence(SCRIPT).script
    assert silence(once) == (once, ())


@pytest.mark.parametrize(
    "url", ['"https://10.0.0.1/x?y=z"', "http://h:1/t", '"http://proxy/a/b/c"'], ids=["https", "bare", "path"]
)
def test_any_endpoint(url: str) -> None:
    assert silence(call(url=url)).postings[0].endpoint == url.strip('"')


def test_a_last_line_without_newline_and_blanks_around() -> None:
    assert len(silence(f"echo\n  {call()} \t").postings) == 1


@pytest.mark.parametrize(
    "line",
    [
        call().replace(" || true", ""),
        call().replace(" || true", " || echo no"),
        call().replace("curl ", "curl -s "),
        call().replace("application/vnd.kafka.v2+json", "application/json"),
        call("FAILED"),
        call().replace('"task":"TASK_1"', '"task":1'),
        call().replace('"task":"TASK_1"', '"other":"TASK_1"'),
        call().replace('{"records":', '{"records" '),
        f"echo {call()}",
        f"# {call()}",
        f"{call()}; touch x",
        'curl -X POST --data x "http://airavata.host:8082/t/q" > /dev/null || true',
    ],
)
def test_other_calls_stay(line: str) -> None:
    script = f"#!/bin/bash\n{line}\n"
    assert silence(script) == (script, ())

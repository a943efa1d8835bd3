"""The pytest plugin in a project that knows nothing of ours: found by its entry point alone."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.scheduler_contract import SchedulerContract

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[3] / "docs" / "testing.md"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A fresh project whose own warnings are errors."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


@pytest.mark.timeout(400)
def test_the_examples_of_the_guide_pass(project: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    project.makepyfile("\n\n".join(blocks))
    written = sum(block.count("def test_") for block in blocks)
    promises = len([name for name in vars(SchedulerContract) if name.startswith("test_")])
    assert written >= 6
    assert promises >= 10
    outcomes = project.runpytest_subprocess("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= written + promises


@pytest.mark.timeout(400)
def test_a_test_that_is_wrong_fails_and_says_why(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_phase(scripted_provider):
            job_id = scripted_provider.submit()
            scripted_provider.wait_for_phase(job_id, "failed")

        def test_state(scripted_scheduler):
            scripted_scheduler.jobs_go("COMPLETE")

        def test_signature(scripted_scheduler):
            scripted_scheduler.mock.poll()

        def test_fault(minicluster):
            minicluster.faults.drop_after("createJob", times=2)

        def test_setting(make_provider, scripted_scheduler):
            make_provider(scripted_scheduler, queues={"max_cpu": 2})

        def test_outputs(compute_resource):
            job = compute_resource.accepted("exit 3")
            compute_resource.finished(job, "COMPLETE")
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines_random(
        [
            "E*job 1 is not failed but completed",
            "E*Aurora has no state 'COMPLETE'*",
            "E*missing a required argument: 'keys'",
            "E*unexpected keyword argument 'times'*",
            "E*max_cpu*",
            "E*assert 'FAILED' == 'COMPLETE'",
        ]
    )


def test_fixtures_are_listed_with_what_they_are(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        ["minicluster -- *", "    An Aurora scheduler, a Mesos master and one agent *"]
    )


def test_the_entry_point_leads_to_the_plugin() -> None:
    (found,) = entry_points(group="pytest11", name="airavata_mesos")
    assert found.value == "airavata_mesos_plugin.testing.plugin"


def test_its_import_is_cheap() -> None:
    program = (
        "import pytest, sys; before = set(sys.modules); import airavata_mesos_plugin.testing.plugin;"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('airavata_mesos_plugin')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_runs_without_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None; sys.modules['_pytest'] = None;"
        "import airavata_mesos_plugin.service.daemon, airavata_mesos_plugin.cli.main,"
        " airavata_mesos_plugin.minicluster.threaded, airavata_mesos_plugin.testing.compute_resource,"
        " airavata_mesos_plugin.testing.stage, airavata_mesos_plugin.testing.scripted"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

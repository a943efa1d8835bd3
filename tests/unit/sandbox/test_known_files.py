"""What is remembered of files, and for how long."""

from __future__ import annotations

from airavata_mesos_plugin.sandbox.agent.known_files import GOOD_SECONDS, KnownFiles
from airavata_mesos_plugin.schedulers.base import SandboxAddress

HERE = SandboxAddress("http://a:5051", "/one")


def test_for_a_while_and_for_one_sandbox() -> None:
    time = [0.0]
    known = KnownFiles(lambda: time[0])
    known.add(HERE, "out")
    assert known.has(HERE, "out")
    assert not known.has(HERE, "other")
    assert not known.has(SandboxAddress("http://a:5051", "/two"), "out")
    time[0] = GOOD_SECONDS
    assert not known.has(HERE, "out")


def test_the_number_is_bounded() -> None:
    known = KnownFiles(lambda: 0.0)
    for number in range(10_000):
        known.add(HERE, f"f{number}")
        known.add(HERE, "often")
    assert known.has(HERE, "often")
    assert known.has(HERE, "f9999")
    assert not known.has(HERE, "f0")

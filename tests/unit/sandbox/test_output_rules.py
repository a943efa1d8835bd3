"""Which outputs are wanted."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.config.patterns import MOST_PATTERNS
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.sandbox.outputs.rules import EVERYTHING, OutputRules
from airavata_mesos_plugin.sandbox.source import Entry


def entry(name: str, size: int = 1) -> Entry:
    return Entry(name, "-", size, 1, 0o644, 1)


def chosen(rules: OutputRules, *files: Entry) -> tuple[list[str], dict[str, str]]:
    left_out: list[tuple[str, str]] = []
    return [found.name for found in rules.choose(files, left_out)], dict(left_out)


@pytest.mark.parametrize(
    ("include", "exclude", "name", "wanted"),
    [
        ((), (), "any/thing", True),
        ((("*.dat",),), (), "a.dat", True),
        ((("*.dat",),), (), "deep/below/a.dat", True),
        ((("*.dat",),), (), "a.txt", False),
        ((("results/",),), (), "results/deep/a", True),
        ((("/results/",),), (), "other/results/a", False),
        ((("*.dat",), ("a*",)), (), "a.dat", True),
        ((("*.dat",), ("a*",)), (), "b.dat", False),
        ((), (("*.tmp",),), "a.tmp", False),
        ((), (("*.tmp", "!keep.tmp"),), "keep.tmp", True),
        ((), (("*.tmp", "!keep.tmp"), ("keep*",)), "keep.tmp", False),
        ((), (("scratch/**/x",),), "scratch/1/2/x", False),
        ((("*.dat",),), (("a*",),), "a.dat", False),
        ((("*.dat",),), (("*",),), "job.out", True),
        ((), (("# a comment", "", "x"),), "x", False),
    ],
)
def test_patterns(
    include: tuple[tuple[str, ...], ...], exclude: tuple[tuple[str, ...], ...], name: str, wanted: bool
) -> None:
    rules = OutputRules(include=include, exclude=exclude, essential=frozenset({"job.out"}))
    assert rules.takes(name) is wanted
    assert chosen(rules, entry(name)) == ([name] if wanted else [], {}), "what is excluded is no surprise"


def test_directories() -> None:
    rules = OutputRules(exclude=(("scratch/",),))
    assert not rules.takes_directory("scratch")
    assert rules.takes("scratch"), "a file of that name"
    assert EVERYTHING.takes_directory("any")


def test_a_limit_for_each_file() -> None:
    rules = OutputRules(file_bytes=10, essential=frozenset({"job.out"}))
    names, left_out = chosen(rules, entry("a", 10), entry("b", 11), entry("job.out", 11))
    assert names == ["a"]
    assert left_out["b"] == "11 bytes, more than the 10 that one file may have"
    assert "job.out" in left_out


def test_limits_for_all_files_take_the_small_ones() -> None:
    rules = OutputRules(total_bytes=10, essential=frozenset({"job.out"}))
    names, left_out = chosen(rules, entry("a", 8), entry("b", 2), entry("c", 4), entry("job.out", 5))
    assert sorted(names) == ["b", "job.out"]
    assert left_out["c"] == "over the 10 bytes that all files of a job may have together"
    names, left_out = chosen(OutputRules(files=2), entry("a", 3), entry("b", 2), entry("c", 1))
    assert sorted(names) == ["b", "c"]
    assert left_out == {"a": "more than the 2 files that a job may have"}
    assert chosen(OutputRules(files=2, total_bytes=5), entry("a", 3), entry("b", 2)) == (["a", "b"], {})


@pytest.mark.parametrize("pattern", ["a*b*c*d*e*f", "x" * 1001, "a\nb", "\x1b", "!"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="pattern") as caught:
        OutputRules(exclude=((pattern,),))
    assert "\x1b" not in str(caught.value)


def test_too_many_patterns() -> None:
    with pytest.raises(InvalidRequest, match="101 patterns"):
        OutputRules(include=(("x",) * (MOST_PATTERNS + 1),))


def test_rules_travel() -> None:
    rules = OutputRules((("a",), ("b", "c")), (("!d",),), 1, None, 3, frozenset({"x", "y"}))
    assert OutputRules.from_document(rules.to_document()) == rules
    with pytest.raises(TypeError):
        OutputRules.from_document({**rules.to_document(), "include": "x"})

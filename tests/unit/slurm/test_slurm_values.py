"""Forms of times, amounts and lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.slurm import values


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1", 1),
        ("90", 90),
        ("5:30", 6),
        ("5:00", 5),
        ("0:10", 1),
        ("1:02:03", 63),
        ("24:00:00", 1440),
        ("25:00:00", 1500),
        ("00:30:00", 30),
        ("00:5:00", 5),
        ("2:5:00", 125),
        ("1-2", 1560),
        ("1-2:3", 1563),
        ("1-2:3:4", 1564),
        ("1-0", 1440),
        ("0-1", 60),
        ("7-00:00:00", 10080),
        ("1:90", 3),
        ("1:60:00", 120),
        ("100:00", 100),
        ("00:00:01", 1),
        ("525600", 525600),
        ("0", math.inf),
        ("00:00:00", math.inf),
        ("-1", math.inf),
        ("INFINITE", math.inf),
        ("unlimited", math.inf),
    ],
)
def test_wall_times(text: str, minutes: float) -> None:
    assert values.parse_time(text) == minutes


@pytest.mark.parametrize(
    "text",
    [
        "5m",
        "1h",
        "1.5",
        "+5",
        "-5",
        "1:2:3:4",
        "1-2:3:4:5",
        ":30",
        "5:",
        "1--2",
        "1d",
        "",
        " 5",
        "5 ",
        "abc",
        "=7",
        "\u0665",
        "1\n",
        "99999999999999999999",
    ],
)
def test_wrong_wall_times(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        values.parse_time(text)


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [
        ("100", 100),
        ("100K", 1),
        ("1500K", 2),
        ("2048K", 2),
        ("100M", 100),
        ("1G", 1024),
        ("1T", 1024**2),
        ("1g", 1024),
        ("100MB", 100),
        ("1gb", 1024),
        ("0", 0),
    ],
)
def test_memory(text: str, megabytes: int) -> None:
    assert values.parse_memory(text) == megabytes


@pytest.mark.parametrize("text", ["1.5G", "1B", "-1", "", "abc", "1 G", "G", "1KK", "9" * 30])
def test_wrong_memory(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        values.parse_memory(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("2", (2, 2)), ("1-2", (1, 2)), ("1k", (1024, 1024)), ("2-1", (2, 1))]
)
def test_nodes(text: str, expected: tuple[int, int]) -> None:
    assert values.parse_nodes(text) == expected


@pytest.mark.parametrize("text", ["abc", "2,1", "", "-3", "0", "9" * 18])
def test_wrong_nodes(text: str) -> None:
    with pytest.raises(ValueError, match="not a node count"):
        values.parse_nodes(text)


@pytest.mark.parametrize("text", ["0", "-3", "abc", "", "1.5", "2147483648", "\u0663"])
def test_wrong_counts(text: str) -> None:
    with pytest.raises(ValueError, match="not a count"):
        values.parse_count(text)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("NONE", ()),
        ("end", ("END",)),
        ("END,BEGIN", ("BEGIN", "END")),
        ("ALL", ("INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT")),
        ("BEGIN,NONE", ()),
        ("BEGIN,NOSUCH", ("BEGIN",)),
        ("TIME_LIMIT_80", ("TIME_LIMIT_80",)),
    ],
)
def test_mail_types(text: str, types: tuple[str, ...]) -> None:
    assert values.parse_mail_types(text) == types


@pytest.mark.parametrize("text", ["ABORT", "", "BEGIN END"])
def test_wrong_mail_types(text: str) -> None:
    with pytest.raises(ValueError, match="not a mail type"):
        values.parse_mail_types(text)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (9, "0:09"), (3723, "1:02:03"), (86400, "1-00:00:00"), (-3, "0:00")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert values.duration(seconds) == shown


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], ""),
        (["node1"], "node1"),
        (["node2", "node1"], "node[1-2]"),
        (["n08", "n09", "n10", "m", "n12"], "m,n[08-10,12]"),
        (["n1.example.org", "n2.example.org"], "n1.example.org,n2.example.org"),
    ],
)
def test_hostlists(names: list[str], shown: str) -> None:
    assert hostlist.short(names) == shown


@given(st.text())
def test_no_text_is_a_surprise(text: str) -> None:
    for parse in (values.parse_time, values.parse_memory, values.parse_nodes, values.parse_count):
        try:
            assert parse(text) is not None
        except ValueError as error:
            assert str(error).startswith("not a")  # noqa: PT017 - either outcome is good


@given(st.integers(min_value=1, max_value=10**7))
def test_a_shown_limit_reads_back(minutes: int) -> None:
    shown = values.duration(minutes * 60)
    assert values.parse_time(shown) == minutes

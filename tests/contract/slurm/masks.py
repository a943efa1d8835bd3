"""What of a recorded answer may differ: dates, run times, reasons that another scheduler gives."""

from __future__ import annotations

import re

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"), "DATE-AND-TIME-OF-DAY"),
    (re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$", re.M), "DAY"),
    # Run times keep their number of characters, on which the width of columns depends.
    (re.compile(r"(?<=  )\d:\d\d(?= )"), "T:TT"),
    (re.compile(r"(?<![\d:\-])\d\d:\d\d:\d\d(?![\d:])"), "TT:TT:TT"),
    (re.compile(r"\(Nodes required for job are [^)]*\)"), "(Resources)"),
    (
        re.compile(r"\((Priority|None|ReqNodeNotAvail, [^)]*|JobHeldUser|JobArrayTaskLimit)\)$", re.M),
        "(Resources)",
    ),
    (
        re.compile(
            r"(?<= )(Nodes required for job are .*|Priority|JobHeldUser|JobArrayTaskLimit)( /|$)", re.M
        ),
        r"Resources\2",
    ),
    # The directory that stands for this one is longer, so its column ends somewhere else.
    (re.compile(r"/home/alice/run +$", re.M), "/home/alice/run"),
    (re.compile(r"AllocNode:Sid=\w+:\d+"), "AllocNode:Sid=node:0"),
    (re.compile(r"sbatch: Job \d+ to start"), "sbatch: Job N to start"),
)


def masked(text: str) -> str:
    """The text without what may differ, and without our own last word after SLURM's error lines."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def errors(text: str) -> list[str]:
    """The lines of SLURM in what a command wrote to stderr: ours, which say what to do, come after them."""
    return masked(text).splitlines()


def lines(text: str, without: tuple[str, ...] = ()) -> list[str]:
    """The masked lines, but for those about what cannot be here."""
    return [line for line in masked(text).splitlines() if not any(word in line for word in without)]

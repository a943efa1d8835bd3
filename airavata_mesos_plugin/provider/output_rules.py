"""Which outputs of a job come back: what the queue's settings and the job's own script say.

A job script may have lines, anywhere and each on its own, that begin with ``#AIRAVATA-MESOS``:

    #AIRAVATA-MESOS outputs.include=*.dat
    #AIRAVATA-MESOS outputs.exclude=scratch/
    #AIRAVATA-MESOS outputs.live=progress.log

    #AIRAVATA-MESOS outputs.nodes=all

To every other program they are comments. A file comes back when both, queue and job, agree to it; live
outputs, which come while the job runs, are those that one of them names. Of which nodes outputs come is the
word of the script, if it has one.
"""

from __future__ import annotations

import re

from airavata_mesos_plugin.config import OutputSettings, QueueSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.filenames import NULL_DEVICE, expand
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.sandbox.origins import PUSH
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules

_MB = 1024 * 1024
_DIRECTIVE = re.compile(r"^#AIRAVATA-MESOS[ \t]+outputs\.([^=\s]*)(=?)(.*?)[ \t\r]*$", re.MULTILINE)
_OURS = ("include", "exclude", "live", "nodes")
_NODES = ("first", "all")


def directives(script: str) -> dict[str, tuple[str, ...]]:
    """What the lines of a script say, by what it is for. Raises InvalidRequest for lines that say nothing."""
    found: dict[str, list[str]] = {name: [] for name in _OURS}
    for match in _DIRECTIVE.finditer(script):
        name, equals, pattern = match.groups()
        if name not in found or not equals or not pattern or (name == "nodes" and pattern not in _NODES):
            raise InvalidRequest(
                f"the line {match[0].strip()!r} of the script cannot be understood",
                advice="write #AIRAVATA-MESOS outputs.exclude=PATTERN, or outputs.include=PATTERN,"
                " outputs.live=PATTERN, outputs.nodes=all or outputs.nodes=first",
            )
        found[name].append(pattern)
    return {name: tuple(patterns) for name, patterns in found.items()}


def live_patterns(script: str, queue: QueueSettings) -> tuple[str, ...]:
    """Names of files that come while the job runs: what the queue says and what the script says.

    Raises InvalidRequest.
    """
    return (*queue.outputs.live, *directives(script)["live"])


def all_nodes(script: str, settings: OutputSettings) -> bool:
    """Whether outputs of all nodes come back, not those of the first one only: the last word of the script
    counts, else that of the queue. Raises InvalidRequest.
    """
    return (settings.nodes, *directives(script)["nodes"])[-1] == "all"


def check(script: str, queue: QueueSettings) -> None:
    """Raises InvalidRequest when the rules of a job with this script could not be made later."""
    _rules(script, queue.outputs, frozenset())
    if queue.outputs.method == PUSH and all_nodes(script, queue.outputs):
        raise InvalidRequest(
            f"outputs.nodes=all cannot be had in the queue {queue.name}: only the first node sends outputs",
            advice="leave that line out, and gather the results on the first node",
        )
    OutputRules(include=(live_patterns(script, queue),))


def output_rules(record: JobRecord, script: str, settings: OutputSettings) -> OutputRules:
    """The rules for a job. What its script writes to stdout and stderr comes in any case."""
    request = record.request
    names = {expand(name, record) for name in (request.stdout, request.stderr) if name}
    return _rules(script, settings, frozenset(names - {NULL_DEVICE}))


def _rules(script: str, settings: OutputSettings, essential: frozenset[str]) -> OutputRules:
    own = directives(script)
    return OutputRules(
        include=(settings.include, own["include"]),
        exclude=(settings.exclude, own["exclude"]),
        file_bytes=None if settings.max_file_mb is None else settings.max_file_mb * _MB,
        total_bytes=None if settings.max_total_mb is None else settings.max_total_mb * _MB,
        files=settings.max_files,
        essential=essential,
    )

"""Which outputs of a job come back: what the queue's settings and the job's own script say.

A job script may have lines, anywhere and each on its own, that begin with ``#AIRAVATA-MESOS``:

    #AIRAVATA-MESOS outputs.include=*.dat
    #AIRAVATA-MESOS outputs.exclude=scratch/
    #AIRAVATA-MESOS outputs.live=progress.log

To every other program they are comments. A file comes back when both, queue and job, agree to it; live
outputs, which come while the job runs, are those that one of them names.
"""

from __future__ import annotations

import re

from airavata_mesos_plugin.config import OutputSettings, QueueSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.filenames import NULL_DEVICE, expand
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules

_MB = 1024 * 1024
_DIRECTIVE = re.compile(r"^#AIRAVATA-MESOS[ \t]+outputs\.([^=\s]*)(=?)(.*?)[ \t\r]*$", re.MULTILINE)
_OURS = ("include", "exclude", "live")


def directives(script: str) -> dict[str, tuple[str, ...]]:
    """The patterns in a script, by what they are for. Raises InvalidRequest for lines that say nothing."""
    found: dict[str, list[str]] = {name: [] for name in _OURS}
    for match in _DIRECTIVE.finditer(script):
        name, equals, pattern = match.groups()
        if name not in found or not equals or not pattern:
            raise InvalidRequest(
                f"the line {match[0].strip()!r} of the script cannot be understood",
                advice=f"write #AIRAVATA-MESOS outputs.{_OURS[1]}=PATTERN, or outputs.{_OURS[0]}=PATTERN",
            )
        found[name].append(pattern)
    return {name: tuple(patterns) for name, patterns in found.items()}


def live_patterns(script: str, queue: QueueSettings) -> tuple[str, ...]:
    """Names of files that come while the job runs: what the queue says and what the script says.

    Raises InvalidRequest.
    """
    return (*queue.outputs.live, *directives(script)["live"])


def check(script: str, queue: QueueSettings) -> None:
    """Raises InvalidRequest when the rules of a job with this script could not be made later."""
    _rules(script, queue.outputs, frozenset())
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

"""The outputs of all nodes of a parallel job: one fetch for each, of which none is over before all are.

Those of the first node come as those of any job, each other node's into a directory of its own. What has come
is remembered until all has, so another try goes on where one broke off, whatever that was. A node whose
outputs cannot be had keeps no other's away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from airavata_mesos_plugin.errors import AiravataMesosError, FilesUnavailable, NotFound
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.output_rules import all_nodes, output_rules
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.origins import PUSH, SHARED
from airavata_mesos_plugin.sandbox.outputs.fetch import MOST_LEFT_OUT, FetchReport, Progress
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.store.gangs import GangNode

MOST_TOLD = 5
"""Nodes whose troubles the reason of a job tells of."""

OriginOf = Callable[[JobRecord, GangNode | None], Origin]
"""From what a node's outputs are fetched, None for the first one. Raises SandboxGone."""


@dataclass(frozen=True)
class Gathered:
    """What came, of all nodes together; ``missing`` says of which nodes not all did, and why."""

    report: FetchReport
    missing: tuple[tuple[str, AiravataMesosError], ...] = ()

    @property
    def trouble(self) -> str:
        """What is to be told of them; empty when all came."""
        if not self.missing:
            return ""
        told = [f"{name} ({error})" for name, error in self.missing[:MOST_TOLD]]
        more = len(self.missing) - len(told)
        return f"outputs are missing of {', '.join([*told, *([f'{more} more nodes'] if more else [])])}"


class NodeOutputs:
    """Fetches them. Keeps nothing; safe to use from several threads."""

    def __init__(self, parts: Parts, origin: OriginOf) -> None:
        self._parts = parts
        self._origin = origin

    def fetch(self, record: JobRecord, tell: Callable[[Progress], None], cancel: threading.Event) -> Gathered:
        """Bring what is wanted. Repeatable, as `fetch.Fetcher.fetch` is, whose errors it raises when the
        first node's outputs cannot be had, or ``cancel`` was set.
        """
        request, ledger = record.request, self._parts.ledger
        rules = output_rules(record, ledger.script(record.id), self._parts.outputs_of(request.queue))
        wanted = self._wants_others(record)
        nodes = self._others(record) if wanted else ()
        bring = partial(self._bring, record, cancel=cancel, keep=bool(nodes))
        reports = [bring(None, rules, tell)]
        directory = layout.nodes_directory(record.id) if reports[0].has_nodes else layout.NODES
        missing: list[tuple[str, AiravataMesosError]] = []
        for node in nodes:
            before = _brought(reports)
            # What the script itself writes to stdout and stderr is on the first node.
            left = replace(rules, essential=frozenset(), used_bytes=before.bytes, used_files=before.files)
            try:
                reports.append(bring(node, left, _after(before, tell), into=f"{directory}/{node.name}"))
            except FilesUnavailable:
                raise
            except AiravataMesosError as error:
                if cancel.is_set():
                    raise
                missing.append((f"node {node.name}", error))
        if wanted and not nodes and reports[0].result is not None:
            missing.append(("the other nodes", NotFound("which these were is not known any more")))
        if nodes and not missing:
            numbers = [0, *(node.number for node in nodes)]
            manifests = [layout.manifest_name(layout.fetch_number(record.id, number)) for number in numbers]
            self._parts.files_of(request.uid).discard(request.working_directory, manifests)
        return Gathered(_together(reports), tuple(missing))

    def _bring(
        self,
        record: JobRecord,
        node: GangNode | None,
        rules: OutputRules,
        tell: Callable[[Progress], None],
        *,
        cancel: threading.Event,
        keep: bool,
        into: str = "",
    ) -> FetchReport:
        request = record.request
        report = self._parts.files_of(request.uid).fetch(
            self._origin(record, node),
            request.working_directory,
            self._parts.ledger.snapshot(record.id),
            job_id=layout.fetch_number(record.id, node.number if node else 0),
            rules=rules,
            progress=tell,
            cancel=cancel,
            into=into,
            keep=keep,
        )
        if not into:
            return report
        return replace(report, left_out=tuple((f"{into}/{name}", why) for name, why in report.left_out))

    def give_up(self, record: JobRecord) -> tuple[int, int]:
        """No other try will follow; returns the files and bytes that had arrived, which stay. Repeatable.

        Raises TransferError and FilesUnavailable.
        """
        files, directory = self._parts.files_of(record.request.uid), record.request.working_directory
        count, size = files.give_up_fetch(directory, record.id)
        for node in self._others(record) if self._wants_others(record) else ():
            for name in (layout.NODES, layout.nodes_directory(record.id)):
                number = layout.fetch_number(record.id, node.number)
                more, larger = files.give_up_fetch(directory, number, f"{name}/{node.name}")
                count, size = count + more, size + larger
        return count, size

    def _wants_others(self, record: JobRecord) -> bool:
        settings = self._parts.outputs_of(record.request.queue)
        # By these ways there is nothing apart from what the first node has.
        if record.request.nodes == 1 or settings.method in (SHARED, PUSH):
            return False
        return all_nodes(self._parts.ledger.script(record.id), settings)

    def _others(self, record: JobRecord) -> Sequence[GangNode]:
        """The nodes but the first one; empty when they have not all been there."""
        gang = self._parts.ledger.gangs.of(record.id, record.attempt)
        return gang.nodes[1:] if gang is not None else ()


def _after(before: Progress, tell: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Tells of one fetch as a part of all."""

    def tell_all(now: Progress) -> None:
        tell(
            Progress(
                before.files + now.files,
                before.files_total + now.files_total,
                before.bytes + now.bytes,
                before.bytes_total + now.bytes_total,
            )
        )

    return tell_all


def _brought(reports: Sequence[FetchReport]) -> Progress:
    files = sum(report.files + report.present for report in reports)
    size = sum(report.size for report in reports)
    return Progress(files, files, size, size)


def _together(reports: Sequence[FetchReport]) -> FetchReport:
    if len(reports) == 1:
        return reports[0]
    left_out = [pair for report in reports for pair in report.left_out]
    return replace(
        reports[0],
        files=sum(report.files for report in reports),
        bytes=sum(report.bytes for report in reports),
        left_out=tuple(left_out[:MOST_LEFT_OUT]),
        seconds=sum(report.seconds for report in reports),
        left_out_count=sum(max(len(report.left_out), report.left_out_count) for report in reports),
        excluded=sum(report.excluded for report in reports),
        present=sum(report.present for report in reports),
        size=sum(report.size for report in reports),
    )

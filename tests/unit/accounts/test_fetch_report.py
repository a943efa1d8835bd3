"""What a helper tells of a fetch arrives as it was."""

from __future__ import annotations

from airavata_mesos_plugin.sandbox.accounts.report import decode_report, encode_report
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.result import WrapperResult


def test_a_report_arrives_whole() -> None:
    result = WrapperResult(7, True, 1.5, 2.5, signal=9, node_lost=True, reason="lost node n2")
    report = FetchReport(1, 2, (("a\udc80", "why"),), result, 0.5, 6, 7, 8, 9, has_nodes=True)
    assert decode_report(encode_report(report)) == report
    plain = FetchReport(1, 2, (), None, 0.5)
    assert decode_report(encode_report(plain)) == plain


def test_rules_arrive_whole() -> None:
    rules = OutputRules((("a",),), (("b",),), 1, 2, 3, frozenset({"c"}), used_bytes=4, used_files=5)
    assert OutputRules.from_document(rules.to_document()) == rules

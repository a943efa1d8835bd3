"""What a helper tells of a fetch, on both sides of the stream. The daemon's side trusts nothing of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from airavata_mesos_plugin.sandbox.accounts import wire
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.sandbox.result import WrapperResult

TEXT_LIMIT = 2000
"""Characters of a text that are taken from a helper."""


def encode_report(report: FetchReport) -> bytes:
    """A report for `decode_report`."""
    result = report.result
    document = {
        "files": report.files,
        "bytes": report.bytes,
        "left_out": report.left_out,
        "seconds": report.seconds,
        "left_out_count": report.left_out_count,
        "excluded": report.excluded,
        "present": report.present,
        "size": report.size,
        "has_nodes": report.has_nodes,
        "result": None
        if result is None
        else [
            *(result.exit_code, result.timed_out, result.started_at, result.ended_at, result.signal),
            *(result.node_lost, result.reason),
        ],
    }
    return json.dumps(document).encode("ascii")


def decode_progress(frame: wire.Frame) -> list[Progress]:
    """The progress that a sign of life tells of, if any. Raises Malformed."""
    with well_formed():
        told = frame.head.get("progress")
        return [Progress(*map(int, numbers)) for numbers in told] if isinstance(told, list) else []


def decode_report(body: bytes) -> FetchReport:
    """The reverse of `encode_report`. Raises Malformed."""
    with well_formed():
        document = json.loads(body)
        result = document["result"]
        if result is not None:
            code, timed_out, started_at, ended_at, signal, node_lost, reason = result
            result = WrapperResult(
                exit_code=int(code),
                timed_out=bool(timed_out),
                started_at=float(started_at),
                ended_at=float(ended_at),
                signal=None if signal is None else int(signal),
                node_lost=bool(node_lost),
                reason=clean(str(reason)),
            )
        return FetchReport(
            files=int(document["files"]),
            bytes=int(document["bytes"]),
            left_out=tuple((str(name), clean(str(why))) for name, why in document["left_out"]),
            result=result,
            seconds=float(document["seconds"]),
            left_out_count=int(document["left_out_count"]),
            excluded=int(document["excluded"]),
            present=int(document["present"]),
            size=int(document["size"]),
            has_nodes=bool(document["has_nodes"]),
        )


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text without what a terminal would obey, cut."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:limit])


@contextlib.contextmanager
def well_formed() -> Iterator[None]:
    """Raises Malformed for what the block cannot read."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise wire.Malformed("a helper answers in an unknown form") from error

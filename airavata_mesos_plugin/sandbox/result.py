"""What the wrapper of a job leaves in the sandbox: how the user's script ended."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 4096
"""More than a result can have; a larger file is not ours."""


@dataclass(frozen=True)
class WrapperResult:
    """Times are seconds since the epoch on the agent's clock.

    ``signal`` is None unless the script died of one. ``reason`` holds printable characters only.
    """

    exit_code: int
    timed_out: bool
    started_at: float
    ended_at: float
    signal: int | None = None
    node_lost: bool = False  # of a job over several nodes; that ended it
    reason: str = ""  # why the script was not started, or was ended by us before its time; else empty


def parse(content: bytes | None) -> WrapperResult | None:
    """The result in a file of ``key=value`` lines, or None when the file is missing, torn or not ours.

    Unknown keys are ignored, so a newer wrapper is understood.
    """
    if content is None or not content.endswith(b"\n") or len(content) > MAX_BYTES:
        return None
    values: dict[str, str] = {}
    for line in content.decode("ascii", "replace").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            values[key.strip()] = value.strip()
    try:
        signal = values.get("signal", "")
        result = WrapperResult(
            exit_code=int(values["exit_code"]),
            timed_out={"0": False, "1": True}[values.get("timed_out", "0")],
            started_at=float(values["started_at"]),
            ended_at=float(values["ended_at"]),
            signal=int(signal) if signal else None,
            node_lost=values.get("node_lost") == "1",
            reason="".join(sign if sign.isprintable() else "?" for sign in values.get("reason", "")),
        )
    except (KeyError, ValueError):
        return None
    return result if 0 <= result.exit_code <= 255 else None

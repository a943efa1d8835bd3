"""Processes: how to find all that descend from one, and what they use."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.programs import Program, read_line

__all__ = ["Program", "marked", "peak_memory", "read_line"]


def marked(marker: str) -> list[str]:
    """All living processes that have ``marker`` in their environment, which children inherit."""
    found = []
    wanted = marker.encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if wanted in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{entry.name}: {command}")
        except OSError:
            continue  # it has ended meanwhile, or is a kernel's own
    return found


def peak_memory(pid: int) -> int:
    """The most memory that a process ever had, in bytes (VmHWM of Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM for process {pid}")

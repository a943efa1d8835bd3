"""Who may import whom: upper rooms may use lower ones, never the other way, never sideways."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airavata_mesos_plugin"
NAME = PACKAGE.name

LAYERS = [
    {"cli", "service", "testing"},
    {"slurm", "airavata"},
    {"provider"},
    {"schedulers", "sandbox", "discovery", "store", "templating", "data_files", "filenames"},
    {
        "jobs",
        "states",
        "errors",
        "config",
        "hostlist",
        "parallel",
        "secret",
        "gen",
        "clock",
        "sandbox_names",
        "job_metadata",
    },
]
FREE_ROW = LAYERS[-1]
"""The last row holds no rooms but single modules without I/O; they may know each other."""

CONTRACTS = {f"{NAME}.schedulers.base"}
"""Modules that rooms of the same row may share."""

EXPLAINED = {
    ("service", "cli"): "one command starts the daemon",
    ("cli", "service"): "one command starts the daemon",
    ("templating", "data_files"): "where the package keeps its templates",
    ("templating", "filenames"): "names of output files are part of the wrapper",
    ("cli", "minicluster"): "one command starts the minicluster",
    ("testing", "minicluster"): "fixtures run it",
    ("testing", "service"): "fixtures run the daemon and ask it",
}


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == NAME and len(parts) > 1 else None


def row(name: str) -> int:
    (index,) = (i for i, layer in enumerate(LAYERS) if name in layer)
    return index


def imports(path: Path) -> Iterator[str]:
    package = (NAME, *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join((*package[: len(package) - node.level + 1], base)).rstrip(".")
            for alias in node.names:
                yield f"{base}.{alias.name}"


def sources() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "gen" not in p.relative_to(PACKAGE).parts)


def violation(source: str, module: str) -> str | None:
    """Why ``source`` (a room) may not import ``module``; None when it may."""
    target = room(module)
    if target is None or target in (source, "__version__"):
        return None
    if source == "minicluster":
        return None if target == "gen" else "the minicluster knows the wire and nothing of the provider"
    if (source, target) in EXPLAINED:
        return None
    if target == "minicluster":
        return "only the command line and the test fixtures may start a minicluster in their process"
    if row(source) > row(target):
        return "a lower room imports an upper one"
    if (
        row(source) == row(target)
        and source not in FREE_ROW
        and not any(module == contract or module.startswith(contract + ".") for contract in CONTRACTS)
    ):
        return "rooms of one row meet only through a contract"
    return None


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_plan(path: Path) -> None:
    source = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if source == "__init__":
        assert [m for m in imports(path) if room(m)] == []
        return
    wrong = [f"{m}: {why}" for m in imports(path) if (why := violation(source, m))]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("jobs", f"{NAME}.store.Ledger"),
        ("store", f"{NAME}.sandbox.paths"),
        ("minicluster", f"{NAME}.states.AURORA_PHASES"),
        ("provider", f"{NAME}.slurm.session"),
        ("service", f"{NAME}.minicluster.settings"),
    ],
)
def test_the_check_can_fail(source: str, module: str) -> None:
    assert violation(source, module) is not None


def test_import_has_no_effects() -> None:
    """Importing everything starts no thread, opens no socket and takes no signal."""
    modules = [
        ".".join((NAME, *p.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for p in sources()
        if p.name != "__main__.py" and p.parent.name != "executor"
    ]
    program = f"""
import importlib, signal, socket, threading
before = {{s: signal.getsignal(s) for s in signal.valid_signals()}}
for name in {modules!r}:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert before == {{s: signal.getsignal(s) for s in signal.valid_signals()}}
import os
opened = [f"/proc/self/fd/{{fd}}" for fd in os.listdir("/proc/self/fd")]
links = [os.readlink(path) for path in opened if os.path.islink(path)]
assert not [link for link in links if link.startswith("socket:")], links
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

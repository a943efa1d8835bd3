"""Files of accounts are reached through `UserFiles` only: nothing beside it opens, lists or makes any."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "airavata_mesos_plugin"

# These run as the person who types, not in the daemon.
ON_THE_CALLERS_SIDE = {"slurm/launcher.py", "slurm/install.py", "slurm/offline.py", "slurm/place.py"}

FORBIDDEN = {
    "airavata_mesos_plugin.sandbox.inputs.snapshot.take",
    "airavata_mesos_plugin.sandbox.inputs.archive.stream",
    "airavata_mesos_plugin.sandbox.paths.Root",
    "airavata_mesos_plugin.sandbox.outputs.fetch.Fetcher",
}
MODULES = {"airavata_mesos_plugin.sandbox.inputs.snapshot", "airavata_mesos_plugin.sandbox.paths"}
OS_CALLS = {
    *("open", "stat", "lstat", "access", "listdir", "scandir", "mkdir", "makedirs", "rename", "replace"),
    *("unlink", "remove", "chmod", "chown", "link", "symlink", "readlink", "walk", "rmdir", "utime"),
}
OS_PATH_CALLS = {"realpath", "exists", "isfile", "isdir", "getsize", "islink", "getmtime"}
PATH_CALLS = {
    *("open", "stat", "lstat", "exists", "is_file", "is_dir", "iterdir", "glob", "rglob", "resolve", "mkdir"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "touch", "unlink", "rename", "chmod"),
}


def sources() -> list[Path]:
    found = [path for room in ("provider", "slurm") for path in sorted((PACKAGE / room).rglob("*.py"))]
    return [path for path in found if str(path.relative_to(PACKAGE)) not in ON_THE_CALLERS_SIDE]


def touches(tree: ast.AST) -> Iterator[str]:
    """Everything in the code that looks like a hand on a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in FORBIDDEN or name in MODULES:
                    yield f"line {node.lineno}: imports {name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"line {node.lineno}: open()"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, called = ast.unparse(node.func.value), node.func.attr
            calls = {"os": OS_CALLS, "os.path": OS_PATH_CALLS}.get(owner, set())
            if called in calls or (called in PATH_CALLS and owner.startswith("Path(")):
                yield f"line {node.lineno}: {owner}.{called}()"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_hand_on_files(path: Path) -> None:
    assert list(touches(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "from airavata_mesos_plugin.sandbox.inputs import snapshot",
        "from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher",
        "open('x')",
        "os.stat(x)",
        "os.path.realpath(x)",
        "Path(x).read_text()",
    ],
)
def test_the_check_can_fail(code: str) -> None:
    assert list(touches(ast.parse(code)))

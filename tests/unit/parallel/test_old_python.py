"""What runs on agents keeps to Python 3.6 and its standard library."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from airavata_mesos_plugin import parallel

SOURCES = sorted(Path(parallel.__file__).parent.glob("*.py"))
OLD_ENOUGH = frozenset(
    [
        "__future__",
        "contextlib",
        "fcntl",
        "hashlib",
        "hmac",
        "json",
        "os",
        "pathlib",
        "random",
        "select",
        "shutil",
        "signal",
        "socket",
        "stat",
        "struct",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "types",
        "typing",
        "urllib",
        "uuid",
    ]
)
"""Modules of the standard library that Python 3.6 has."""


def foreign(tree: ast.AST) -> set[str]:
    """What a module imports from outside of its package and those modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names - OLD_ENOUGH


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_syntax_and_imports_are_old_enough(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    assert foreign(tree) <= {"parallel"}


def test_the_check_can_fail() -> None:
    assert foreign(ast.parse("import requests, os")) == {"requests"}
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 6))


def test_it_runs_as_a_file(tmp_path: Path) -> None:
    """As in a sandbox: nothing of the package above is at hand."""
    shutil.copytree(SOURCES[0].parent, tmp_path / "parallel")
    done = subprocess.run(
        ["python3", "-I", tmp_path / "parallel" / "run.py", "start", "agent-1", "true"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 255
    assert "this is no parallel job" in done.stderr

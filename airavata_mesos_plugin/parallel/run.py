"""Started as a file in a sandbox: ``run.py node NUMBER NAME`` or ``run.py start NODE COMMAND...``."""

import sys
from pathlib import Path
from typing import List


def main(arguments: List[str]) -> int:
    """The exit code of the part that was asked for."""
    package = Path(__file__).resolve().parent
    sys.path.insert(0, str(package.parent))
    from parallel import program, remote_start  # type: ignore[import-not-found]

    parts = {"node": program.main, "start": remote_start.run}
    code: int = parts[arguments[0]](package.parent, arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

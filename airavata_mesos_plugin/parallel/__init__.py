"""What runs on the nodes of a parallel job.

These modules travel into the sandbox of every node and are run there by whatever Python the agent has, so
they keep to the standard library and to Python 3.6, and import nothing of the rest of the package.

Each node has a waiting side that starts commands for the others. The first node runs the job script under
the ordinary wrapper and watches the others; when the script is over it ends them.
"""

from pathlib import Path
from typing import Dict


def sources() -> Dict[str, bytes]:
    """The modules by their file names, to be sent to a node. Repeatable."""
    return {path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")}

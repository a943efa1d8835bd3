"""`python -m airavata_mesos_plugin.minicluster.executor CHANNEL_FD RUN_DIR`, started by an agent."""

from __future__ import annotations

import sys

from airavata_mesos_plugin.minicluster.executor.guardian import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))

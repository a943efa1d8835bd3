"""python -m airavata_mesos_plugin.cli"""

from airavata_mesos_plugin.cli.main import main

if __name__ == "__main__":
    main()

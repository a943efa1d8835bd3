"""What a job script and the MPI launchers that it calls find about the nodes of the job.

Sources: the variables of SLURM 22.05 come from the daemon; those of Open MPI are parameters of 4.1 (``plm``,
``orte``) and of PRRTE in 5.0, those of MPICH are Hydra's of 4.0, those of Intel MPI of 2021.
"""

import fcntl
import socket
import struct
from pathlib import Path
from typing import Dict, List, Mapping

from .gang import CONTROL_DIRECTORY, Gang, Node, replace
from .processes import MARKER

VARIABLES = "parallel.variables"
"""Control file that the wrapper adds to the environment of the script, NUL after each variable."""

HOST_FILE = "hostfile"
"""As Open MPI reads it: ``name slots=n``."""

MACHINE_FILE = "machinefile"
"""As MPICH reads it: ``name:n``."""

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface


def write_surroundings(
    control: Path, place: str, gang: Gang, nodes: List[Node], told: Mapping[str, str]
) -> None:
    """Write host files and variables. A repeat replaces them."""
    slots = [(node.name, gang.tasks[node.number]) for node in nodes]
    replace(control / HOST_FILE, "".join("{} slots={}\n".format(*pair) for pair in slots))
    replace(control / MACHINE_FILE, "".join("{}:{}\n".format(*pair) for pair in slots))
    inside = "{}/{}".format(place, CONTROL_DIRECTORY)
    variables = {**told, **launchers(inside, nodes[0].address), MARKER: gang.marker}
    replace(control / VARIABLES, "".join("{}={}\0".format(*pair) for pair in variables.items()))


def launchers(control: str, address: str) -> Dict[str, str]:
    """The variables that lead MPI launchers to ``remote-start`` and the host files in ``control``.

    ``control`` must be the same path on all nodes; ``address`` is the one of the first node.
    """
    start = "{}/bin/remote-start".format(control)
    host_file = "{}/{}".format(control, HOST_FILE)
    machine_file = "{}/{}".format(control, MACHINE_FILE)
    variables = {
        "OMPI_MCA_plm": "rsh",
        "OMPI_MCA_plm_rsh_agent": start,
        "OMPI_MCA_orte_default_hostfile": host_file,
        "PRTE_MCA_plm": "ssh",
        "PRTE_MCA_plm_ssh_agent": start,
        "PRTE_MCA_prte_default_hostfile": host_file,
        "HYDRA_LAUNCHER": "ssh",
        "HYDRA_LAUNCHER_EXEC": start,
        "HYDRA_HOST_FILE": machine_file,
        "I_MPI_HYDRA_BOOTSTRAP": "ssh",
        "I_MPI_HYDRA_BOOTSTRAP_EXEC": start,
        "I_MPI_HYDRA_HOST_FILE": machine_file,
    }
    interface = interface_of(address)
    if interface and interface != "lo":
        # Otherwise Hydra tells the other nodes this host's name, which they may not be able to look up.
        variables["HYDRA_IFACE"] = variables["I_MPI_HYDRA_IFACE"] = interface
    return variables


def session_directory(directory: str) -> Dict[str, str]:
    """The variables that make launchers' daemons keep their sockets and files in ``directory``, not in /tmp.

    Open MPI's daemons of one job that share a host fail now and then when each makes the same directory.
    """
    return {"OMPI_MCA_orte_tmpdir_base": directory, "PRTE_MCA_prte_tmpdir_base": directory}


def interface_of(address: str) -> str:
    """The network interface with this IPv4 address; empty when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            question = struct.pack("256s", name.encode("ascii", "replace")[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, question)
            except OSError:
                continue  # it has no address
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""
